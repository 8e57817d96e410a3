// SPDX-License-Identifier: Apache-2.0
// IsMatch and ExtractPatterns, with RE2: the syntax of Go's regexp. A constant pattern is compiled once. One that comes
// from the span is compiled for each span, which is slow, as in the Collector.
#include <re2/re2.h>

#include <algorithm>
#include <vector>

#include "decide/condition/convert/converters.h"

namespace tailgate::condition {
namespace {

class Pattern final : public Prepared {
 public:
  explicit Pattern(std::string_view text) : regex(re2::StringPiece(text.data(), text.size()), options()) {}

  static RE2::Options options() {
    RE2::Options o;
    o.set_log_errors(false);
    o.set_max_mem(1 << 20);
    return o;
  }

  RE2 regex;
};

tl::expected<std::unique_ptr<const Prepared>, PrepareError> compile(std::span<const Value* const> constants) {
  if (constants[1] == nullptr) return nullptr;
  auto pattern = std::make_unique<Pattern>(constants[1]->text);
  if (!pattern->regex.ok()) {
    return tl::unexpected(
        PrepareError{1, "expected a regular expression as RE2 reads it (" + pattern->regex.error() + ")"});
  }
  return pattern;
}

tl::expected<std::unique_ptr<const Prepared>, PrepareError> compile_with_names(
    std::span<const Value* const> constants) {
  auto made = compile(constants);
  if (made && *made != nullptr && static_cast<const Pattern&>(**made).regex.NamedCapturingGroups().empty()) {
    return tl::unexpected(PrepareError{1, "expected a pattern with at least one named group, (?P<name>...)"});
  }
  return made;
}

bool matches(const RE2& regex, std::string_view text) {
  return regex.Match(re2::StringPiece(text.data(), text.size()), 0, text.size(), RE2::UNANCHORED, nullptr, 0);
}

bool is_match(Evaluation& e, const Arguments& a, Value& out) {
  if (a.prepared != nullptr) {
    out =
        Value::of_bool(!a[0].is(ValueKind::kNil) && matches(static_cast<const Pattern*>(a.prepared)->regex, a[0].text));
    return true;
  }
  const Pattern pattern(a[1].text);
  if (!pattern.regex.ok()) return e.fail("the pattern is no regular expression");
  out = Value::of_bool(!a[0].is(ValueKind::kNil) && matches(pattern.regex, a[0].text));
  return true;
}

bool extract(Evaluation& e, const RE2& regex, std::string_view text, Value& out) {
  const auto& names = regex.CapturingGroupNames();
  if (names.empty()) return e.fail("the pattern has no named group");
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) + 1);
  out = Value::of_map(nullptr, 0);
  const re2::StringPiece input(text.data(), text.size());
  if (!regex.Match(input, 0, input.size(), RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size())))
    return true;
  MapEntry* const entries = e.arena.entries(names.size());
  if (entries == nullptr) return e.fail("the map takes more than 16 MiB");
  std::size_t n = 0;
  for (const auto& [group, name] : names) {
    const re2::StringPiece& found = groups[static_cast<std::size_t>(group)];
    const auto key = e.arena.copy(name);  // the pattern may end with this evaluation
    if (!key) return e.fail("the map takes more than 16 MiB");
    entries[n++] = {*key, Value::of_text(found.data() == nullptr ? std::string_view("")
                                                                 : std::string_view(found.data(), found.size()))};
  }
  out = Value::of_map(entries, n);
  return true;
}

bool extract_patterns(Evaluation& e, const Arguments& a, Value& out) {
  if (a.prepared != nullptr) return extract(e, static_cast<const Pattern*>(a.prepared)->regex, a[0].text, out);
  const Pattern pattern(a[1].text);
  if (!pattern.regex.ok()) return e.fail("the pattern is no regular expression");
  return extract(e, pattern.regex, a[0].text, out);
}

constexpr std::array kRegexConverters = {
    Converter{"IsMatch", {{{"target", Want::kStringLike}, {"pattern", Want::kString}}}, is_match, compile},
    Converter{"ExtractPatterns",
              {{{"target", Want::kString}, {"pattern", Want::kString}}},
              extract_patterns,
              compile_with_names},
};

}  // namespace

std::span<const Converter> regex_converters() { return kRegexConverters; }

}  // namespace tailgate::condition
