// SPDX-License-Identifier: Apache-2.0
// Recursion follows the query's nodes and is bounded by kDepthMax.
#include "traceql/expression.h"

#include <algorithm>

#include "codec/hex.h"

namespace tailgate::traceql {
namespace {

// What a step pays for.
constexpr std::size_t kAttributesPerStep = 8, kBytesPerStep = 64, kArrayBytesPerStep = 4;
// RE2 takes half a nanosecond a byte, but for patterns whose states do not fit into its memory nearly two for each
// instruction of the pattern.
constexpr std::size_t kPatternBytesPerStep = 16, kInstructionsPerStep = 32;

}  // namespace

template <class Ask>
bool Expressions::any_subject(bool events, bool links, const TraceView::Span& span, Ask ask) {
  const std::size_t n = events ? span.events.size() : 0, m = links ? span.links.size() : 0;
  for (std::size_t i = 0; i <= n; ++i) {
    for (std::size_t k = 0; k <= m; ++k) {
      if (!steps_.spend()) return false;
      if (ask(Subject{span, i < n ? &span.events[i] : nullptr, k < m ? &span.links[k] : nullptr})) return true;
    }
  }
  return false;
}

bool Expressions::holds(NodeIndex node, std::uint32_t span) { return closed(ast_.nodes[node], trace_.spans()[span]); }

Value Expressions::value_of(NodeIndex index, std::uint32_t number) {
  const Node& node = ast_.nodes[index];
  const TraceView::Span& span = trace_.spans()[number];
  if (node.type == Type::kBool) return Value::of_bool(closed(node, span));
  Value found;
  any_subject(node.of_event, node.of_link, span, [&](const Subject& subject) {
    found = evaluate(node, subject);
    return !found.is_nil();
  });
  return found;
}

// The condition as a whole: is there an event, and a link, for which it is true? It may also be true without any event
// or link, since a part of an || may not need one.
bool Expressions::closed(const Node& node, const TraceView::Span& span) {
  if (!node.of_event && !node.of_link) return truth(node, {span});
  if (node.kind == NodeKind::kOr) {
    return std::any_of(node.children.begin(), node.children.end(),
                       [&](NodeIndex child) { return closed(ast_.nodes[child], span); });
  }
  if (node.kind == NodeKind::kAnd) return joined(node, span);
  return any_subject(node.of_event, node.of_link, span, [&](const Subject& s) { return truth(node, s); });
}

// Parts that speak of events and parts that speak of links need not be tried in pairs, unless one speaks of both.
bool Expressions::joined(const Node& node, const TraceView::Span& span) {
  bool pairs = false;
  for (const NodeIndex child : node.children) {
    const Node& part = ast_.nodes[child];
    pairs |= part.of_event && part.of_link;
    if (!part.of_event && !part.of_link && !truth(part, {span})) return false;
  }
  const auto all = [&](bool events, bool links, const Subject& subject) {
    return std::all_of(node.children.begin(), node.children.end(), [&](NodeIndex child) {
      const Node& part = ast_.nodes[child];
      const bool asked = (events && part.of_event) || (links && part.of_link);
      return !asked || truth(part, subject);
    });
  };
  const auto any = [&](bool events, bool links) {
    return any_subject(events, links, span, [&](const Subject& s) { return all(events, links, s); });
  };
  if (pairs) return any(true, true);
  return (!node.of_event || any(true, false)) && (!node.of_link || any(false, true));
}

bool Expressions::truth(const Node& node, const Subject& subject) {
  const auto part = [&](NodeIndex child) { return truth(ast_.nodes[child], subject); };
  if (node.kind == NodeKind::kAnd) return std::all_of(node.children.begin(), node.children.end(), part);
  if (node.kind == NodeKind::kOr) return std::any_of(node.children.begin(), node.children.end(), part);
  const Value value = evaluate(node, subject);
  return afford(value) && compare(value, Op::kEqual, Value::of_bool(true));
}

Value Expressions::evaluate(const Node& node, const Subject& subject) {
  if (!steps_.spend()) return Value::nil();
  switch (node.kind) {
    case NodeKind::kLiteral:
      return node.literal();
    case NodeKind::kAttribute:
      return attribute(node, subject);
    case NodeKind::kIntrinsic:
      return intrinsic(node.intrinsic, subject);
    case NodeKind::kNot:
      return Value::of_bool(!closed(ast_.nodes[node.children[0]], subject.span));
    case NodeKind::kNegate:
      return negate(evaluate(ast_.nodes[node.children[0]], subject));
    case NodeKind::kAnd:
    case NodeKind::kOr:
      return Value::of_bool(truth(node, subject));
    case NodeKind::kCompare:
      return Value::of_bool(compared(node, subject));
    case NodeKind::kMath:
      return calculate(evaluate(ast_.nodes[node.children[0]], subject), node.op,
                       evaluate(ast_.nodes[node.children[1]], subject));
  }
  return Value::nil();
}

bool Expressions::compared(const Node& node, const Subject& subject) {
  // False for = nil too: without an event there is nothing that could lack an attribute.
  if ((node.of_event && subject.event == nullptr) || (node.of_link && subject.link == nullptr)) return false;
  const Value left = evaluate(ast_.nodes[node.children[0]], subject);
  if (node.regex != nullptr) return matches(node, left);
  const Node& second = ast_.nodes[node.children[1]];
  const Value right = evaluate(second, subject);
  if (second.type == Type::kNil) return left.is_nil() == (node.op == Op::kEqual);
  if (ast_.nodes[node.children[0]].type == Type::kNil) return right.is_nil() == (node.op == Op::kEqual);
  return afford(left) && afford(right) && compare(left, node.op, right);
}

// Pays for comparing it.
bool Expressions::afford(const Value& value) {
  return steps_.spend(value.text.size() / (value.type == Type::kArray ? kArrayBytesPerStep : kBytesPerStep));
}

// Of an array, one element must match; with !~ none may, and one must be a string.
bool Expressions::matches(const Node& node, const Value& value) {
  const bool wanted = node.op == Op::kMatch;
  const auto full = [&](std::string_view text) {
    const auto instructions = static_cast<std::size_t>(node.regex->ProgramSize());
    if (!steps_.spend((1 + text.size() / kPatternBytesPerStep) * (1 + instructions / kInstructionsPerStep)))
      return false;
    return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *node.regex);
  };
  if (value.type == Type::kString) return full(value.text) == wanted;
  if (value.type != Type::kArray || !afford(value)) return false;
  bool strings = false;
  for (const AttributeValue& item : array_of({AttributeValue::Kind::kArray, 0, value.text})) {
    if (item.kind != AttributeValue::Kind::kString) continue;
    strings = true;
    if (full(item.bytes)) return wanted;
  }
  return strings && !wanted;
}

