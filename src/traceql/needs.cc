// SPDX-License-Identifier: Apache-2.0
// Query::needs: what follows from a query for a trace as a whole. Where nothing follows nothing is said, and a need may
// be weaker than what is meant: `!=`, `<` and patterns need the attribute, whatever its value is, and what is denied
// needs nothing. Recursion is bounded by kDepthMax.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "traceql/ast.h"
#include "traceql/query.h"
#include "wire/otlp/attribute_text.h"

namespace tailgate::traceql {
namespace {

using Field = TraceTerm::Field;
using AnyOf = std::vector<TraceTerm>;

constexpr std::uint64_t kEver = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kListsMax = 16;   // in TraceNeeds::all
constexpr std::size_t kTermsMax = 256;  // in one of them

TraceTerm attribute_term(std::string key, std::optional<std::string> value = std::nullopt) {
  return {Field::kAttribute, std::move(key), std::move(value)};
}

void need(TraceNeeds& needs, AnyOf list) {
  if (list.size() > kTermsMax || needs.all.size() >= kListsMax) return;
  if (std::find(needs.all.begin(), needs.all.end(), list) == needs.all.end()) needs.all.push_back(std::move(list));
}

TraceNeeds both(TraceNeeds a, TraceNeeds b) {
  if (!a.id) a.id = b.id;
  for (AnyOf& list : b.all) need(a, std::move(list));
  a.span_duration_min_ns = std::max(a.span_duration_min_ns, b.span_duration_min_ns);
  a.trace_duration_min_ns = std::max(a.trace_duration_min_ns, b.trace_duration_min_ns);
  a.trace_duration_max_ns = std::min(a.trace_duration_max_ns, b.trace_duration_max_ns);
  return a;
}

// What both of them need. (x and y) or z needs x or z, and y or z.
TraceNeeds either(const TraceNeeds& a, const TraceNeeds& b) {
  TraceNeeds out;
  if (a.id == b.id) out.id = a.id;
  for (const AnyOf& x : a.all) {
    for (const AnyOf& y : b.all) {
      if (out.all.size() == kListsMax) break;
      AnyOf list = x;
      for (const TraceTerm& term : y) {
        if (list.size() > kTermsMax) break;
        if (std::find(list.begin(), list.end(), term) == list.end()) list.push_back(term);
      }
      need(out, std::move(list));
    }
  }
  out.span_duration_min_ns = std::min(a.span_duration_min_ns, b.span_duration_min_ns);
  out.trace_duration_min_ns = std::min(a.trace_duration_min_ns, b.trace_duration_min_ns);
  out.trace_duration_max_ns = std::max(a.trace_duration_max_ns, b.trace_duration_max_ns);
  return out;
}

// The text of every attribute that equals `v`; nothing where there are several, or it is not known. A number is an int
// or a double there, and both have the same text up to 2^53, but for 0, which may be "-0".
std::optional<std::string> text_of_equal(const Value& v) {
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  std::string out;
  if (v.type == Type::kString) return std::string(v.text);
  if (v.type == Type::kBool) return v.integer != 0 ? "true" : "false";
  if (is_integer(v.type)) {
    if (v.integer == 0 || v.integer > kExact || v.integer < -kExact) return std::nullopt;
    append_attribute_text(out, {AttributeValue::Kind::kInt, static_cast<std::uint64_t>(v.integer), {}});
    return out;
  }
  if (v.type != Type::kDouble || v.number == 0 || !(std::fabs(v.number) <= static_cast<double>(kExact)))
    return std::nullopt;
  append_attribute_text(out, {AttributeValue::Kind::kDouble, std::bit_cast<std::uint64_t>(v.number), {}});
  return out;
}

// The texts that a pattern without anything but | matches, as Grafana writes it for several values: "a|b". Empty: the
// pattern is more than that.
std::vector<std::string> plain_alternatives(std::string_view pattern) {
  std::vector<std::string> out(1);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '|') {
      out.emplace_back();
    } else if (c == '\\' && i + 1 < pattern.size() &&
               std::string_view(".+*?()[]{}|^$\\-/").find(pattern[i + 1]) != std::string_view::npos) {
      out.back() += pattern[++i];
    } else if (std::string_view("\\.+*?()[]{}^$").find(c) != std::string_view::npos || (c & 0x80) != 0) {
      return {};
    } else {
      out.back() += c;
    }
  }
  return out;
}

