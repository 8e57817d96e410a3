// SPDX-License-Identifier: Apache-2.0
// and: keeps a trace that every one of its policies would keep.
//     - {name: slow-checkout, type: and, and: {and_sub_policy: [{name: a, type: latency, ...}, {name: b, ...}]}}
// An empty list is an error. In contrib it keeps everything, which is surely a mistake.
#include "decide/policies/nested.h"

namespace tailgate {
namespace {

class And final : public Policy {
 public:
  explicit And(std::vector<PolicyPtr> policies) : policies_(std::move(policies)) {}
  Ballot evaluate(const JudgedTrace& trace) const override { return evaluate_all(policies_, trace); }
  bool stateful() const override { return any_stateful(policies_); }
  int deciding_bit(const JudgedTrace& trace) const override { return first_deciding_bit(policies_, trace); }
  void activate() const override {
    for (const PolicyPtr& policy : policies_) policy->activate();
  }

 private:
  std::vector<PolicyPtr> policies_;
};

}  // namespace

PolicyPtr make_and(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("and");
  std::vector<PolicyPtr> policies = make_nested(node, "and_sub_policy", build);
  node.finish();
  return std::make_unique<And>(std::move(policies));
}

}  // namespace tailgate
