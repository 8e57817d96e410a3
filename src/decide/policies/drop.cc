// SPDX-License-Identifier: Apache-2.0
// drop: drops a trace that every one of its policies would keep, whatever other policies say.
//     - {name: health, type: drop, drop: {drop_sub_policy: [{name: a, type: string_attribute, ...}]}}
// Drop policies are asked before all others. An empty list is an error: contrib drops everything then.
#include "decide/policies/nested.h"

namespace tailgate {
namespace {

class Drop final : public Policy {
 public:
  explicit Drop(Nested nested) : nested_(std::move(nested)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    Ballot all = evaluate_all(nested_.policies, trace);
    if (all.sampled()) all.vote = Vote::kDropped;
    return all;
  }
  bool stateful() const override { return any_stateful(nested_.policies); }
  int deciding_bit(const JudgedTrace& trace) const override { return first_deciding_bit(nested_.policies, trace); }
  std::string why(const AskedVote& asked) const override { return why_all(nested_, asked); }
  void activate() const override {
    for (const PolicyPtr& policy : nested_.policies) policy->activate();
  }
  bool drops() const override { return true; }

 private:
  Nested nested_;
};

}  // namespace

PolicyPtr make_drop(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("drop");
  Nested nested = make_nested(node, "drop_sub_policy", build);
  node.finish();
  return std::make_unique<Drop>(std::move(nested));
}

}  // namespace tailgate
