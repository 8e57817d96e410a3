// SPDX-License-Identifier: Apache-2.0
// Value: what an expression of a query stands for, for one span. Small; it owns nothing: texts and lists are views of
// the trace, of the query or of constants. The rules of comparing and calculating are here, so that the folding of
// constants and the evaluation cannot differ. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/otlp/attribute_value.h"

namespace tailgate::traceql {

enum class Type : std::uint8_t {
  kNil,  // of a value: missing; of an expression: the word nil
  kBool,
  kInt,
  kDouble,
  kDuration,  // nanoseconds
  kString,
  kStatus,  // StatusCode's numbers
  kKind,    // SpanKind's numbers
  kAny,     // of an expression: an attribute, whose type the span decides
  kArray,   // of values only
  kOther,   // a map or bytes: there, and equal to nothing
};
std::string_view name_of(Type type);  // "a string"

enum class Op : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kMatch,
  kNotMatch,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
};
std::string_view text_of(Op op);
constexpr bool is_math(Op op) { return op >= Op::kAdd; }
constexpr bool is_regex(Op op) { return op == Op::kMatch || op == Op::kNotMatch; }

struct Value {
  Type type = Type::kNil;
  union {
    std::int64_t integer = 0;  // bool, int, duration, status, kind
    double number;
  };
  std::string_view text = {};  // a string; of an array, its bytes; of a map or bytes, those
  AttributeValue::Kind wire = AttributeValue::Kind::kUnset;  // of kArray and kOther

  static Value nil() { return {}; }
  static Value of(Type type, std::int64_t integer) {
    Value v;
    v.type = type;
    v.integer = integer;
    return v;
  }
  static Value of_bool(bool b) { return of(Type::kBool, b ? 1 : 0); }
  static Value of_double(double d) {
    Value v;
    v.type = Type::kDouble;
    v.number = d;
    return v;
  }
  static Value of_text(std::string_view text) {
    Value v;
    v.type = Type::kString;
    v.text = text;
    return v;
  }
  static Value of_attribute(const AttributeValue& attribute);

  bool is_nil() const { return type == Type::kNil; }
  bool is_true() const { return type == Type::kBool && integer != 0; }
};

constexpr bool is_integer(Type t) { return t == Type::kInt || t == Type::kDuration; }
constexpr bool is_number(Type t) { return is_integer(t) || t == Type::kDouble; }

// Of a number, without loss: it holds every int64 and every double.
inline long double exact(const Value& v) {
  return v.type == Type::kDouble ? static_cast<long double>(v.number) : static_cast<long double>(v.integer);
}

// Of numbers with numbers, by their exact value, and of like with like; anything else is false, != too. Strings compare
// bytewise. Status, kind and bool know only equal and not. Of an array one element must meet `op`; with != none may be
// equal, and one must be of a like type.
bool compare(const Value& a, Op op, const Value& b);

// Missing unless both are numbers, and when there is no result (division by 0, not a number). Whole numbers stay whole
// while the result is one that fits, and a result is a duration when one of the two is and it is whole.
Value calculate(const Value& a, Op op, const Value& b);
Value negate(const Value& v);

// As an attribute of the answer: `bits` and `text` as in AttributeValue. Status and kind are words, durations Go's
// texts, arrays as they were, and what is missing the word nil.
struct NamedValue {
  std::string key;
  AttributeValue::Kind kind = AttributeValue::Kind::kString;
  std::uint64_t bits = 0;
  std::string text = {};

  AttributeValue value() const { return {kind, bits, text}; }
};
NamedValue named(std::string key, const Value& value);

std::string format_go_duration(std::int64_t ns);  // "1.5s", "1m0s", "560.4ms", "0s"
std::optional<std::int64_t> status_of_word(std::string_view word);
std::optional<std::int64_t> kind_of_word(std::string_view word);
std::string_view word_of(const Value& status_or_kind);

}  // namespace tailgate::traceql
