// SPDX-License-Identifier: Apache-2.0
#include "config/config_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/units.h"
#include "config/config_impl.h"
#include "config/yaml_write.h"

namespace tailgate {
namespace {

using Kind = YamlValue::Kind;
using Impl = ConfigNode::Impl;

bool is_kind(const std::shared_ptr<Impl>& impl, Kind kind) {
  return impl != nullptr && impl->value != nullptr && impl->value->kind == kind;
}

ConfigIssue issue_at(const Impl& at, IssueKind kind, std::string_view text) {
  return {kind, *at.file, at.place.line, at.place.column, at.path, std::string(text), ""};
}

void report(Impl& at, std::string_view want, std::string_view hint = "") {
  ConfigIssue issue = issue_at(at, IssueKind::kBadValue, want);
  issue.got = describe(at.value.get());
  issue.hint = hint;
  // A reader that looks at a value twice reports its error once.
  std::vector<ConfigIssue>& errors = at.issues->errors;
  if (std::find(errors.begin(), errors.end(), issue) == errors.end()) errors.push_back(std::move(issue));
}

void remember(Impl& impl, std::string_view key) {
  if (std::find(impl.asked.begin(), impl.asked.end(), key) == impl.asked.end()) impl.asked.emplace_back(key);
}

std::shared_ptr<Impl> make_child(const Impl& parent, std::string path, const YamlValuePtr& value) {
  auto made = std::make_shared<Impl>();
  made->value = value;
  made->path = std::move(path);
  made->file = value != nullptr ? value->file : parent.file;
  made->place = value != nullptr ? value->place : parent.place;
  made->issues = parent.issues;
  return made;
}

// A value that should be a map and is something else is reported once, however many keys are asked of it.
void want_map(Impl& impl) {
  if (impl.value == nullptr || impl.value->kind == Kind::kNull || impl.value->kind == Kind::kMap) return;
  if (!impl.shape_reported) report(impl, "expected a map");
  impl.shape_reported = true;
}

// The node of `key`; null for a node without a document.
std::shared_ptr<Impl> get(const std::shared_ptr<Impl>& impl, std::string_view key) {
  if (impl == nullptr) return nullptr;
  want_map(*impl);
  remember(*impl, key);
  const auto known = impl->children.find(key);
  if (known != impl->children.end()) return known->second;
  const YamlEntry* entry = is_kind(impl, Kind::kMap) ? impl->value->find(key) : nullptr;
  std::string path = impl->path.empty() ? std::string(key) : fmt::format("{}.{}", impl->path, key);
  auto made = make_child(*impl, std::move(path), entry != nullptr ? entry->value : nullptr);
  impl->children.emplace(std::string(key), made);
  return made;
}

bool absent_or_null(const std::shared_ptr<Impl>& impl) {
  return impl == nullptr || impl->value == nullptr || impl->value->kind == Kind::kNull;
}

// Decimal, 0x and 0o, with a sign, as YAML 1.2 writes integers.
std::optional<std::int64_t> parse_integer(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0o")) {
    base = text[1] == 'x' ? 16 : 8;
    text.remove_prefix(2);
  }
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (magnitude > kMax + (negative ? 1 : 0)) return std::nullopt;
  return static_cast<std::int64_t>(negative ? ~magnitude + 1 : magnitude);
}

std::string want_integer(IntegerRange range) {
  const bool low = range.min != std::numeric_limits<std::int64_t>::min();
  const bool high = range.max != std::numeric_limits<std::int64_t>::max();
  if (low && high) return fmt::format("expected {} to {}", range.min, range.max);
  if (low) return fmt::format("expected {} or more", range.min);
  if (high) return fmt::format("expected {} or less", range.max);
  return "expected an integer";
}

std::int64_t read_integer(const std::shared_ptr<Impl>& at, std::int64_t fallback, IntegerRange range) {
  if (absent_or_null(at)) return fallback;
  const std::optional<std::int64_t> value =
      at->value->kind == Kind::kScalar ? parse_integer(at->value->text) : std::nullopt;
  if (!value) {
    report(*at, "expected an integer");
    return fallback;
  }
  if (*value < range.min || *value > range.max) {
    report(*at, want_integer(range));
    return fallback;
  }
  return *value;
}

std::string quoted_list(const std::vector<std::string_view>& choices) {
  return fmt::format("{}", fmt::join(choices, ", "));
}

// Damerau-Levenshtein (adjacent transpositions count one), case ignored. Keys are short; both are cut at 64.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  constexpr std::size_t kMax = 64;
  a = a.substr(0, kMax);
  b = b.substr(0, kMax);
  const auto same = [](char x, char y) { return (x | 0x20) == (y | 0x20); };
  std::array<std::array<std::size_t, kMax + 1>, kMax + 1> d{};
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1)});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance && distance < std::max(candidate.size(), name.size())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

