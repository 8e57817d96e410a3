// SPDX-License-Identifier: Apache-2.0
// and: keeps a trace that every one of its policies would keep.
//     - {name: slow-checkout, type: and, and: {and_sub_policy: [{name: a, type: latency, ...}, {name: b, ...}]}}
// An empty list is an error. In contrib it keeps everything, which is surely a mistake.
#include "decide/policies/nested.h"

namespace tailgate {
namespace {

class And final : public Policy {
 public:
  explicit And(Nested nested) : nested_(std::move(nested)) {}
  Ballot evaluate(const JudgedTrace& trace) const override { return evaluate_all(nested_.policies, trace); }
  bool stateful() const override { return any_stateful(nested_.policies); }
  int deciding_bit(const JudgedTrace& trace) const override { return first_deciding_bit(nested_.policies, trace); }
  std::string why(const AskedVote& asked) const override { return why_all(nested_, asked); }
  void activate() const override {
    for (const PolicyPtr& policy : nested_.policies) policy->activate();
  }

 private:
  Nested nested_;
};

}  // namespace

PolicyPtr make_and(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("and");
  Nested nested = make_nested(node, "and_sub_policy", build);
  node.finish();
  return std::make_unique<And>(std::move(nested));
}

}  // namespace tailgate