class Needs {
 public:
  explicit Needs(const Ast& ast) : ast_(ast) {}

  TraceNeeds of_pipeline(PipelineIndex index) const {
    TraceNeeds out;
    for (const Stage& stage : ast_.pipelines[index]) {
      if (stage.kind == StageKind::kSet) out = both(std::move(out), of_set(ast_.sets[stage.set]));
      if (stage.kind == StageKind::kScalar) out = both(std::move(out), of_scalar(stage));
    }
    return out;
  }

 private:
  TraceNeeds of_set(const SetNode& set) const {
    switch (set.kind) {
      case SetKind::kFilter:
        return set.expression ? of_condition(ast_.nodes[*set.expression]) : TraceNeeds();
      case SetKind::kPipeline:
        return of_pipeline(set.pipeline);
      case SetKind::kAnd:
      case SetKind::kOr:
        return of_children(set, set.kind == SetKind::kAnd, [&](SetIndex i) { return of_set(ast_.sets[i]); });
      case SetKind::kStructural:
        if (set.negated) return of_set(ast_.sets[set.children[1]]);
        return both(of_set(ast_.sets[set.children[0]]), of_set(ast_.sets[set.children[1]]));
    }
    return {};
  }

  template <class Parent, class Of>
  static TraceNeeds of_children(const Parent& parent, bool all, Of of) {
    TraceNeeds out = of(parent.children[0]);
    for (std::size_t i = 1; i < parent.children.size(); ++i)
      out = all ? both(std::move(out), of(parent.children[i])) : either(out, of(parent.children[i]));
    return out;
  }

  // A set passes only with a number in it, so one of its spans has what the expression asks for.
  TraceNeeds of_scalar(const Stage& stage) const {
    TraceNeeds out;
    if (!stage.expression) return out;
    const Node& node = ast_.nodes[*stage.expression];
    need_attributes(node, out);
    const bool at_most_the_longest = stage.aggregate != Aggregate::kSum;
    if (at_most_the_longest && node.kind == NodeKind::kIntrinsic && node.intrinsic == Intrinsic::kDuration)
      out.span_duration_min_ns = at_least(stage.op, stage.value);
    return out;
  }

  TraceNeeds of_condition(const Node& node) const {
    TraceNeeds out;
    switch (node.kind) {
      case NodeKind::kAnd:
      case NodeKind::kOr:
        return of_children(node, node.kind == NodeKind::kAnd, [&](NodeIndex i) { return of_condition(ast_.nodes[i]); });
      case NodeKind::kAttribute:
        need(out, {attribute_term(node.text, "true")});
        return out;
      case NodeKind::kCompare:
        return of_comparison(node);
      default:
        return out;
    }
  }

  TraceNeeds of_comparison(const Node& node) const {
    TraceNeeds out;
    const Node& left = ast_.nodes[node.children[0]];
    if (node.regex != nullptr) {
      if (node.op != Op::kMatch || !one_of(left, plain_alternatives(node.text), out)) need_attributes(left, out);
      return out;
    }
    const Node& right = ast_.nodes[node.children[1]];
    const bool nil = left.type == Type::kNil || right.type == Type::kNil;
    if (nil && node.op == Op::kEqual) return out;
    if (!nil && right.is_literal() && literal(left, node.op, right.literal(), out)) return out;
    if (!nil && left.is_literal() && literal(right, mirrored(node.op), left.literal(), out)) return out;
    need_attributes(left, out);
    need_attributes(right, out);
    return out;
  }

  static Op mirrored(Op op) {
    switch (op) {
      case Op::kLess:
        return Op::kGreater;
      case Op::kLessEqual:
        return Op::kGreaterEqual;
      case Op::kGreater:
        return Op::kLess;
      case Op::kGreaterEqual:
        return Op::kLessEqual;
      default:
        return op;
    }
  }

