// SPDX-License-Identifier: Apache-2.0
// The syntax of a condition, between parser and compiler: a flat list of nodes that refer to each other by index, each
// with the column where it begins. The language is that of OTTL conditions (contrib pkg/ottl, LANGUAGE.md), and for the
// `trace` policy a little more: duration literals and any(...), all(...), count(...).
//
// Threads: none; lives while a policy is loaded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tailgate::condition {

// What a condition is asked of, and so which paths and functions it knows.
enum class ConditionKind : std::uint8_t {
  kSpan,
  kSpanEvent,
  kTrace,  // duration, span_count, any(...), root.* ...
  kRoot,   // a part of a kTrace condition that speaks of root.* and constants alone
};

enum class CompareOp : std::uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };
enum class MathOp : std::uint8_t { kAdd, kSubtract, kMultiply, kDivide };

enum class AstKind : std::uint8_t {
  kOr,       // children: two or more conditions
  kAnd,      // children: two or more conditions
  kNot,      // children: one condition
  kCompare,  // children: left, right; compare
  kMath,     // children: left, right; math
  kNegate,   // children: one value
  kNil,
  kBool,      // integer: 0 or 1
  kInt,       // integer
  kDouble,    // number
  kString,    // text, escapes resolved
  kBytes,     // text, the bytes themselves
  kDuration,  // integer: nanoseconds
  kEnum,      // text
  kList,      // children: values
  kMap,       // children: key (kString), value, key, value ...
  kPath,      // children: kField
  kField,     // text; children: keys
  kCall,      // text; children: arguments
  kArgument,  // text: its name or ""; children: one value
  kIndexed,   // children: a call, then keys
};

using AstIndex = std::uint32_t;

struct AstNode {
  AstKind kind = AstKind::kNil;
  std::uint32_t column = 1;  // from 1, in bytes
  std::string text = {};
  std::int64_t integer = 0;
  double number = 0;
  CompareOp compare = CompareOp::kEqual;
  MathOp math = MathOp::kAdd;
  std::vector<AstIndex> children = {};
};

struct Ast {
  std::vector<AstNode> nodes;
  AstIndex root = 0;

  const AstNode& at(AstIndex i) const { return nodes[i]; }
  const AstNode& child(const AstNode& node, std::size_t i) const { return nodes[node.children[i]]; }
};

// "column 12: <what>".
tl::unexpected<Error> condition_error(std::uint32_t column, std::string what);

// Conditions are people's writing: some hundred characters. These bounds keep a hostile one from costing stack or
// memory.
inline constexpr std::size_t kConditionBytesMax = 16 * 1024;
inline constexpr std::size_t kConditionDepthMax = 64;  // of brackets, lists, calls and `not` inside each other

Result<Ast> parse_condition_syntax(std::string_view text, ConditionKind kind);

}  // namespace tailgate::condition
