// SPDX-License-Identifier: Apache-2.0
// Conditions on whole traces: their own paths, any(...), all(...), count(...), and root.*. Questions about spans are
// answered as spans arrive and set a bit or add to a sum. When the trace closes, only these and its facts are read.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/units.h"
#include "config/config_node.h"
#include "decide/condition/expr.h"
#include "decide/condition/predicate.h"

namespace tailgate::condition {
namespace {

enum class TraceField : std::uint8_t {
  kDuration,
  kSpanCount,
  kErrorCount,
  kServiceCount,
  kDepth,
  kComplete,
  kCloseReason
};

struct TraceRow {
  std::string_view name;
  TraceField field;
  bool costly;
};
constexpr std::array kTracePaths = {
    TraceRow{"duration", TraceField::kDuration, false},
    TraceRow{"span_count", TraceField::kSpanCount, false},
    TraceRow{"error_count", TraceField::kErrorCount, false},
    TraceRow{"close_reason", TraceField::kCloseReason, false},
    TraceRow{"service_count", TraceField::kServiceCount, true},
    TraceRow{"depth", TraceField::kDepth, true},
    TraceRow{"complete", TraceField::kComplete, true},
};

const TraceRow* find_row(std::string_view name) {
  const auto it =
      std::find_if(kTracePaths.begin(), kTracePaths.end(), [&](const TraceRow& row) { return row.name == name; });
  return it == kTracePaths.end() ? nullptr : &*it;
}

class TraceExpr final : public Expr {
 public:
  explicit TraceExpr(TraceField field) : field_(field) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    const JudgedTrace& trace = *e.in.trace;
    switch (field_) {
      case TraceField::kDuration:
        out = Value::of_duration(trace.facts.duration_ns());
        return true;
      case TraceField::kSpanCount:
        out = Value::of_int(trace.facts.spans);
        return true;
      case TraceField::kErrorCount:
        out = Value::of_int(trace.facts.errors);
        return true;
      case TraceField::kServiceCount:
        out = trace.shape == nullptr ? Value() : Value::of_int(trace.shape->services());
        return true;
      case TraceField::kDepth:
        out = trace.shape == nullptr ? Value() : Value::of_int(trace.shape->depth());
        return true;
      case TraceField::kComplete:
        out = Value::of_bool(trace.complete());
        return true;
      case TraceField::kCloseReason:
        out = Value::of_text(kCloseReasonNames[static_cast<std::size_t>(trace.reason)]);
        return true;
    }
    return false;
  }

 private:
  TraceField field_;
};

class Sum final : public Expr {
 public:
  explicit Sum(std::size_t counter) : counter_(counter) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    out = Value::of_int(static_cast<std::int64_t>(e.in.trace->counters[counter_]));
    return true;
  }

 private:
  std::size_t counter_;
};

class Bit final : public Test {
 public:
  Bit(std::size_t bit, bool wanted) : bit_(bit), wanted_(wanted) {}
  Truth test(Evaluation& e) const override { return e.in.trace->bit(bit_) == wanted_ ? Truth::kTrue : Truth::kFalse; }
  int deciding_bit(Evaluation&) const override { return wanted_ ? static_cast<int>(bit_) : -1; }

 private:
  std::size_t bit_;
  bool wanted_;
};

class RootBit final : public Test {
 public:
  RootBit(std::size_t bit, std::size_t failed, Truth without) : bit_(bit), failed_(failed), without_(without) {}
  Truth test(Evaluation& e) const override {
    if (!e.in.trace->facts.root_seen) return without_;
    if (e.in.trace->bit(bit_)) return Truth::kTrue;
    return e.in.trace->bit(failed_) ? Truth::kError : Truth::kFalse;
  }
  int deciding_bit(Evaluation& e) const override {
    return e.in.trace->facts.root_seen && e.in.trace->bit(bit_) ? static_cast<int>(bit_) : -1;
  }