  // Every attribute that a comparison calculates with must be there. A condition inside it is false without.
  void need_attributes(const Node& node, TraceNeeds& out) const {
    if (node.kind == NodeKind::kAttribute) need(out, {attribute_term(node.text)});
    if (node.kind != NodeKind::kNegate && node.kind != NodeKind::kMath) return;
    for (const NodeIndex child : node.children) need_attributes(ast_.nodes[child], out);
  }

  // Adds to `out` that `node` is one of these texts. Returns false when the terms cannot say so.
  static bool one_of(const Node& node, const std::vector<std::string>& values, TraceNeeds& out) {
    const bool empty = std::find(values.begin(), values.end(), "") != values.end();
    if (values.empty() || values.size() > kTermsMax) return false;
    AnyOf list;
    for (const std::string& value : values) {
      if (node.kind == NodeKind::kAttribute) {
        list.push_back(attribute_term(node.text, value));
      } else if (node.kind == NodeKind::kIntrinsic && node.intrinsic == Intrinsic::kName) {
        list.push_back({Field::kSpanName, {}, value});
      } else if (node.kind == NodeKind::kIntrinsic && node.intrinsic == Intrinsic::kRootName && !empty) {
        list.push_back({Field::kSpanName, {}, value});
      } else if (node.kind == NodeKind::kIntrinsic && node.intrinsic == Intrinsic::kRootService && !empty) {
        list.push_back(attribute_term("service.name", value));
      }
    }
    if (list.empty()) return false;
    need(out, std::move(list));
    return true;
  }

  // Adds to `out` what `node op value` needs. Returns false when the terms cannot say so, and for an attribute also
  // when they do not say yet that it is there.
  static bool literal(const Node& node, Op op, const Value& value, TraceNeeds& out) {
    if (op == Op::kEqual) {
      const auto text = text_of_equal(value);
      if (text && one_of(node, {*text}, out)) return true;
    }
    if (node.kind != NodeKind::kIntrinsic) return false;
    switch (node.intrinsic) {
      case Intrinsic::kStatus:  // not unset, which other numbers than OTLP's are too
        if (op == Op::kEqual && value.integer != 0) need(out, {{Field::kStatus, {}, std::string(word_of(value))}});
        break;
      case Intrinsic::kKind:
        if (op == Op::kEqual && value.integer != 0) need(out, {{Field::kKind, {}, std::string(word_of(value))}});
        break;
      case Intrinsic::kTraceId:
        if (op == Op::kEqual) out.id = TraceId::from_short_hex(value.text);
        break;
      case Intrinsic::kDuration:
        out.span_duration_min_ns = at_least(op, value);
        break;
      case Intrinsic::kTraceDuration:
        out.trace_duration_min_ns = at_least(op, value);
        out.trace_duration_max_ns = at_most(op, value);
        break;
      default:
        break;
    }
    return true;
  }

  // The bounds of the whole numbers x >= 0 for which `x op value`.
  static std::uint64_t at_least(Op op, const Value& value) {
    if (op != Op::kEqual && op != Op::kGreater && op != Op::kGreaterEqual) return 0;
    const long double v = exact(value);
    const long double least = op == Op::kGreater ? std::floor(v) + 1 : std::ceil(v);
    return least <= 0 ? 0 : least >= 9.2e18L ? static_cast<std::uint64_t>(9.2e18L) : static_cast<std::uint64_t>(least);
  }
  static std::uint64_t at_most(Op op, const Value& value) {
    if (op != Op::kEqual && op != Op::kLess && op != Op::kLessEqual) return kEver;
    const long double v = exact(value);
    const long double most = op == Op::kLess ? std::ceil(v) - 1 : std::floor(v);
    return most <= 0 ? 0 : most >= 9.2e18L ? kEver : static_cast<std::uint64_t>(most);
  }

  const Ast& ast_;
};

}  // namespace

TraceNeeds Query::needs() const { return Needs(*ast_).of_pipeline(ast_->root); }

}  // namespace tailgate::traceql
