// SPDX-License-Identifier: Apache-2.0
// Compiles the syntax to Expr and Test. Common comparisons with a constant get a fast form (fast.cc). What does not
// depend on the span is computed here, once, and its errors are errors of the configuration.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/invariant.h"
#include "decide/condition/expr.h"

namespace tailgate::condition {
namespace {

class And final : public Test {
 public:
  explicit And(std::vector<TestPtr> parts) : parts_(std::move(parts)) {}
  Truth test(Evaluation& e) const override {
    for (const TestPtr& part : parts_) {
      if (const Truth t = part->test(e); t != Truth::kTrue) return t;
    }
    return Truth::kTrue;
  }
  int deciding_bit(Evaluation& e) const override {
    for (const TestPtr& part : parts_) {
      if (const int bit = part->deciding_bit(e); bit >= 0) return bit;
    }
    return -1;
  }

 private:
  std::vector<TestPtr> parts_;
};

class Or final : public Test {
 public:
  explicit Or(std::vector<TestPtr> parts) : parts_(std::move(parts)) {}
  Truth test(Evaluation& e) const override {
    for (const TestPtr& part : parts_) {
      if (const Truth t = part->test(e); t != Truth::kFalse) return t;
    }
    return Truth::kFalse;
  }
  int deciding_bit(Evaluation& e) const override {
    for (const TestPtr& part : parts_) {
      if (part->test(e) == Truth::kTrue) return part->deciding_bit(e);
    }
    return -1;
  }

 private:
  std::vector<TestPtr> parts_;
};

class Not final : public Test {
 public:
  explicit Not(TestPtr part) : part_(std::move(part)) {}
  Truth test(Evaluation& e) const override {
    const Truth t = part_->test(e);
    return t == Truth::kError ? t : t == Truth::kTrue ? Truth::kFalse : Truth::kTrue;
  }

 private:
  TestPtr part_;
};

class Constant final : public Test {
 public:
  explicit Constant(bool value) : value_(value ? Truth::kTrue : Truth::kFalse) {}
  Truth test(Evaluation&) const override { return value_; }

 private:
  Truth value_;
};

class Compare final : public Test {
 public:
  Compare(ExprPtr left, CompareOp op, ExprPtr right) : left_(std::move(left)), op_(op), right_(std::move(right)) {}
  Truth test(Evaluation& e) const override {
    Value left, right;
    if (!left_->evaluate(e, left) || !right_->evaluate(e, right)) return Truth::kError;
    return compare(left, right, op_) ? Truth::kTrue : Truth::kFalse;
  }

 private:
  ExprPtr left_;
  CompareOp op_;
  ExprPtr right_;
};

class CompareConstant final : public Test {
 public:
  CompareConstant(ExprPtr left, CompareOp op, const Value& right) : left_(std::move(left)), op_(op), right_(right) {}
  Truth test(Evaluation& e) const override {
    Value left;
    if (!left_->evaluate(e, left)) return Truth::kError;
    return compare(left, right_, op_) ? Truth::kTrue : Truth::kFalse;
  }

 private:
  ExprPtr left_;
  CompareOp op_;
  Value right_;
};

// A converter that answers yes or no.
class Answer final : public Test {
 public:
  explicit Answer(ExprPtr call) : call_(std::move(call)) {}
  Truth test(Evaluation& e) const override {
    Value v;
    if (!call_->evaluate(e, v)) return Truth::kError;
    if (!v.is(ValueKind::kBool)) {
      e.fail("the converter does not answer yes or no");
      return Truth::kError;
    }
    return v.boolean() ? Truth::kTrue : Truth::kFalse;
  }

 private:
  ExprPtr call_;
};

class List final : public Expr {
 public:
  explicit List(std::vector<ExprPtr> items) : items_(std::move(items)) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    Value* const items = e.arena.values(items_.size());
    if (items == nullptr) return e.fail("the list takes more than 16 MiB");
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!items_[i]->evaluate(e, items[i])) return false;
    }
    out = Value::of_list(items, items_.size());
    return true;
  }

 private:
  std::vector<ExprPtr> items_;
};