 private:
  std::size_t bit_;
  std::size_t failed_;  // true when the condition could not be evaluated on the root
  Truth without_;       // the answer for a trace that has no root
};

// Counts the spans for which a condition is true.
class Counter final : public SpanCounter {
 public:
  explicit Counter(Condition condition) : condition_(std::move(condition)) {}
  std::uint64_t on_span(const SpanFields& span) const override { return condition_.evaluate({span}) == Truth::kTrue; }

 private:
  Condition condition_;
};

// The condition inside any(...), all(...) or count(...), which is one on spans.
Result<Condition> inner_condition(const Ast& ast, const AstNode& call, ScanPlan& plan, ConditionErrors errors) {
  if (call.children.size() != 1)
    return condition_error(call.column, fmt::format("expected one condition on spans: {}(...)", call.text));
  const AstNode& argument = ast.child(call, 0);
  if (!argument.text.empty()) return condition_error(argument.column, "the condition has no name");
  return compile_condition(ast, argument.children[0], ConditionKind::kSpan, plan, std::move(errors));
}

// 0: it is not known, as nobody asked when the trace closed.
std::string count_words(std::uint32_t count) { return count != 0 ? fmt::format("{}", count) : ""; }

std::string field_words(const TraceRow& row, const JudgedTrace& trace) {
  switch (row.field) {
    case TraceField::kDuration:
      return format_duration(Duration(trace.facts.duration_ns()));
    case TraceField::kSpanCount:
      return fmt::format("{}", trace.facts.spans);
    case TraceField::kErrorCount:
      return fmt::format("{}", trace.facts.errors);
    case TraceField::kServiceCount:
      return count_words(trace.shape != nullptr ? trace.shape->services() : 0);
    case TraceField::kDepth:
      return count_words(trace.shape != nullptr ? trace.shape->depth() : 0);
    case TraceField::kComplete:
      return trace.complete() ? "true" : "false";
    case TraceField::kCloseReason:
      return std::string(kCloseReasonNames[static_cast<std::size_t>(trace.reason)]);
  }
  return "";
}

template <class Found>
bool any_path(const Ast& ast, AstIndex i, const Found& found) {
  const AstNode& n = ast.at(i);
  if (n.kind == AstKind::kPath) return found(ast.child(n, 0).text);
  // What is inside any(...) and its like is not ours.
  if (n.kind == AstKind::kCall && (n.text == "any" || n.text == "all" || n.text == "count")) return false;
  return std::any_of(n.children.begin(), n.children.end(), [&](AstIndex child) { return any_path(ast, child, found); });
}

}  // namespace

std::string trace_values(std::string_view condition, const JudgedTrace& trace) {
  const Result<Ast> ast = parse_condition_syntax(condition, ConditionKind::kTrace);
  std::vector<const TraceRow*> named;
  if (ast) {
    any_path(*ast, ast->root, [&](std::string_view first) {
      const TraceRow* const row = find_row(first);
      if (row != nullptr && std::find(named.begin(), named.end(), row) == named.end()) named.push_back(row);
      return false;
    });
  }
  std::string out;
  for (const TraceRow* row : named) {
    if (const std::string words = field_words(*row, trace); !words.empty())
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", row->name, words);
  }
  return out;
}

bool Compiler::speaks_of_root(AstIndex i) const {
  return any_path(ast, i, [](std::string_view first) { return first == "root"; });
}

bool Compiler::is_costly(AstIndex i) const {
  return any_path(ast, i, [](std::string_view first) {
    const TraceRow* const row = find_row(first);
    return row != nullptr && row->costly;
  });
}

