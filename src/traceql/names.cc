// SPDX-License-Identifier: Apache-2.0
// The names of a query's words, and expressions as text.
#include <fmt/format.h>

#include <array>

#include "codec/json_text.h"
#include "traceql/ast.h"

namespace tailgate::traceql {
namespace {

using I = Intrinsic;
// In the order of Intrinsic.
constexpr std::array kIntrinsics = {
    IntrinsicInfo{I::kName, "name", "span:name", Type::kString, false},
    IntrinsicInfo{I::kStatusMessage, "statusMessage", "span:statusMessage", Type::kString, true},
    IntrinsicInfo{I::kStatus, "status", "span:status", Type::kStatus, true},
    IntrinsicInfo{I::kKind, "kind", "span:kind", Type::kKind, true},
    IntrinsicInfo{I::kDuration, "duration", "span:duration", Type::kDuration, false},
    IntrinsicInfo{I::kSpanId, "", "span:id", Type::kString, false, 16},
    IntrinsicInfo{I::kParentId, "", "span:parentID", Type::kString, true, 16},
    IntrinsicInfo{I::kChildCount, "", "span:childCount", Type::kInt, true},
    IntrinsicInfo{I::kTraceDuration, "traceDuration", "trace:duration", Type::kDuration, false},
    IntrinsicInfo{I::kRootName, "rootName", "trace:rootName", Type::kString, false},
    IntrinsicInfo{I::kRootService, "rootServiceName", "trace:rootService", Type::kString, false},
    IntrinsicInfo{I::kTraceId, "", "trace:id", Type::kString, false, 32},
    IntrinsicInfo{I::kEventName, "", "event:name", Type::kString, true},
    IntrinsicInfo{I::kEventTimeSinceStart, "", "event:timeSinceStart", Type::kDuration, true},
    IntrinsicInfo{I::kLinkTraceId, "", "link:traceID", Type::kString, true, 32},
    IntrinsicInfo{I::kLinkSpanId, "", "link:spanID", Type::kString, true, 16},
    IntrinsicInfo{I::kInstrumentationName, "", "instrumentation:name", Type::kString, true},
    IntrinsicInfo{I::kInstrumentationVersion, "", "instrumentation:version", Type::kString, true},
    IntrinsicInfo{I::kNestedSetParent, "nestedSetParent", "", Type::kInt, true},
    IntrinsicInfo{I::kNestedSetLeft, "nestedSetLeft", "", Type::kInt, true},
    IntrinsicInfo{I::kNestedSetRight, "nestedSetRight", "", Type::kInt, true},
};
static_assert(kIntrinsics.size() == static_cast<std::size_t>(I::kNestedSetRight) + 1);

std::string_view prefix_of(Scope scope) {
  static constexpr std::array<std::string_view, 7> kPrefixes = {
      ".", "span.", "resource.", "event.", "link.", "instrumentation.", "parent."};
  return kPrefixes[static_cast<std::size_t>(scope)];
}

std::string attribute_text(const Node& node) {
  std::string out(prefix_of(node.scope));
  if (node.text.find_first_of(" \t\n\v\f\r{}()=~!<>&|^,\"`") == std::string::npos) return out + node.text;
  append_json_string(out, node.text);
  return out;
}

std::string literal_text(const Node& node) {
  const Value& v = node.value;
  switch (v.type) {
    case Type::kString:
      return '`' + node.text + '`';
    case Type::kDuration:
      return format_go_duration(v.integer);
    case Type::kBool:
      return v.integer != 0 ? "true" : "false";
    case Type::kInt:
      return fmt::format("{}", v.integer);
    case Type::kDouble:
      return fmt::format("{}", v.number);
    case Type::kStatus:
    case Type::kKind:
      return std::string(word_of(v));
    default:
      return "nil";
  }
}

}  // namespace

const IntrinsicInfo& info_of(Intrinsic intrinsic) { return kIntrinsics[static_cast<std::size_t>(intrinsic)]; }

const IntrinsicInfo* find_intrinsic(std::string_view name) {
  for (const IntrinsicInfo& info : kIntrinsics) {
    if (!name.empty() && (info.word == name || info.scoped == name)) return &info;
  }
  return nullptr;
}

std::string_view name_of(Aggregate aggregate) {
  static constexpr std::array<std::string_view, 5> kNames = {"count", "min", "max", "avg", "sum"};
  return kNames[static_cast<std::size_t>(aggregate)];
}

// Recursion is bounded by kDepthMax.
std::string source_of(const Ast& ast, NodeIndex index) {
  const Node& node = ast.nodes[index];
  const auto operand = [&](NodeIndex child) {
    const Node& c = ast.nodes[child];
    const bool plain = c.is_literal() || c.kind == NodeKind::kAttribute || c.kind == NodeKind::kIntrinsic;
    return plain ? source_of(ast, child) : '(' + source_of(ast, child) + ')';
  };
  switch (node.kind) {
    case NodeKind::kLiteral:
      return literal_text(node);
    case NodeKind::kAttribute:
      return attribute_text(node);
    case NodeKind::kIntrinsic:
      return std::string(info_of(node.intrinsic).label());
    case NodeKind::kNot:
      return '!' + operand(node.children[0]);
    case NodeKind::kNegate:
      return '-' + operand(node.children[0]);
    case NodeKind::kAnd:
    case NodeKind::kOr: {
      std::string out;
      for (const NodeIndex child : node.children) {
        if (!out.empty()) out += node.kind == NodeKind::kAnd ? " && " : " || ";
        out += operand(child);
      }
      return out;
    }
    case NodeKind::kCompare:
    case NodeKind::kMath:
      return operand(node.children[0]) + ' ' + std::string(text_of(node.op)) + ' ' +
             (node.regex != nullptr ? '`' + node.text + '`' : operand(node.children[1]));
  }
  return "";
}

}  // namespace tailgate::traceql
