// SPDX-License-Identifier: Apache-2.0
// Arithmetic of conditions, as OTTL has it: integers, doubles, times and durations. Integers wrap around, as Go's do.
#include "decide/condition/expr.h"

namespace tailgate::condition {
namespace {

bool is_number(const Value& v) { return v.is(ValueKind::kInt) || v.is(ValueKind::kDouble); }

template <class T>
T apply(T x, T y, MathOp op) {
  return op == MathOp::kAdd ? x + y : op == MathOp::kSubtract ? x - y : x * y;
}

bool math_of_ints(Evaluation& e, std::int64_t x, std::int64_t y, MathOp op, std::int64_t& out) {
  if (op == MathOp::kDivide) {
    if (y == 0) return e.fail("division by zero");
    out = y == -1 ? static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(x)) : x / y;
  } else {
    out = static_cast<std::int64_t>(apply(static_cast<std::uint64_t>(x), static_cast<std::uint64_t>(y), op));
  }
  return true;
}

bool math_of(Evaluation& e, const Value& x, const Value& y, MathOp op, Value& out) {
  std::int64_t n = 0;
  if (x.is(ValueKind::kInt) && y.is(ValueKind::kInt)) {
    if (!math_of_ints(e, x.integer, y.integer, op, n)) return false;
    out = Value::of_int(n);
    return true;
  }
  if (is_number(x) && is_number(y)) {
    const double a = x.is(ValueKind::kInt) ? static_cast<double>(x.integer) : x.number;
    const double b = y.is(ValueKind::kInt) ? static_cast<double>(y.integer) : y.number;
    if (op == MathOp::kDivide && b == 0) return e.fail("division by zero");
    out = Value::of_double(op == MathOp::kDivide ? a / b : apply(a, b, op));
    return true;
  }
  const bool time = x.is(ValueKind::kTime), duration = x.is(ValueKind::kDuration);
  if (!time && !duration) return e.fail("expected numbers, times or durations to calculate with");
  if (op != MathOp::kAdd && op != MathOp::kSubtract) return e.fail("times and durations take + and - alone");
  const bool to_time = y.is(ValueKind::kTime), to_duration = y.is(ValueKind::kDuration);
  math_of_ints(e, x.integer, y.integer, op, n);
  if (to_duration) {
    out = time ? Value::of_time(n, x.zone) : Value::of_duration(n);
  } else if (to_time && time && op == MathOp::kSubtract) {
    out = Value::of_duration(n);
  } else if (to_time && duration && op == MathOp::kAdd) {
    out = Value::of_time(n, y.zone);
  } else {
    return e.fail("a time or duration cannot be calculated with that");
  }
  return true;
}

class Math final : public Expr {
 public:
  Math(ExprPtr left, MathOp op, ExprPtr right) : left_(std::move(left)), op_(op), right_(std::move(right)) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    Value x, y;
    return left_->evaluate(e, x) && right_->evaluate(e, y) && math_of(e, x, y, op_, out);
  }
  std::optional<ValueKind> kind() const override {
    const std::optional<ValueKind> left = left_->kind(), right = right_->kind();
    if (!left || !right) return std::nullopt;
    const auto one = [](ValueKind kind) {
      Value v = kind == ValueKind::kDouble ? Value::of_double(1) : Value::of_int(1);
      v.kind = kind;
      return v;
    };
    const SpanFields empty;
    const ConditionContext nobody{empty};
    Evaluation e(nobody);
    Value out;
    if (!math_of(e, one(*left), one(*right), op_, out)) return std::nullopt;
    return out.kind;
  }

 private:
  ExprPtr left_;
  MathOp op_;
  ExprPtr right_;
};

class Negate final : public Expr {
 public:
  explicit Negate(ExprPtr of) : of_(std::move(of)) {}
  bool evaluate(Evaluation& e, Value& out) const override {
    if (!of_->evaluate(e, out)) return false;
    if (!is_number(out)) return e.fail("expected a number after the minus sign");
    out = out.is(ValueKind::kInt)
              ? Value::of_int(static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(out.integer)))
              : Value::of_double(-out.number);
    return true;
  }

 private:
  ExprPtr of_;
};

}  // namespace

ExprPtr make_math(ExprPtr left, MathOp op, ExprPtr right) {
  return std::make_unique<Math>(std::move(left), op, std::move(right));
}

ExprPtr make_negate(ExprPtr of) { return std::make_unique<Negate>(std::move(of)); }

}  // namespace tailgate::condition
