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

// Narrower than YAML's rules for plain scalars, and so the same in every parser. A text that looks like a number or a
// boolean may be plain too: our readers know which they want.
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
  explicit Writer(YamlQuotes quotes) : quotes_(quotes) {}

  std::string write(const YamlValue& root) {
    out_.SetNullFormat(YAML::LowerNull);
    out_.SetIndent(2);
    pending_ = root.comments;
    value(root, 0, false);
    return with_comments(std::string(out_.c_str()) + "\n");
  }

 private:
  struct Comment {
    std::size_t at;  // bytes of the text up to some place in the line that it stands before
    std::string text;
  };

  static void gather(const YamlValue& v, std::vector<std::string>& out) {
    out.insert(out.end(), v.comments.begin(), v.comments.end());
    for (const YamlEntry& e : v.entries) gather(*e.value, out);
    for (const YamlValuePtr& item : v.items) gather(*item, out);
  }

  // Collects the comments of the part of `v` that stands on the first line of `v`.
  void await_comments(const YamlValue& v, bool one_line) {
    if (one_line) {
      gather(v, pending_);
    } else {
      pending_.insert(pending_.end(), v.comments.begin(), v.comments.end());
    }
  }

  // Something was written on the line that the comments wait for.
  void place_comments() {
    for (std::string& text : pending_) comments_.push_back({out_.size(), std::move(text)});
    pending_.clear();
  }

  // The emitter's own comments stand behind what is before them.
  std::string with_comments(const std::string& text) const {
    std::string out;
    std::size_t done = 0;
    for (const Comment& comment : comments_) {
      const std::size_t line = text.rfind('\n', comment.at - 1) + 1;  // npos + 1 is 0
      const std::size_t indent = std::min(text.find_first_not_of(' ', line), text.size()) - line;
      out += text.substr(done, line - done) + std::string(indent, ' ') + "# " + single_line(comment.text) + "\n";
      done = line;
    }
    return out += text.substr(done);
  }

  void text(std::string_view text, bool quoted, bool flow) {
    if (quoted || !can_be_plain(text, flow)) out_ << YAML::DoubleQuoted;
    out_ << std::string(text);
  }

  void value(const YamlValue& v, int depth, bool flow, bool item = false) {
    if (v.kind == Kind::kNull) {
      out_ << YAML::Null;
    } else if (v.kind == Kind::kScalar) {
      text(v.text, v.quoted && quotes_ == YamlQuotes::kAsWritten, flow);
    } else {
      const bool one_line = flow || on_one_line(v, depth, item);
      if (one_line) out_ << YAML::Flow;
      v.kind == Kind::kList ? list(v, depth, one_line) : map(v, depth, one_line);
    }
  }

  void list(const YamlValue& v, int depth, bool flow) {
    out_ << YAML::BeginSeq;
    for (const YamlValuePtr& one : v.items) {
      const bool one_line = flow || on_one_line(*one, depth + 1, true);
      if (!flow) await_comments(*one, one_line);
      value(*one, depth + 1, flow, true);
      if (one_line && !flow) place_comments();
    }
    out_ << YAML::EndSeq;
  }

  void map(const YamlValue& v, int depth, bool flow) {
    out_ << YAML::BeginMap;
    for (const YamlEntry& e : v.entries) {
      out_ << YAML::Key;
      text(e.key, e.key == "<<", flow);
      if (!flow) {
        await_comments(*e.value, on_one_line(*e.value, depth + 1, false));
        place_comments();
      }
      out_ << YAML::Value;
      value(*e.value, depth + 1, flow);
    }
    out_ << YAML::EndMap;
  }

  // Scalars; items of lists, policies above all, if they fit; other maps and lists only when they hold nothing but
  // scalars.
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

  const YamlQuotes quotes_;
  YAML::Emitter out_;
  std::vector<std::string> pending_;  // stand before the line that is written next
  std::vector<Comment> comments_;     // in the order of the text
};

}  // namespace

std::string write_yaml(const YamlValue& root, YamlQuotes quotes) { return Writer(quotes).write(root); }

}  // namespace tailgate
