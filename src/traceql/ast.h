// SPDX-License-Identifier: Apache-2.0
// A parsed query: flat lists of nodes that refer to each other by number. Expressions stand for a value of one span,
// sets for a set of spans, and a pipeline is a row of stages. Built by the parser, which has checked the types;
// constant parts are folded. Immutable after that; any thread.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "traceql/token.h"
#include "traceql/value.h"

namespace tailgate::traceql {

// How deep expressions, sets and pipelines may stand inside each other: they are walked by recursion. Rows of the same
// `&&` or `||` are one node, however long.
inline constexpr std::uint32_t kDepthMax = 128;
inline constexpr std::size_t kLabelsMax = 16;    // by() and aggregates of a query: each group has a label of each
inline constexpr std::size_t kShownMax = 128;    // attributes of a span in an answer
inline constexpr std::size_t kPatternsMax = 64;  // different regular expressions, each with up to 1 MiB of RE2's
inline constexpr int kPatternSizeMax = 10'000;   // instructions that RE2 makes of one

enum class Intrinsic : std::uint8_t {
  kName,
  kStatusMessage,
  kStatus,
  kKind,
  kDuration,
  kSpanId,
  kParentId,
  kChildCount,
  kTraceDuration,
  kRootName,
  kRootService,
  kTraceId,
  kEventName,
  kEventTimeSinceStart,
  kLinkTraceId,
  kLinkSpanId,
  kInstrumentationName,
  kInstrumentationVersion,
  kNestedSetParent,
  kNestedSetLeft,
  kNestedSetRight,
};

struct IntrinsicInfo {
  Intrinsic intrinsic;
  std::string_view word, scoped;  // "name", "span:name"; either may be ""
  Type type;
  bool shown;                  // among the attributes of a span in an answer
  std::uint8_t id_digits = 0;  // of ids in hex, whose literals are padded

  std::string_view label() const { return word.empty() ? scoped : word; }
};
const IntrinsicInfo& info_of(Intrinsic intrinsic);
const IntrinsicInfo* find_intrinsic(std::string_view name);

using NodeIndex = std::uint32_t;

enum class NodeKind : std::uint8_t {
  kLiteral,    // value
  kAttribute,  // scope, text
  kIntrinsic,  // intrinsic
  kNot,        // one child
  kNegate,     // one child
  kAnd,        // two or more children
  kOr,         // two or more children
  kCompare,    // op, two children; or op and one child with `regex`
  kMath,       // op, two children
};

struct Node {
  NodeKind kind = NodeKind::kLiteral;
  Type type = Type::kAny;
  Op op = Op::kEqual;
  Scope scope = Scope::kAny;
  Intrinsic intrinsic = Intrinsic::kName;
  // It speaks of an event, a link, outside of `!`: all such parts of one expression speak of the same.
  bool of_event = false, of_link = false;
  std::uint32_t depth = 1;
  std::size_t offset = 0;  // in the query
  Value value = {};
  std::string text = {};  // of a string literal and a pattern too
  std::shared_ptr<const RE2> regex = nullptr;
  std::vector<NodeIndex> children = {};

  bool is_literal() const { return kind == NodeKind::kLiteral; }
  Value literal() const { return value.type == Type::kString ? Value::of_text(text) : value; }
};

enum class Relation : std::uint8_t { kParent, kAncestor, kChild, kDescendant, kSibling };  // > >> < << ~

using SetIndex = std::uint32_t;
using PipelineIndex = std::uint32_t;

enum class SetKind : std::uint8_t {
  kFilter,      // {expression}, or {} when there is none
  kPipeline,    // (pipeline)
  kAnd,         // two or more children
  kOr,          // two or more children
  kStructural,  // two children
};

struct SetNode {
  SetKind kind = SetKind::kFilter;
  std::optional<NodeIndex> expression = {};
  PipelineIndex pipeline = 0;
  Relation relation = Relation::kParent;
  bool negated = false, both = false;  // !> and &>
  bool uses_tree = false;              // it or a child is kStructural
  std::uint32_t depth = 1;
  std::vector<SetIndex> children = {};
};

enum class Aggregate : std::uint8_t { kCount, kMin, kMax, kAvg, kSum };
std::string_view name_of(Aggregate aggregate);

enum class StageKind : std::uint8_t { kSet, kScalar, kBy, kSelect, kCoalesce };

struct Stage {
  StageKind kind = StageKind::kSet;
  SetIndex set = 0;
  Aggregate aggregate = Aggregate::kCount;
  std::optional<NodeIndex> expression = {};  // of kBy, and of kScalar but for count()
  Op op = Op::kEqual;                        // of kScalar, with what it is compared to
  Value value = {};
  std::string label = {};  // of kBy and kScalar: "by(name)", "avg(duration)"
};

struct Ast {
  std::vector<Node> nodes;
  std::vector<SetNode> sets;
  std::vector<std::vector<Stage>> pipelines;
  PipelineIndex root = 0;
  bool most_recent = false;
  bool uses_name = false;
  std::vector<NodeIndex> shown;  // the attributes and intrinsics that an answer has, in the order of the query
};

// Errors begin with the place: "line 1, column 10: ".
Result<std::shared_ptr<const Ast>> parse_syntax(std::string_view text);

std::string source_of(const Ast& ast, NodeIndex node);  // as Tempo writes it: "span.a + 1"

}  // namespace tailgate::traceql
