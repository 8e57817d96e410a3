// SPDX-License-Identifier: Apache-2.0
#include "config/expand.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailgate {
namespace {

using Kind = YamlValue::Kind;

constexpr int kNestedMax = 10;             // ${A:-${B:-...}}
constexpr std::size_t kTextMax = 1 << 20;  // bytes of one scalar, references replaced

// The text with references replaced, and whether it was one reference and nothing else.
struct Expanded {
  std::string text;
  bool only_reference = false;
};

bool is_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  if (name.empty() || name.size() > 200 || !letter(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// The position of the brace that closes the one opened before `from`, nested references counted; npos without.
std::size_t closing_brace(std::string_view text, std::size_t from) {
  int depth = 1;
  for (std::size_t i = from; i < text.size(); ++i) {
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') {
      ++depth;
      ++i;
    } else if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

Result<Expanded> expand(std::string_view text, const Environment& environment, int depth);

// `body` is what stands between the braces.
Result<std::string> resolve(std::string_view body, const Environment& environment, int depth) {
  const std::size_t split = body.find(":-");
  std::string_view name = body.substr(0, split);
  const std::size_t scheme = name.find(':');
  if (scheme != std::string_view::npos) {
    if (name.substr(0, scheme) != "env") {
      return fail(ErrorKind::kConfig, fmt::format("expected ${{env:NAME}}, got '${{{}}}'", body));
    }
    name.remove_prefix(scheme + 1);
  }
  if (!is_name(name)) {
    return fail(ErrorKind::kConfig,
                fmt::format("expected a variable name of letters, digits and _, got {}", quote_for_message(name)));
  }
  if (std::optional<std::string> value = environment(std::string(name))) return *value;
  if (split == std::string_view::npos) {
    return fail(
        ErrorKind::kConfig,
        fmt::format("expected the environment variable {} or a default as in ${{env:{}:-x}}, got nothing", name, name));
  }
  if (depth >= kNestedMax) return fail(ErrorKind::kConfig, "expected fewer defaults inside defaults, got more than 10");
  Result<Expanded> fallback = expand(body.substr(split + 2), environment, depth + 1);
  if (!fallback) return tl::unexpected(fallback.error());
  return fallback->text;
}

Result<Expanded> expand(std::string_view text, const Environment& environment, int depth) {
  Expanded out;
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t dollar = std::min(text.find('$', i), text.size());
    out.text.append(text.substr(i, dollar - i));
    i = dollar;
    if (i >= text.size()) break;
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    const std::size_t close = next == '{' ? closing_brace(text, i + 2) : std::string_view::npos;
    if (next == '$') {
      out.text += '$';
      i += 2;
    } else if (close == std::string_view::npos) {  // a lone dollar, or a reference that never ends: as it stands
      out.text += '$';
      i += 1;
    } else {
      Result<std::string> value = resolve(text.substr(i + 2, close - i - 2), environment, depth);
      if (!value) return tl::unexpected(value.error());
      out.only_reference = i == 0 && close + 1 == text.size();
      out.text += *value;
      i = close + 1;
      if (out.text.size() > kTextMax) return fail(ErrorKind::kConfig, "expected at most 1 MiB of text, got more");
    }
  }
  return out;
}

class Expander {
 public:
  Expander(const Environment& environment, ConfigIssues& issues) : environment_(environment), issues_(issues) {}

  // Recursion is bounded by the depth the parser allows. A value reached by several aliases is done once, in place.
  void walk(YamlValue& value, const std::string& path) {
    if (value.expanded) return;
    value.expanded = true;
    for (YamlEntry& e : value.entries) walk(*e.value, path.empty() ? e.key : fmt::format("{}.{}", path, e.key));
    for (std::size_t i = 0; i < value.items.size(); ++i) walk(*value.items[i], fmt::format("{}[{}]", path, i));
    if (value.kind == Kind::kScalar && value.text.find('$') != std::string::npos) scalar(value, path);
  }

 private:
  void scalar(YamlValue& value, const std::string& path) {
    Result<Expanded> result = expand(value.text, environment_, 0);
    if (!result) {
      issues_.errors.push_back(
          {IssueKind::kBadValue, *value.file, value.place.line, value.place.column, path, result.error().text, ""});
      value.kind = Kind::kNull;
      value.text.clear();
      return;
    }
    if (!result->only_reference) {
      value.text = std::move(result->text);
      return;
    }
    // Text that is not YAML is still a text: tokens and passwords come this way.
    value.original = result->text;
    Result<YamlValuePtr> parsed = parse_yaml(result->text, *value.file);
    if (!parsed) {
      value.text = std::move(result->text);
      return;
    }
    place_all(**parsed, value.place);
    value.kind = (*parsed)->kind;
    value.text = std::move((*parsed)->text);
    value.entries = std::move((*parsed)->entries);
    value.items = std::move((*parsed)->items);
    value.size = (*parsed)->size;
  }

  // A value from a variable has the place of the reference, and is not searched for references again.
  static void place_all(YamlValue& value, YamlPlace place) {
    if (value.expanded) return;
    value.expanded = true;
    value.place = place;
    for (YamlEntry& e : value.entries) {
      e.place = place;
      place_all(*e.value, place);
    }
    for (const YamlValuePtr& item : value.items) place_all(*item, place);
  }

  const Environment& environment_;
  ConfigIssues& issues_;
};

}  // namespace

void expand_environment(YamlValuePtr& root, const Environment& environment, ConfigIssues& issues) {
  Expander(environment, issues).walk(*root, "");
}

}  // namespace tailgate
