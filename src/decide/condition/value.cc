// SPDX-License-Identifier: Apache-2.0
#include "decide/condition/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "codec/json_text.h"

namespace tailgate::condition {

std::string_view name_of(ValueKind kind) {
  constexpr std::string_view kNames[] = {"nil",        "a boolean", "an integer", "a double",   "a string", "bytes",
                                         "a trace id", "a span id", "a time",     "a duration", "a map",    "a list"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::optional<std::string_view> Arena::copy(std::string_view text) {
  char* const p = chars(text.size());
  if (p == nullptr) return std::nullopt;
  std::copy(text.begin(), text.end(), p);
  return std::string_view(p, text.size());
}

// --- comparison

namespace {

double as_double(const Value& v) { return v.is(ValueKind::kInt) ? static_cast<double>(v.integer) : v.number; }

bool maps_equal(const Value& a, const Value& b, int depth) {
  if (size_of(a) != size_of(b)) return false;
  std::string_view key;
  Value left, right;
  for (MapReader reader(a); reader.next(key, left);) {
    if (!find_key(b, key, right) || !deep_equal(left, right, depth + 1)) return false;
  }
  return true;
}

bool lists_equal(const Value& a, const Value& b, int depth) {
  if (a.opaque || b.opaque) return a.opaque && b.opaque && a.text.data() == b.text.data() && a.field == b.field;
  ListReader left_reader(a), right_reader(b);
  Value left, right;
  while (true) {
    const bool more = left_reader.next(left);
    if (more != right_reader.next(right)) return false;
    if (!more) return true;
    if (!deep_equal(left, right, depth + 1)) return false;
  }
}

}  // namespace

// Inside maps and lists a value equals only one of its own type: 1 is not 1.0 there.
bool deep_equal(const Value& a, const Value& b, int depth) {
  if (a.kind != b.kind || depth > kNestingMax) return false;
  switch (a.kind) {
    case ValueKind::kNil:
      return true;
    case ValueKind::kDouble:
      return a.number == b.number;
    case ValueKind::kBool:
    case ValueKind::kInt:
    case ValueKind::kTime:
    case ValueKind::kDuration:
      return a.integer == b.integer;
    case ValueKind::kString:
    case ValueKind::kBytes:
    case ValueKind::kTraceId:
    case ValueKind::kSpanId:
      return a.text == b.text;
    case ValueKind::kMap:
      return maps_equal(a, b, depth);
    case ValueKind::kList:
      return lists_equal(a, b, depth);
  }
  return false;
}

bool compare(const Value& a, const Value& b, CompareOp op) {
  const bool numbers =
      (a.is(ValueKind::kInt) || a.is(ValueKind::kDouble)) && (b.is(ValueKind::kInt) || b.is(ValueKind::kDouble));
  if (a.kind != b.kind) return numbers ? ordered(as_double(a), as_double(b), op) : op == CompareOp::kNotEqual;
  switch (a.kind) {
    case ValueKind::kNil:
      return op == CompareOp::kEqual || op == CompareOp::kLessEqual || op == CompareOp::kGreaterEqual;
    case ValueKind::kDouble:
      return ordered(a.number, b.number, op);
    case ValueKind::kBool:
    case ValueKind::kInt:
    case ValueKind::kTime:
    case ValueKind::kDuration:
      return ordered(a.integer, b.integer, op);
    case ValueKind::kString:
    case ValueKind::kBytes:
      return ordered(a.text, b.text, op);
    case ValueKind::kTraceId:
    case ValueKind::kSpanId:
    case ValueKind::kMap:
    case ValueKind::kList:
      break;  // only equal or not
  }
  if (op != CompareOp::kEqual && op != CompareOp::kNotEqual) return false;
  return deep_equal(a, b) == (op == CompareOp::kEqual);
}

// --- text

namespace {

bool append_json_map(const Value& map, std::string& out, int depth) {
  std::vector<std::pair<std::string_view, Value>> entries;
  std::string_view key;
  Value value;
  for (MapReader reader(map); reader.next(key, value);) entries.emplace_back(key, value);
  // Go writes a map sorted by key; of duplicates the last one stays.
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  out += '{';
  bool first = true;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i + 1 < entries.size() && entries[i + 1].first == entries[i].first) continue;
    if (!first) out += ',';
    first = false;
    append_json_string(out, entries[i].first, JsonEscapes::kGo);
    out += ':';
    if (!append_json(entries[i].second, out, depth + 1)) return false;
  }
  out += '}';
  return true;
}

bool append_json_list(const Value& list, std::string& out, int depth) {
  out += '[';
  bool first = true;
  Value item;
  for (ListReader reader(list); reader.next(item);) {
    if (!first) out += ',';
    first = false;
    if (!append_json(item, out, depth + 1)) return false;
  }
  out += ']';
  return true;
}

}  // namespace

void append_double(double d, std::string& out) {
  char buffer[400];
  const double size = std::fabs(d);
  const bool exponent = size != 0 && (size < 1e-6 || size >= 1e21);
  const auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  const char* const end = std::to_chars(buffer, buffer + sizeof buffer, d, format).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  out += text;
  // Go shortens e-09 to e-9.
  if (exponent && text.size() >= 4 && text[text.size() - 4] == 'e' && text[text.size() - 2] == '0' &&
      text[text.size() - 3] == '-') {
    out.erase(out.size() - 2, 1);
  }
}

bool append_json(const Value& v, std::string& out, int depth) {
  if (depth > kNestingMax) return false;
  switch (v.kind) {
    case ValueKind::kNil:
      out += "null";
      return true;
    case ValueKind::kBool:
      out += v.boolean() ? "true" : "false";
      return true;
    case ValueKind::kInt:
    case ValueKind::kDuration:
      out += std::to_string(v.integer);
      return true;
    case ValueKind::kDouble:
      if (!std::isfinite(v.number)) return false;
      append_double(v.number, out);
      return true;
    case ValueKind::kString:
      append_json_string(out, v.text, JsonEscapes::kGo);
      return true;
    case ValueKind::kBytes:
      append_quoted_base64(out, v.text);
      return true;
    case ValueKind::kTraceId:
    case ValueKind::kSpanId:
      append_quoted_hex(out, v.text);
      return true;
    case ValueKind::kTime:
      return false;
    case ValueKind::kMap:
      return append_json_map(v, out, depth);
    case ValueKind::kList:
      return !v.opaque && append_json_list(v, out, depth);
  }
  return false;
}

bool append_text(const Value& v, std::string& out) {
  switch (v.kind) {
    case ValueKind::kString:
      out += v.text;
      return true;
    case ValueKind::kBytes:
    case ValueKind::kTraceId:
    case ValueKind::kSpanId:
      append_hex(out, v.text);
      return true;
    default:
      return append_json(v, out);
  }
}

std::optional<std::int64_t> parse_int(std::string_view text, int base) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::optional<double> parse_double(std::string_view text) {
  bool minus = false;
  if (text.starts_with('+') || text.starts_with('-')) {
    minus = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.empty() || text[0] == '+' || text[0] == '-') return std::nullopt;
  if (text.find('(') != std::string_view::npos) return std::nullopt;  // nan(...), which C++ reads
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) {
    text.remove_prefix(2);
    if (text.find_first_of("pP") == std::string_view::npos || text.find_first_of("+-") == 0) return std::nullopt;
  }
  double d = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), d,
                                            hex ? std::chars_format::hex : std::chars_format::general);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too small reads as 0 in Go, too large is an error; from_chars does not say which.
    const std::size_t e = text.find_first_of(hex ? "pP" : "eE");
    const bool small = e != std::string_view::npos ? text.substr(e + 1).starts_with('-')
                                                   : text.starts_with("0.") || text.starts_with('.');
    if (!small) return std::nullopt;
    d = 0;
  } else if (error != std::errc()) {
    return std::nullopt;
  }
  return minus ? -d : d;
}

std::int64_t truncate(double d) {
  if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0)) return INT64_MIN;
  return static_cast<std::int64_t>(d);
}

}  // namespace tailgate::condition