Result<ExprPtr> Compiler::trace_path(const AstNode& node) {
  const AstNode& first = ast.child(node, 0);
  const TraceRow* const row = find_row(first.text);
  if (row != nullptr && node.children.size() == 1 && first.children.empty())
    return std::make_unique<TraceExpr>(row->field);
  if (row != nullptr) return condition_error(node.column, fmt::format("'{}' has no fields and no keys", first.text));
  if (first.text == "span" || first.text == "resource" || first.text == "attributes" || first.text == "scope" ||
      first.text == "name") {
    return condition_error(node.column, fmt::format("'{}' is a span's: ask any(...), all(...), count(...), or root.{}",
                                                    first.text, first.text));
  }
  std::vector<std::string> known;
  std::string list;
  for (const TraceRow& r : kTracePaths) {
    known.emplace_back(r.name);
    list.append(list.empty() ? "" : ", ").append(r.name);
  }
  const std::string near = nearest_name(first.text, known);
  return condition_error(node.column, fmt::format("no field '{}'{}; a trace has {} and root.*", first.text,
                                                  near.empty() ? "" : "; did you mean '" + near + "'?", list));
}

std::optional<Error> Compiler::cannot_compare(const AstNode& path, const AstNode& with, const Value& constant) const {
  const TraceRow* const row = find_row(ast.child(path, 0).text);
  if (row == nullptr || constant.is(ValueKind::kNil)) return std::nullopt;
  const auto wrong = [&](bool fits, std::string_view wanted) -> std::optional<Error> {
    if (fits) return std::nullopt;
    return condition_error(with.column, fmt::format("'{}' is compared with {}, not with {}", row->name, wanted,
                                                    name_of(constant.kind)))
        .value();
  };
  switch (row->field) {
    case TraceField::kDuration:
      return wrong(constant.is(ValueKind::kDuration), "a duration such as 2s or 500ms");
    case TraceField::kComplete:
      return wrong(constant.is(ValueKind::kBool), "true or false");
    case TraceField::kCloseReason:
      return wrong(constant.is(ValueKind::kString), "a text such as \"timeout\"");
    default:
      return wrong(constant.is(ValueKind::kInt) || constant.is(ValueKind::kDouble), "a number");
  }
}

Result<ExprPtr> Compiler::count(const AstNode& node) {
  Result<Condition> inner = inner_condition(ast, node, plan, errors);
  if (!inner) return tl::unexpected(inner.error());
  take_notices(*inner);
  return std::make_unique<Sum>(plan.add_sum(std::make_unique<Counter>(std::move(*inner))));
}

Result<TestPtr> Compiler::any_or_all(const AstNode& node) {
  Result<Condition> inner = inner_condition(ast, node, plan, errors);
  if (!inner) return tl::unexpected(inner.error());
  take_notices(*inner);
  const bool all = node.text == "all";
  const auto which = all ? ConditionPredicate::Which::kFails : ConditionPredicate::Which::kHolds;
  std::string looks_at = inner->attribute();
  const std::size_t bit = plan.add(std::make_unique<ConditionPredicate>(std::move(*inner), which), std::move(looks_at));
  return std::make_unique<Bit>(bit, !all);
}

Result<TestPtr> Compiler::root_test(AstIndex i) {
  Result<Condition> inner = compile_condition(ast, i, ConditionKind::kRoot, plan, errors);
  if (!inner) return tl::unexpected(inner.error());
  take_notices(*inner);
  const SpanFields nobody;
  ConditionContext nowhere{nobody};
  nowhere.no_root = true;
  const Truth without = inner->evaluate(nowhere);
  std::string looks_at = inner->attribute();
  const std::size_t bit =
      plan.add(std::make_unique<ConditionPredicate>(std::move(*inner), ConditionPredicate::Which::kRootHolds),
               std::move(looks_at));
  // Compiled again, for roots only. The first one counts the errors, so this one does not.
  Result<Condition> again = compile_condition(ast, i, ConditionKind::kRoot, plan, nullptr);
  if (!again) return tl::unexpected(again.error());
  const std::size_t failed =
      plan.add(std::make_unique<ConditionPredicate>(std::move(*again), ConditionPredicate::Which::kRootFails));
  return std::make_unique<RootBit>(bit, failed, without);
}

}  // namespace tailgate::condition