class Map final : public Expr {
 public:
  explicit Map(std::vector<std::pair<std::string_view, ExprPtr>> entries) : entries_(std::move(entries)) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    MapEntry* const entries = e.arena.entries(entries_.size());
    if (entries == nullptr) return e.fail("the map takes more than 16 MiB");
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      entries[i].key = entries_[i].first;
      if (!entries_[i].second->evaluate(e, entries[i].value)) return false;
    }
    out = Value::of_map(entries, entries_.size());
    return true;
  }

 private:
  std::vector<std::pair<std::string_view, ExprPtr>> entries_;
};

// The result of a converter, indexed; a missing key is an error there, unlike in a path.
class Indexed final : public Expr {
 public:
  Indexed(ExprPtr of, std::vector<Value> keys) : of_(std::move(of)), keys_(std::move(keys)) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    Value from;
    if (!of_->evaluate(e, out)) return false;
    for (const Value& key : keys_) {
      from = out;
      if (key.is(ValueKind::kString)) {
        if (!from.is(ValueKind::kMap)) return e.fail("only a map has keys");
        if (!find_key(from, key.text, out)) return e.fail("the map has no such key");
      } else if (from.is(ValueKind::kBytes)) {
        const bool inside = key.integer >= 0 && static_cast<std::uint64_t>(key.integer) < from.text.size();
        if (!inside) return e.fail("the index is past the end");
        out = Value::of_int(static_cast<std::uint8_t>(from.text[static_cast<std::size_t>(key.integer)]));
      } else {
        if (!from.is(ValueKind::kList)) return e.fail("only a list has indexes");
        if (!find_index(from, key.integer, out)) return e.fail("the index is past the end");
      }
    }
    return true;
  }

 private:
  ExprPtr of_;
  std::vector<Value> keys_;
};

struct EnumName {
  std::string_view name;
  std::int64_t value;
};
constexpr std::array kEnums = {
    EnumName{"SPAN_KIND_UNSPECIFIED", 0}, EnumName{"SPAN_KIND_INTERNAL", 1}, EnumName{"SPAN_KIND_SERVER", 2},
    EnumName{"SPAN_KIND_CLIENT", 3},      EnumName{"SPAN_KIND_PRODUCER", 4}, EnumName{"SPAN_KIND_CONSUMER", 5},
    EnumName{"STATUS_CODE_UNSET", 0},     EnumName{"STATUS_CODE_OK", 1},     EnumName{"STATUS_CODE_ERROR", 2},
};

constexpr CompareOp kMirrored[] = {CompareOp::kEqual,        CompareOp::kNotEqual, CompareOp::kGreater,
                                   CompareOp::kGreaterEqual, CompareOp::kLess,     CompareOp::kLessEqual};

// An evaluation that no span takes part in.
struct NoSpan {
  SpanFields span;
  ConditionContext context{span};
  Evaluation e{context};
};

}  // namespace

std::string_view Compiler::keep(std::string_view text) { return constants.copy(text).value_or(std::string_view()); }

bool Compiler::keep(const Value& value, Value& out, int depth) {
  out = value;
  if (depth > kNestingMax) return false;
  if (value.is(ValueKind::kList) || value.is(ValueKind::kMap)) {
    const std::size_t n = size_of(value);
    Value item;
    std::string_view key;
    Value* const items = value.is(ValueKind::kList) ? constants.values(n) : nullptr;
    MapEntry* const entries = value.is(ValueKind::kMap) ? constants.entries(n) : nullptr;
    if (items == nullptr && entries == nullptr) return false;
    ListReader list(value);
    MapReader map(value);
    for (std::size_t i = 0; i < n; ++i) {
      if (items != nullptr) {
        if (!list.next(item) || !keep(item, items[i], depth + 1)) return false;
      } else {
        if (!map.next(key, item) || !keep(item, entries[i].value, depth + 1)) return false;
        entries[i].key = keep(key);
      }
    }
    out = items != nullptr ? Value::of_list(items, n) : Value::of_map(entries, n);
    return true;
  }
  if (!value.text.empty()) out.text = keep(value.text);
  return true;
}

