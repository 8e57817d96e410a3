// SPDX-License-Identifier: Apache-2.0
// What a condition is compiled to: values (Expr) and yes-or-no questions (Test), evaluated per span.
//
// Threads: immutable once compiled; an Evaluation belongs to one call.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "decide/condition/condition.h"
#include "decide/condition/value.h"

namespace tailgate::condition {

struct Evaluation {
  explicit Evaluation(const ConditionContext& context) : in(context) {}

  const ConditionContext& in;
  Arena arena;
  const char* error = nullptr;

  bool fail(const char* why) {
    error = why;
    return false;
  }
  // Puts a text that was built elsewhere into the arena.
  bool own(std::string_view text, Value& out, ValueKind kind = ValueKind::kString) {
    const auto copy = arena.copy(text);
    if (!copy) return fail("the value takes more than 16 MiB");
    out = Value::of_text(*copy, kind);
    return true;
  }
};

// What an Expr reads, where there is a short way to compare it.
struct ExprShape {
  enum Kind : std::uint8_t { kOther, kSpanSlot, kResourceSlot, kName, kKind, kStatusCode };
  Kind kind = kOther;
  std::size_t slot = 0;
};

class Expr {
 public:
  virtual ~Expr() = default;
  // False: an error; `e.error` says which.
  virtual bool evaluate(Evaluation& e, Value& out) const = 0;
  // The value, when it is the same for every span.
  virtual const Value* constant() const { return nullptr; }
  // The kind of its value, when it is the same for every span, or nil for those that have none.
  virtual std::optional<ValueKind> kind() const { return std::nullopt; }
  virtual ExprShape shape() const { return {}; }
};

class Test {
 public:
  virtual ~Test() = default;
  virtual Truth test(Evaluation& e) const = 0;
  // For a test on a trace that is true: the plan's bit of a span that made it true; -1: no single span did.
  virtual int deciding_bit(Evaluation&) const { return -1; }
};

using ExprPtr = std::unique_ptr<const Expr>;
using TestPtr = std::unique_ptr<const Test>;

// The short way, or null. `constant` refers to the condition's constants.
TestPtr fast_compare(const Expr& left, CompareOp op, const Value& constant);  // fast.cc

ExprPtr make_math(ExprPtr left, MathOp op, ExprPtr right);  // arithmetic.cc
ExprPtr make_negate(ExprPtr of);

class Literal final : public Expr {
 public:
  explicit Literal(const Value& value) : value_(value) {}
  bool evaluate(Evaluation&, Value& out) const override {
    out = value_;
    return true;
  }
  const Value* constant() const override { return &value_; }
  std::optional<ValueKind> kind() const override {
    return value_.is(ValueKind::kNil) ? std::nullopt : std::optional(value_.kind);
  }

 private:
  Value value_;
};

// What compiling shares. `constants` lives as long as the condition.
struct Compiler {
  const Ast& ast;
  ConditionKind kind;
  ScanPlan& plan;
  Arena& constants;
  ConditionErrors errors;
  std::string attribute = {};             // the first one asked for
  std::vector<std::string> notices = {};  // as Condition::notices() has them

  Result<ExprPtr> value(AstIndex i);  // compile.cc
  Result<ExprPtr> enum_value(const AstNode& node) const;
  Result<ExprPtr> composed(const AstNode& node);
  ExprPtr compose(const AstNode& node, std::vector<ExprPtr> parts);
  Result<TestPtr> test(AstIndex i);
  Result<TestPtr> comparison(const AstNode& node);
  void notice_unlike(const AstNode& node, const Expr& left, const Expr& right);
  void take_notices(const Condition& inner);
  Result<ExprPtr> path(const AstNode& node);  // path.cc
  Result<ExprPtr> call(const AstNode& node);  // convert/call.cc

  // What only conditions on traces have (trace.cc).
  Result<ExprPtr> trace_path(const AstNode& node);
  Result<ExprPtr> count(const AstNode& node);       // count(...)
  Result<TestPtr> any_or_all(const AstNode& node);  // any(...), all(...)
  Result<TestPtr> root_test(AstIndex i);
  // The error, when a field of a trace cannot be compared with such a constant.
  std::optional<Error> cannot_compare(const AstNode& path, const AstNode& with, const Value& constant) const;
  bool speaks_of_root(AstIndex i) const;
  bool is_costly(AstIndex i) const;  // needs a walk over the trace's spans when it closes

  // The constant `text` stays where it is copied to here.
  std::string_view keep(std::string_view text);
  // A deep copy of `value` into the constants. Fails past their limit.
  bool keep(const Value& value, Value& out, int depth = 0);
};

}  // namespace tailgate::condition
