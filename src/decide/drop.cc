// drop: drops a trace that every one of its policies would keep, whatever other policies say.
//     - {name: health, type: drop, drop: {drop_sub_policy: [{name: a, type: string_attribute, ...}]}}
// Drop policies are asked before all others. An empty list is an error: contrib drops everything then.
#include "decide/nested.h"

namespace tailgate {
namespace {

class Drop final : public Policy {
 public:
  explicit Drop(std::vector<PolicyPtr> policies) : policies_(std::move(policies)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    const Ballot all = evaluate_all(policies_, trace);
    return {all.vote == Vote::kSampled ? Vote::kDropped : Vote::kNotSampled, all.by_chance};
  }
  bool drops() const override { return true; }

 private:
  std::vector<PolicyPtr> policies_;
};

}  // namespace

PolicyPtr make_drop(const ConfigNode& entry, ScanPlan& plan) {
  const ConfigNode node = entry.child("drop");
  std::vector<PolicyPtr> policies = make_nested(node, "drop_sub_policy", plan);
  node.finish();
  return std::make_unique<Drop>(std::move(policies));
}

}  // namespace tailgate
