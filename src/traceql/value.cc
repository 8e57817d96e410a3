// SPDX-License-Identifier: Apache-2.0
#include "traceql/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "model/trace_needs.h"
#include "wire/otlp/span_view.h"

namespace tailgate::traceql {
namespace {

using Wire = AttributeValue::Kind;

template <class Words>
std::optional<std::int64_t> find_word(const Words& words, std::string_view word) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return std::nullopt;
  return found - words.begin();
}

template <class T>
bool ordered(const T& a, Op op, const T& b) {
  switch (op) {
    case Op::kEqual:
      return a == b;
    case Op::kNotEqual:
      return a != b;
    case Op::kLess:
      return a < b;
    case Op::kLessEqual:
      return a <= b;
    case Op::kGreater:
      return a > b;
    case Op::kGreaterEqual:
      return a >= b;
    default:
      return false;
  }
}

// One element must satisfy the comparison. With != no element may be equal to `b`, and one must be of a kind that can
// be compared with `b`.
bool compare_array(const Value& array, Op op, const Value& b, bool swapped) {
  bool unequal = false;
  for (const AttributeValue& item : array_of({Wire::kArray, 0, array.text})) {
    const Value element = Value::of_attribute(item);
    if (element.type == Type::kArray) continue;
    const auto meets = [&](Op asked) { return swapped ? compare(b, asked, element) : compare(element, asked, b); };
    if (op == Op::kNotEqual) {
      if (meets(Op::kEqual)) return false;
      unequal |= meets(Op::kNotEqual);
    } else if (meets(op)) {
      return true;
    }
  }
  return unequal;
}

std::optional<std::int64_t> whole_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return std::nullopt;
  std::int64_t result = 1;
  while (true) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return std::nullopt;
    exponent >>= 1;
    if (exponent == 0) return result;
    if (__builtin_mul_overflow(base, base, &base)) return std::nullopt;
  }
}

// The result as a whole number, if it is one and fits.
std::optional<std::int64_t> whole(std::int64_t a, Op op, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Op::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Op::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Op::kDivide:
      if (b == 0 || (a == INT64_MIN && b == -1) || a % b != 0) return std::nullopt;
      return a / b;
    case Op::kModulo:
      if (b == 0) return std::nullopt;
      return b == -1 ? 0 : a % b;
    case Op::kPower:
      return whole_power(a, b);
    default:
      return std::nullopt;
  }
}

double calculate_double(double a, Op op, double b) {
  switch (op) {
    case Op::kAdd:
      return a + b;
    case Op::kSubtract:
      return a - b;
    case Op::kMultiply:
      return a * b;
    case Op::kDivide:
      return b == 0 ? NAN : a / b;
    case Op::kModulo:
      return std::fmod(a, b);
    case Op::kPower:
      return std::pow(a, b);
    default:
      return NAN;
  }
}

}  // namespace

std::string_view name_of(Type type) {
  switch (type) {
    case Type::kNil:
      return "nil";
    case Type::kBool:
      return "a condition";
    case Type::kInt:
      return "an integer";
    case Type::kDouble:
      return "a number";
    case Type::kDuration:
      return "a duration";
    case Type::kString:
      return "a string";
    case Type::kStatus:
      return "a status (error, ok or unset, without quotes)";
    case Type::kKind:
      return "a kind (server, client, internal, producer, consumer or unspecified, without quotes)";
    case Type::kAny:
      return "an attribute";
    case Type::kArray:
      return "an array";
    case Type::kOther:
      return "another value";
  }
  return "";
}

std::string_view text_of(Op op) {
  static constexpr std::array<std::string_view, 14> kTexts = {"=",  "!=", "<", "<=", ">", ">=", "=~",
                                                              "!~", "+",  "-", "*",  "/", "%",  "^"};
  return kTexts[static_cast<std::size_t>(op)];
}

Value Value::of_attribute(const AttributeValue& attribute) {
  switch (attribute.kind) {
    case Wire::kUnset:
      return nil();
    case Wire::kString:
      return of_text(attribute.bytes);
    case Wire::kBool:
      return of_bool(attribute.bits != 0);
    case Wire::kInt:
      return of(Type::kInt, static_cast<std::int64_t>(attribute.bits));
    case Wire::kDouble:
      return of_double(std::bit_cast<double>(attribute.bits));
    default: {
      Value v;
      v.type = attribute.kind == Wire::kArray ? Type::kArray : Type::kOther;
      v.text = attribute.bytes;
      v.wire = attribute.kind;
      return v;
    }
  }
}

