// SPDX-License-Identifier: Apache-2.0
// drop: drops a trace that every one of its policies would keep, whatever other policies say.
//     - {name: health, type: drop, drop: {drop_sub_policy: [{name: a, type: string_attribute, ...}]}}
// Drop policies are asked before all others. An empty list is an error: contrib drops everything then.
#include "decide/policies/nested.h"

namespace tailgate {
namespace {

class Drop final : public Policy {
 public:
  explicit Drop(std::vector<PolicyPtr> policies) : policies_(std::move(policies)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    Ballot all = evaluate_all(policies_, trace);
    if (all.sampled()) all.vote = Vote::kDropped;
    return all;
  }
  bool stateful() const override { return any_stateful(policies_); }
  int deciding_bit(const JudgedTrace& trace) const override { return first_deciding_bit(policies_, trace); }
  void activate() const override {
    for (const PolicyPtr& policy : policies_) policy->activate();
  }
  bool drops() const override { return true; }

 private:
  std::vector<PolicyPtr> policies_;
};

}  // namespace

PolicyPtr make_drop(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("drop");
  std::vector<PolicyPtr> policies = make_nested(node, "drop_sub_policy", build);
  node.finish();
  return std::make_unique<Drop>(std::move(policies));
}

}  // namespace tailgate
