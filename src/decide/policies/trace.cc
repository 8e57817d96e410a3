// SPDX-License-Identifier: Apache-2.0
// trace: keeps a trace for which a condition on the whole of it is true.
//     - {name: big, type: trace, trace: {condition: 'duration > 2s and error_count >= 1 and root.service == "web"'}}
// duration, span_count, error_count, service_count, depth, complete, close_reason, root.*, any(...), all(...),
// count(...): docs/policies.md. Conditions about spans are asked as spans come in; here only bits, sums and facts are
// read. What needs a walk over the trace (service_count, depth, complete) is asked last. A condition that fails does
// not keep the trace.
#include "decide/condition/condition.h"
#include "decide/registry.h"

namespace tailgate {
namespace {

using condition::Condition;
using condition::ConditionContext;
using condition::ConditionKind;
using condition::Truth;

class TracePolicy final : public Policy {
 public:
  explicit TracePolicy(Condition condition) : condition_(std::move(condition)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    static const SpanFields kNoSpan;
    ConditionContext context{kNoSpan};
    context.trace = &trace;
    return ballot(condition_.evaluate(context) == Truth::kTrue);
  }
  int deciding_bit(const JudgedTrace& trace) const override {
    static const SpanFields kNoSpan;
    ConditionContext context{kNoSpan};
    context.trace = &trace;
    return condition_.deciding_bit(context);
  }

 private:
  Condition condition_;
};

}  // namespace

PolicyPtr make_trace(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("trace");
  const std::string text = node.text("condition");
  Result<Condition> condition =
      parse_condition(text, ConditionKind::kTrace, build.plan, build.condition_errors.of(build.top));
  if (!condition) node.error("condition", condition.error().text);
  node.finish();
  if (!condition) return nullptr;
  for (const std::string& text_of_notice : condition->notices()) node.child("condition").notice(text_of_notice);
  return std::make_unique<TracePolicy>(std::move(*condition));
}

}  // namespace tailgate
