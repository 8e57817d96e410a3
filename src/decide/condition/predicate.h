// SPDX-License-Identifier: Apache-2.0
// ConditionPredicate: a condition as a predicate of the scan plan. A condition that fails with an error does not hold.
#pragma once

#include <utility>

#include "decide/condition/condition.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate::condition {

class ConditionPredicate final : public SpanPredicate {
 public:
  enum class Which : std::uint8_t {
    kHolds,      // true of this span
    kFails,      // not true of this span; so "none fails" is "all hold"
    kRootHolds,  // this span is a root and it is true of it
    kRootFails,  // this span is a root and it cannot be answered of it
  };

  ConditionPredicate(Condition condition, Which which) : condition_(std::move(condition)), which_(which) {}
  bool on_resource(const ByteView*) const override { return false; }
  bool on_span(const SpanFields& span) const override {
    if ((which_ == Which::kRootHolds || which_ == Which::kRootFails) && span.has_parent()) return false;
    if (which_ == Which::kRootFails) return condition_.evaluate({span}) == Truth::kError;
    return (condition_.evaluate({span}) == Truth::kTrue) != (which_ == Which::kFails);
  }

 private:
  Condition condition_;
  Which which_;
};

}  // namespace tailgate::condition