Result<ExprPtr> Compiler::value(AstIndex index) {
  const AstNode& n = ast.at(index);
  switch (n.kind) {
    case AstKind::kNil:
      return std::make_unique<Literal>(Value());
    case AstKind::kBool:
      return std::make_unique<Literal>(Value::of_bool(n.integer != 0));
    case AstKind::kInt:
      return std::make_unique<Literal>(Value::of_int(n.integer));
    case AstKind::kDouble:
      return std::make_unique<Literal>(Value::of_double(n.number));
    case AstKind::kString:
      return std::make_unique<Literal>(Value::of_text(keep(n.text)));
    case AstKind::kBytes:
      return std::make_unique<Literal>(Value::of_text(keep(n.text), ValueKind::kBytes));
    case AstKind::kDuration:
      return std::make_unique<Literal>(Value::of_duration(n.integer));
    case AstKind::kEnum:
      return enum_value(n);
    case AstKind::kMath:
    case AstKind::kNegate:
    case AstKind::kList:
    case AstKind::kMap:
    case AstKind::kIndexed:
      return composed(n);
    case AstKind::kPath:
      return kind == ConditionKind::kTrace ? trace_path(n) : path(n);
    case AstKind::kCall:
      if (kind == ConditionKind::kTrace && n.text == "count") return count(n);
      return call(n);
    default:
      return condition_error(n.column, "expected a value here, got a condition");
  }
}

Result<ExprPtr> Compiler::enum_value(const AstNode& n) const {
  const auto it = std::find_if(kEnums.begin(), kEnums.end(), [&](const EnumName& e) { return e.name == n.text; });
  if (it != kEnums.end()) return std::make_unique<Literal>(Value::of_int(it->value));
  std::string known;
  for (const EnumName& e : kEnums) known.append(known.empty() ? "" : ", ").append(e.name);
  return condition_error(n.column, fmt::format("expected one of {}, got '{}'", known, n.text));
}

// A value made of others. When none of its parts depends on the span, it is computed here, and its errors are errors of
// the configuration.
Result<ExprPtr> Compiler::composed(const AstNode& n) {
  // The values among the children: every second one of a map, the first one of an index.
  const bool map = n.kind == AstKind::kMap;
  const std::size_t end = n.kind == AstKind::kIndexed ? 1 : n.children.size();
  std::vector<ExprPtr> parts;
  bool constant = true;
  for (std::size_t i = map ? 1 : 0; i < end; i += map ? 2 : 1) {
    Result<ExprPtr> part = value(n.children[i]);
    if (!part) return part;
    constant = constant && (*part)->constant() != nullptr;
    parts.push_back(std::move(*part));
  }
  ExprPtr made = compose(n, std::move(parts));
  if (!constant) return made;
  NoSpan no_span;
  Value v, kept;
  if (!made->evaluate(no_span.e, v)) return condition_error(n.column, no_span.e.error);
  if (!keep(v, kept)) return condition_error(n.column, "expected a constant of at most 16 MiB and 100 levels");
  return std::make_unique<Literal>(kept);
}

ExprPtr Compiler::compose(const AstNode& n, std::vector<ExprPtr> parts) {
  if (n.kind == AstKind::kMath) return make_math(std::move(parts[0]), n.math, std::move(parts[1]));
  if (n.kind == AstKind::kNegate) return make_negate(std::move(parts[0]));
  if (n.kind == AstKind::kList) return std::make_unique<List>(std::move(parts));
  if (n.kind == AstKind::kMap) {
    std::vector<std::pair<std::string_view, ExprPtr>> entries;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::string& key = ast.child(n, 2 * i).text;
      std::erase_if(entries, [&](const auto& entry) { return entry.first == key; });  // the last one stays
      entries.emplace_back(keep(key), std::move(parts[i]));
    }
    return std::make_unique<Map>(std::move(entries));
  }
  INVARIANT(n.kind == AstKind::kIndexed);
  std::vector<Value> keys;
  for (std::size_t i = 1; i < n.children.size(); ++i) {
    const AstNode& key = ast.child(n, i);
    keys.push_back(key.kind == AstKind::kInt ? Value::of_int(key.integer) : Value::of_text(keep(key.text)));
  }
  return std::make_unique<Indexed>(std::move(parts[0]), std::move(keys));
}

