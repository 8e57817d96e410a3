// not: keeps the traces that its policy would not keep.
//     - {name: healthy, type: not, not: {not_sub_policy: {name: a, type: status_code, status_code: {status_codes: [ERROR]}}}}
#include "decide/registry.h"

namespace tailgate {
namespace {

class Not final : public Policy {
 public:
  explicit Not(PolicyPtr policy) : policy_(std::move(policy)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    const Ballot inner = policy_->evaluate(trace);
    return {inner.vote == Vote::kSampled ? Vote::kNotSampled : Vote::kSampled, inner.by_chance};
  }

 private:
  PolicyPtr policy_;
};

}  // namespace

PolicyPtr make_not(const ConfigNode& entry, ScanPlan& plan) {
  const ConfigNode node = entry.child("not");
  const ConfigNode inner = node.child("not_sub_policy");
  if (inner.is_null()) {
    node.error("not_sub_policy", "want a policy");
    return nullptr;
  }
  PolicyPtr policy = make_policy(inner, plan, PolicyPlace::kInsideNot);
  node.finish();
  if (policy == nullptr) return nullptr;
  return std::make_unique<Not>(std::move(policy));
}

}  // namespace tailgate
