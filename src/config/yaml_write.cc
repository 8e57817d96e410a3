// SPDX-License-Identifier: Apache-2.0
#include "config/yaml_write.h"

#include <yaml-cpp/emitter.h>

#include <algorithm>
#include <string_view>

namespace tailgate {
namespace {

using Kind = YamlValue::Kind;

constexpr std::size_t kLineMax = 110;  // of what is written on one line, without its indent
constexpr int kAlwaysBlock = 2;        // levels from the root that never share a line

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

// Narrower than YAML's rules for plain scalars, and so the same in every parser. What looks like a number or a boolean
// is not told from a text: our readers know which they want.
bool can_be_plain(std::string_view text, bool flow) {
  if (text.empty() || text == "null" || text == "Null" || text == "NULL" || text.starts_with("...")) return false;
  const auto alnum = [](char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); };
  if (!alnum(text[0]) && !is_one_of(text[0], "_/.$+-^(")) return false;
  if (text[0] == '-' && (text.size() < 2 || !alnum(text[1]))) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    if (alnum(c) || is_one_of(c, "_/.$+-^()@%=~*|<>;!?\\")) continue;
    if (c == ' ' && next != ' ' && next != '#') continue;
    if (c == ':' && next != ' ' && !(flow && is_one_of(next, ",[]{}"))) continue;
    if (!flow && is_one_of(c, "{},[]")) continue;
    return false;
  }
  return true;
}

class Writer {
 public:
  std::string write(const YamlValue& root) {
    out_.SetNullFormat(YAML::LowerNull);
    out_.SetIndent(2);
    value(root, 0, false);
    return std::string(out_.c_str()) + "\n";
  }

 private:
  void text(std::string_view text, bool quoted, bool flow) {
    if (quoted || !can_be_plain(text, flow)) out_ << YAML::DoubleQuoted;
    out_ << std::string(text);
  }

  void value(const YamlValue& v, int depth, bool flow, bool item = false) {
    if (v.kind == Kind::kNull) {
      out_ << YAML::Null;
    } else if (v.kind == Kind::kScalar) {
      text(v.text, v.quoted, flow);
    } else {
      const bool one_line = flow || on_one_line(v, depth, item);
      if (one_line) out_ << YAML::Flow;
      v.kind == Kind::kList ? list(v, depth, one_line) : map(v, depth, one_line);
    }
  }

  void list(const YamlValue& v, int depth, bool flow) {
    out_ << YAML::BeginSeq;
    for (const YamlValuePtr& one : v.items) value(*one, depth + 1, flow, true);
    out_ << YAML::EndSeq;
  }

  void map(const YamlValue& v, int depth, bool flow) {
    out_ << YAML::BeginMap;
    for (const YamlEntry& e : v.entries) {
      out_ << YAML::Key;
      text(e.key, e.key == "<<", flow);
      out_ << YAML::Value;
      value(*e.value, depth + 1, flow);
    }
    out_ << YAML::EndMap;
  }

  // Items of lists, policies above all, if they fit; other maps and lists only when they hold nothing but scalars.
  static bool on_one_line(const YamlValue& v, int depth, bool item) {
    if (v.entries.empty() && v.items.empty()) return true;
    if (depth < kAlwaysBlock || v.size > kLineMax) return false;
    const auto flat = [](const YamlValue& child) { return child.entries.empty() && child.items.empty(); };
    const bool only_scalars =
        std::all_of(v.entries.begin(), v.entries.end(), [&](const YamlEntry& e) { return flat(*e.value); }) &&
        std::all_of(v.items.begin(), v.items.end(), [&](const YamlValuePtr& one) { return flat(*one); });
    return (item || only_scalars) && width(v) <= kLineMax;
  }

  static std::size_t width(const YamlValue& v) {
    std::size_t sum = 2 + v.text.size();
    for (const YamlEntry& e : v.entries) sum += e.key.size() + 4 + width(*e.value);
    for (const YamlValuePtr& one : v.items) sum += 2 + width(*one);
    return sum;
  }

  YAML::Emitter out_;
};

}  // namespace

std::string write_yaml(const YamlValue& root) { return Writer().write(root); }

}  // namespace tailgate