bool compare(const Value& a, Op op, const Value& b) {
  if (a.type == Type::kArray && b.type == Type::kArray) return false;
  if (a.is_nil() || b.is_nil()) return false;
  if (a.type == Type::kArray) return compare_array(a, op, b, false);
  if (b.type == Type::kArray) return compare_array(b, op, a, true);
  if (is_number(a.type) && is_number(b.type)) {
    if (is_integer(a.type) && is_integer(b.type)) return ordered(a.integer, op, b.integer);
    return ordered(exact(a), op, exact(b));
  }
  if (a.type != b.type) return false;
  if (a.type == Type::kString) return ordered(a.text, op, b.text);
  const bool known = a.type == Type::kBool || a.type == Type::kStatus || a.type == Type::kKind;
  return known && (op == Op::kEqual || op == Op::kNotEqual) && ordered(a.integer, op, b.integer);
}

Value calculate(const Value& a, Op op, const Value& b) {
  if (!is_number(a.type) || !is_number(b.type)) return Value::nil();
  const bool duration = a.type == Type::kDuration || b.type == Type::kDuration;
  if (is_integer(a.type) && is_integer(b.type)) {
    if (const auto result = whole(a.integer, op, b.integer))
      return Value::of(duration ? Type::kDuration : Type::kInt, *result);
  }
  const double result = calculate_double(static_cast<double>(exact(a)), op, static_cast<double>(exact(b)));
  return std::isnan(result) ? Value::nil() : Value::of_double(result);
}

Value negate(const Value& v) {
  if (v.type == Type::kDouble) return Value::of_double(-v.number);
  if (!is_integer(v.type)) return Value::nil();
  return v.integer == INT64_MIN ? Value::of_double(-static_cast<double>(v.integer)) : Value::of(v.type, -v.integer);
}

NamedValue named(std::string key, const Value& value) {
  NamedValue out;
  out.key = std::move(key);
  switch (value.type) {
    case Type::kBool:
      out.kind = Wire::kBool;
      out.bits = value.integer != 0 ? 1 : 0;
      break;
    case Type::kInt:
      out.kind = Wire::kInt;
      out.bits = static_cast<std::uint64_t>(value.integer);
      break;
    case Type::kDouble:
      out.kind = Wire::kDouble;
      out.bits = std::bit_cast<std::uint64_t>(value.number);
      break;
    case Type::kDuration:
      out.text = format_go_duration(value.integer);
      break;
    case Type::kString:
      out.text = value.text;
      break;
    case Type::kStatus:
    case Type::kKind:
      out.text = word_of(value);
      break;
    case Type::kArray:
    case Type::kOther:
      out.kind = value.wire;
      out.text = value.text;
      break;
    case Type::kNil:
    case Type::kAny:
      out.text = "nil";
  }
  return out;
}

std::string format_go_duration(std::int64_t ns) {
  if (ns == 0) return "0s";
  const std::uint64_t size = ns < 0 ? ~static_cast<std::uint64_t>(ns) + 1 : static_cast<std::uint64_t>(ns);
  std::string out = ns < 0 ? "-" : "";
  // A whole part and the digits of the rest without zeros at its end.
  const auto append = [&](std::uint64_t value, std::uint64_t one, int digits, std::string_view unit) {
    out += fmt::format("{}", value / one);
    if (value % one != 0) {
      std::string rest = fmt::format("{:0{}}", value % one, digits);
      while (rest.back() == '0') rest.pop_back();
      out += '.' + rest;
    }
    out += unit;
  };
  if (size < 1'000) {
    append(size, 1, 0, "ns");
  } else if (size < 1'000'000) {
    append(size, 1'000, 3, "µs");
  } else if (size < 1'000'000'000) {
    append(size, 1'000'000, 6, "ms");
  } else {
    constexpr std::uint64_t kMinute = 60'000'000'000, kHour = 60 * kMinute;
    if (size >= kHour) out += fmt::format("{}h", size / kHour);
    if (size >= kMinute) out += fmt::format("{}m", size % kHour / kMinute);
    append(size % kMinute, 1'000'000'000, 9, "s");
  }
  return out;
}

std::optional<std::int64_t> status_of_word(std::string_view word) { return find_word(kStatusWords, word); }
std::optional<std::int64_t> kind_of_word(std::string_view word) { return find_word(kKindWords, word); }
std::string_view word_of(const Value& v) {
  const auto i = static_cast<std::size_t>(v.integer);
  return v.type == Type::kStatus ? kStatusWords[i] : kKindWords[i];
}

}  // namespace tailgate::traceql
