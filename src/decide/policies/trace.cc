// SPDX-License-Identifier: Apache-2.0
// trace: keeps a trace for which a condition on the whole of it is true.
//     - {name: big, type: trace, trace: {condition: 'duration > 2s and error_count >= 1 and root.service == "web"'}}
// duration, span_count, error_count, service_count, depth, complete, close_reason, root.*, any(...), all(...),
// count(...): docs/policies.md. Conditions about spans are asked as spans come in; here only bits, sums and facts are
// read. What needs a walk over the trace (service_count, depth, complete) is asked last. A condition that fails does
// not keep the trace.
#include <fmt/format.h>

#include "decide/condition/condition.h"
#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

using condition::Condition;
using condition::ConditionContext;
using condition::ConditionKind;
using condition::Truth;

class TracePolicy final : public Policy {
 public:
  TracePolicy(Condition condition, std::string text) : condition_(std::move(condition)), text_(std::move(text)) {}
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
  std::string why(const AskedVote& asked) const override {
    const std::string seen = condition::trace_values(text_, asked.trace);
    if (!seen.empty()) return fmt::format("{}, wanted {}", seen, cut_words(text_));
    return fmt::format("{}: {}", asked.vote == Vote::kSampled ? "true" : "not true", cut_words(text_));
  }

 private:
  Condition condition_;
  std::string text_;
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
  return std::make_unique<TracePolicy>(std::move(*condition), text);
}

}  // namespace tailgate