Value Expressions::find(const AttributeViews& attributes, const std::string& key) {
  if (!steps_.spend(attributes.size() / kAttributesPerStep)) return Value::nil();
  const AttributeValue* const found = find_attribute(attributes, key);
  return found == nullptr ? Value::nil() : Value::of_attribute(*found);
}

Value Expressions::attribute(const Node& node, const Subject& subject) {
  switch (node.scope) {
    case Scope::kAny: {
      const Value own = find(subject.span.attributes, node.text);
      return own.is_nil() ? find(trace_.resource(subject.span).attributes, node.text) : own;
    }
    case Scope::kSpan:
      return find(subject.span.attributes, node.text);
    case Scope::kResource:
      return find(trace_.resource(subject.span).attributes, node.text);
    case Scope::kInstrumentation:
      return find(trace_.scope(subject.span).attributes, node.text);
    case Scope::kEvent:
      return subject.event == nullptr ? Value::nil() : find(subject.event->attributes, node.text);
    case Scope::kLink:
      return subject.link == nullptr ? Value::nil() : find(subject.link->attributes, node.text);
    case Scope::kParent:
      break;  // the parser refuses it
  }
  return Value::nil();
}

Value Expressions::id(ByteView bytes) {
  std::string& text = ids_[id_turn_++ % ids_.size()];
  text.clear();
  if (steps_.spend(bytes.size() / kBytesPerStep)) append_hex(text, bytes);
  return Value::of_text(text);
}

Value Expressions::intrinsic(Intrinsic intrinsic, const Subject& subject) {
  const TraceView::Span& span = subject.span;
  const auto duration = [](std::uint64_t ns) { return Value::of(Type::kDuration, static_cast<std::int64_t>(ns)); };
  switch (intrinsic) {
    case Intrinsic::kName:
      return Value::of_text(span.name);
    case Intrinsic::kStatusMessage:
      return Value::of_text(span.status_message);
    case Intrinsic::kStatus:
      return Value::of(Type::kStatus, span.status_code <= 2 ? span.status_code : 0);
    case Intrinsic::kKind:
      return Value::of(Type::kKind, span.kind <= 5 ? span.kind : 0);
    case Intrinsic::kDuration:
      return duration(span.duration_ns);
    case Intrinsic::kSpanId:
      return id(span.span_id);
    case Intrinsic::kParentId:
      return span.parentless ? Value::of_text("") : id(span.parent_span_id);
    case Intrinsic::kChildCount:
      return Value::of(Type::kInt, span.children);
    case Intrinsic::kTraceDuration:
      return duration(trace_.duration_ns());
    case Intrinsic::kRootName:
      return Value::of_text(trace_.root_name());
    case Intrinsic::kRootService:
      return Value::of_text(trace_.root_service());
    case Intrinsic::kTraceId:
      return id(span.trace_id);
    case Intrinsic::kEventName:
      return subject.event == nullptr ? Value::nil() : Value::of_text(subject.event->name);
    case Intrinsic::kEventTimeSinceStart:
      return subject.event == nullptr ? Value::nil()
                                      : Value::of(Type::kDuration, duration_ns(span.start_ns, subject.event->time_ns));
    case Intrinsic::kLinkTraceId:
      return subject.link == nullptr ? Value::nil() : id(subject.link->trace_id);
    case Intrinsic::kLinkSpanId:
      return subject.link == nullptr ? Value::nil() : id(subject.link->span_id);
    case Intrinsic::kInstrumentationName:
      return Value::of_text(trace_.scope(span).name);
    case Intrinsic::kInstrumentationVersion:
      return Value::of_text(trace_.scope(span).version);
    case Intrinsic::kNestedSetParent:
      return Value::of(Type::kInt, span.nested_parent);
    case Intrinsic::kNestedSetLeft:
      return Value::of(Type::kInt, span.nested_left);
    case Intrinsic::kNestedSetRight:
      return Value::of(Type::kInt, span.nested_right);
  }
  return Value::nil();
}

}  // namespace tailgate::traceql