bool ConfigNode::present() const { return impl_ != nullptr && impl_->value != nullptr; }
bool ConfigNode::is_null() const { return absent_or_null(impl_); }
bool ConfigNode::is_map() const { return is_kind(impl_, Kind::kMap); }
bool ConfigNode::is_list() const { return is_kind(impl_, Kind::kList); }
bool ConfigNode::is_scalar() const { return is_kind(impl_, Kind::kScalar); }
bool ConfigNode::is_text() const { return present() && (is_scalar() || impl_->value->original); }

const std::string& ConfigNode::file() const {
  static const std::string kNowhere;
  return impl_ != nullptr ? *impl_->file : kNowhere;
}
int ConfigNode::line() const { return impl_ != nullptr ? impl_->place.line : 1; }
int ConfigNode::column() const { return impl_ != nullptr ? impl_->place.column : 1; }
std::string ConfigNode::path() const { return impl_ != nullptr ? impl_->path : ""; }

std::string ConfigNode::scalar() const {
  if (!present()) return "";
  if (impl_->value->original) return *impl_->value->original;
  return is_scalar() ? impl_->value->text : "";
}

bool ConfigNode::has(std::string_view key) const {
  const auto at = get(impl_, key);
  return at != nullptr && at->value != nullptr;
}

ConfigNode ConfigNode::child(std::string_view key) const { return ConfigNode(get(impl_, key)); }

std::vector<ConfigNode> ConfigNode::items() const {
  std::vector<ConfigNode> out;
  if (is_null()) return out;
  if (!is_list()) {
    report(*impl_, "expected a list");
    return out;
  }
  const std::vector<YamlValuePtr>& values = impl_->value->items;
  for (std::size_t i = impl_->items.size(); i < values.size(); ++i) {
    impl_->items.push_back(make_child(*impl_, fmt::format("{}[{}]", impl_->path, i), values[i]));
  }
  for (const auto& item : impl_->items) out.emplace_back(item);
  return out;
}

std::vector<std::pair<std::string, ConfigNode>> ConfigNode::entries() const {
  std::vector<std::pair<std::string, ConfigNode>> out;
  if (is_null()) return out;
  want_map(*impl_);
  for (const YamlEntry& e : impl_->value->entries) out.emplace_back(e.key, ConfigNode(get(impl_, e.key)));
  return out;
}

std::string ConfigNode::text(std::string_view key, std::string_view fallback) const {
  const auto at = get(impl_, key);
  if (at != nullptr && at->value != nullptr && at->value->original) return *at->value->original;
  if (absent_or_null(at)) return std::string(fallback);
  if (at->value->kind == Kind::kScalar) return at->value->text;
  report(*at, "expected text");
  return std::string(fallback);
}

std::int64_t ConfigNode::integer(std::string_view key, std::int64_t fallback, IntegerRange range) const {
  return read_integer(get(impl_, key), fallback, range);
}

std::int64_t ConfigNode::as_integer(std::int64_t fallback, IntegerRange range) const {
  return read_integer(impl_, fallback, range);
}

double ConfigNode::number(std::string_view key, double fallback) const {
  const auto at = get(impl_, key);
  if (absent_or_null(at)) return fallback;
  if (at->value->kind == Kind::kScalar) {
    std::string_view text = at->value->text;
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && std::isfinite(value)) return value;
  }
  report(*at, "expected a number");
  return fallback;
}

