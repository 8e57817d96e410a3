// SPDX-License-Identifier: Apache-2.0
// The converters of conditions (contrib pkg/ottl/ottlfuncs): the parameters and the function of each. call.cc looks
// them up; the other files of this folder have the functions, grouped by subject.
//
// A function is pure: its result depends on its arguments and, for Now, on the time when the request came.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string_view>

#include "decide/condition/expr.h"

namespace tailgate::condition {

// What an argument must be, and what is made of it first. "Like": converted; nil stays nil.
enum class Want : std::uint8_t {
  kNothing,  // end of the list
  kAny,
  kString,
  kStringLike,  // its text, JSON for maps and lists
  kIntLike,     // numbers, booleans; a string that is not an integer gives nil
  kDoubleLike,  // numbers, booleans, strings that are numbers
  kBoolLike,
  kBytesLike,  // bytes, the bytes of a string, numbers in big-endian order
  kInt,
  kBool,
  kTime,
  kDuration,
  kMap,
  kList,
  kListOfStrings,
};

struct Parameter {
  std::string_view name = {};
  Want want = Want::kNothing;
  bool optional = false;
};

// Something made from constant arguments when the condition is loaded: a compiled pattern, parsed networks.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

struct Arguments {
  const Value* values;
  std::uint32_t given;  // bit i: argument i was written
  const Prepared* prepared;

  const Value& operator[](std::size_t i) const { return values[i]; }
  bool has(std::size_t i) const { return (given >> i & 1) != 0; }
};

using ConvertFunction = bool (*)(Evaluation& e, const Arguments& arguments, Value& out);

// constants[i]: argument i if it is a constant, or null. Gives null when there is nothing to prepare; an error is one
// of the configuration: what was wanted of the argument.
struct PrepareError {
  std::size_t argument;
  std::string text;
};
using PrepareFunction =
    tl::expected<std::unique_ptr<const Prepared>, PrepareError> (*)(std::span<const Value* const> constants);

inline constexpr std::size_t kParametersMax = 4;

struct Converter {
  std::string_view name;
  std::array<Parameter, kParametersMax> parameters;
  ConvertFunction call;
  PrepareFunction prepare = nullptr;
  bool constant = true;    // constant arguments make a constant result
  bool span_only = false;  // not for span events
};

std::span<const Converter> type_converters();   // types.cc
std::span<const Converter> text_converters();   // text.cc
std::span<const Converter> regex_converters();  // regex.cc
std::span<const Converter> time_converters();   // time.cc
std::span<const Converter> hash_converters();   // hash.cc
std::span<const Converter> net_converters();    // net.cc
std::span<const Converter> json_converters();   // json.cc

}  // namespace tailgate::condition