Result<TestPtr> Compiler::test(AstIndex index) {
  const AstNode& n = ast.at(index);
  const bool joins = n.kind == AstKind::kAnd || n.kind == AstKind::kOr || n.kind == AstKind::kNot;
  if (kind == ConditionKind::kTrace && !joins) {
    if (n.kind == AstKind::kCall && (n.text == "any" || n.text == "all")) return any_or_all(n);
    if (speaks_of_root(index)) return root_test(index);
  }
  switch (n.kind) {
    case AstKind::kAnd:
    case AstKind::kOr: {
      std::vector<TestPtr> parts;
      std::vector<AstIndex> order = n.children;
      if (kind == ConditionKind::kTrace) {
        std::stable_partition(order.begin(), order.end(), [&](AstIndex i) { return !is_costly(i); });
      }
      for (const AstIndex i : order) {
        Result<TestPtr> part = test(i);
        if (!part) return part;
        parts.push_back(std::move(*part));
      }
      if (n.kind == AstKind::kAnd) return std::make_unique<And>(std::move(parts));
      return std::make_unique<Or>(std::move(parts));
    }
    case AstKind::kNot: {
      Result<TestPtr> part = test(n.children[0]);
      if (!part) return part;
      return std::make_unique<Not>(std::move(*part));
    }
    case AstKind::kBool:
      return std::make_unique<Constant>(n.integer != 0);
    case AstKind::kCompare:
      return comparison(n);
    case AstKind::kPath:
      if (kind != ConditionKind::kTrace || ast.child(n, 0).text != "complete") {
        return condition_error(
            n.column,
            "expected a comparison such as `... == \"x\"`, a converter that answers yes or no, true or false");
      }
      [[fallthrough]];
    case AstKind::kCall:
    case AstKind::kIndexed: {
      Result<ExprPtr> answer = value(index);
      if (!answer) return tl::unexpected(answer.error());
      if (const Value* const constant = (*answer)->constant(); constant != nullptr && !constant->is(ValueKind::kBool)) {
        return condition_error(
            n.column,
            fmt::format("expected a converter that returns true or false, this one gives {}", name_of(constant->kind)));
      }
      return std::make_unique<Answer>(std::move(*answer));
    }
    default:
      return condition_error(
          n.column, "expected a comparison such as `... == \"x\"`, a converter that answers yes or no, true or false");
  }
}

Result<TestPtr> Compiler::comparison(const AstNode& n) {
  Result<ExprPtr> left = value(n.children[0]);
  if (!left) return tl::unexpected(left.error());
  Result<ExprPtr> right = value(n.children[1]);
  if (!right) return tl::unexpected(right.error());
  CompareOp op = n.compare;
  for (std::size_t side = 0; side < 2; ++side) {
    const Value* const other = (side == 0 ? *right : *left)->constant();
    const AstNode& field = ast.child(n, side);
    if (kind != ConditionKind::kTrace || field.kind != AstKind::kPath || other == nullptr) continue;
    if (auto wrong = cannot_compare(field, ast.child(n, 1 - side), *other)) return tl::unexpected(std::move(*wrong));
  }
  if ((*left)->constant() != nullptr) {
    std::swap(left, right);
    op = kMirrored[static_cast<std::size_t>(op)];
  }
  notice_unlike(n, **left, **right);
  const Value* const constant = (*right)->constant();
  if (constant == nullptr) return std::make_unique<Compare>(std::move(*left), op, std::move(*right));
  if ((*left)->constant() != nullptr) return std::make_unique<Constant>(compare(*(*left)->constant(), *constant, op));
  if (TestPtr fast = fast_compare(**left, op, *constant); fast != nullptr) return fast;
  return std::make_unique<CompareConstant>(std::move(*left), op, *constant);
}