bool ConfigNode::boolean(std::string_view key, bool fallback) const {
  const auto at = get(impl_, key);
  if (absent_or_null(at)) return fallback;
  const std::string_view text = at->value->kind == Kind::kScalar ? std::string_view(at->value->text) : "";
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  report(*at, "expected true or false");
  return fallback;
}

Duration ConfigNode::duration(std::string_view key, Duration fallback, Duration min) const {
  const auto at = get(impl_, key);
  if (absent_or_null(at)) return fallback;
  const std::optional<Duration> value =
      at->value->kind == Kind::kScalar ? parse_duration(at->value->text) : std::nullopt;
  if (!value) {
    report(*at, "expected a duration such as 5s or 200ms");
    return fallback;
  }
  if (*value < min) {
    report(*at, fmt::format("expected {} or more", format_duration(min)));
    return fallback;
  }
  return *value;
}

std::uint64_t ConfigNode::bytes(std::string_view key, std::uint64_t fallback) const {
  const auto at = get(impl_, key);
  if (absent_or_null(at)) return fallback;
  const std::optional<std::uint64_t> value =
      at->value->kind == Kind::kScalar ? parse_bytes(at->value->text) : std::nullopt;
  if (value) return *value;
  report(*at, "expected a size such as 512MiB");
  return fallback;
}

std::vector<std::string> ConfigNode::texts(std::string_view key) const {
  std::vector<std::string> out;
  const ConfigNode list = child(key);
  for (const ConfigNode& item : list.items()) {
    if (item.is_text()) {
      out.push_back(item.scalar());
    } else {
      item.error("expected text");
    }
  }
  return out;
}

std::string ConfigNode::choice(std::string_view key, std::string_view fallback,
                               const std::vector<std::string_view>& choices) const {
  const auto at = get(impl_, key);
  if (absent_or_null(at)) return std::string(fallback);
  std::string value = ConfigNode(at).scalar();
  if (at->value->kind == Kind::kScalar && std::find(choices.begin(), choices.end(), value) != choices.end()) {
    return value;
  }
  std::string near;
  if (at->value->kind == Kind::kScalar) near = nearest_name(value, {choices.begin(), choices.end()});
  report(*at, fmt::format("expected {}{}", choices.size() > 1 ? "one of " : "", quoted_list(choices)),
         near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
  return std::string(fallback);
}

std::string ConfigNode::yaml() const {
  return impl_ != nullptr && impl_->value != nullptr ? write_yaml(*impl_->value, YamlQuotes::kNeeded) : std::string();
}

void ConfigNode::error(std::string_view want) const {
  if (impl_ != nullptr) report(*impl_, want);
}

void ConfigNode::error(std::string_view key, std::string_view want) const {
  if (const auto at = get(impl_, key)) report(*at, want);
}

void ConfigNode::notice(std::string_view text) const {
  if (impl_ != nullptr) impl_->issues->notices.push_back(issue_at(*impl_, IssueKind::kCaveat, text));
}

void ConfigNode::without_effect(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    const auto at = get(impl_, key);
    if (at != nullptr && at->value != nullptr) ConfigNode(at).without_effect("");
  }
}

void ConfigNode::without_effect(std::string_view hint) const {
  if (impl_ == nullptr) return;
  impl_->issues->notices.push_back(issue_at(*impl_, IssueKind::kWithoutEffect, "accepted, but without effect here"));
  impl_->issues->notices.back().hint = hint;
}

void ConfigNode::finish() const {
  if (!is_map()) {
    if (impl_ != nullptr) want_map(*impl_);
    return;
  }
  const std::vector<std::string>& asked = impl_->asked;
  for (const YamlEntry& e : impl_->value->entries) {
    if (std::find(asked.begin(), asked.end(), e.key) != asked.end()) continue;
    const std::string nearest = nearest_name(e.key, asked);
    const YamlPlace place = e.place.line > 0 ? e.place : e.value->place;
    const std::string path = impl_->path.empty() ? e.key : fmt::format("{}.{}", impl_->path, e.key);
    impl_->issues->errors.push_back({IssueKind::kUnknownKey, *impl_->file, place.line, place.column, path,
                                     "expected a known key", quote_for_message(e.key),
                                     nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)});
  }
}

}  // namespace tailgate