// compare() has the same answer for all values of these two kinds: they are unlike, or one of a kind without an order.
void Compiler::notice_unlike(const AstNode& n, const Expr& left, const Expr& right) {
  const std::optional<ValueKind> a = left.kind(), b = right.kind();
  if (!a || !b || (left.constant() != nullptr && right.constant() != nullptr)) return;
  const auto is_number = [](ValueKind k) { return k == ValueKind::kInt || k == ValueKind::kDouble; };
  const bool equality = n.compare == CompareOp::kEqual || n.compare == CompareOp::kNotEqual;
  const bool no_order =
      *a == ValueKind::kTraceId || *a == ValueKind::kSpanId || *a == ValueKind::kMap || *a == ValueKind::kList;
  if (*a == *b ? equality || !no_order : is_number(*a) && is_number(*b)) return;
  const bool duration = (*a == ValueKind::kDuration || *b == ValueKind::kDuration) && *a != *b;
  notices.push_back(
      condition_error(n.column,
                      fmt::format("is {} true: {} is compared with {}{}",
                                  n.compare == CompareOp::kNotEqual ? "always" : "never", name_of(*a), name_of(*b),
                                  !duration ? ""
                                  : kind == ConditionKind::kSpan || kind == ConditionKind::kSpanEvent
                                      ? "; a duration is Duration(\"300ms\")"
                                      : "; a duration is 300ms"))
          .value()
          .text);
}

void Compiler::take_notices(const Condition& inner) {
  notices.insert(notices.end(), inner.notices().begin(), inner.notices().end());
}

Condition::Condition(std::unique_ptr<const Arena> constants, std::unique_ptr<const Test> test, std::string attribute,
                     ConditionErrors errors, std::vector<std::string> notices)
    : constants_(std::move(constants)),
      test_(std::move(test)),
      attribute_(std::move(attribute)),
      errors_(std::move(errors)),
      notices_(std::move(notices)) {}
Condition::Condition(Condition&&) noexcept = default;
Condition& Condition::operator=(Condition&&) noexcept = default;
Condition::~Condition() = default;

Truth Condition::evaluate(const ConditionContext& context, const char** why) const {
  Evaluation e(context);
  const Truth truth = test_->test(e);
  if (truth == Truth::kError) {
    if (why != nullptr) *why = e.error;
    const bool again = context.no_root || (context.trace != nullptr && context.trace->again) ||
                       (context.span.context != nullptr && context.span.context->again);
    if (errors_ != nullptr && !again) errors_->fetch_add(1, std::memory_order_relaxed);
  }
  return truth;
}

int Condition::deciding_bit(const ConditionContext& context) const {
  Evaluation e(context);
  return test_->deciding_bit(e);
}

Result<Condition> compile_condition(const Ast& ast, AstIndex root, ConditionKind kind, ScanPlan& plan,
                                    ConditionErrors errors) {
  auto constants = std::make_unique<Arena>();
  Compiler compiler{ast, kind, plan, *constants, errors};
  Result<TestPtr> test = compiler.test(root);
  if (!test) return tl::unexpected(test.error());
  return Condition(std::move(constants), std::move(*test), std::move(compiler.attribute), std::move(errors),
                   std::move(compiler.notices));
}

Result<Condition> parse_condition(std::string_view text, ConditionKind kind, ScanPlan& plan, ConditionErrors errors) {
  const Result<Ast> ast = parse_condition_syntax(text, kind);
  if (!ast) return tl::unexpected(ast.error());
  return compile_condition(*ast, ast->root, kind, plan, std::move(errors));
}

}  // namespace tailgate::condition
