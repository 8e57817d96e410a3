// SPDX-License-Identifier: Apache-2.0
// not: keeps the traces that its policy would not keep.
//     - {name: healthy, type: not, not: {not_sub_policy: {name: a, type: status_code, status_code: {status_codes:
//     [ERROR]}}}}
#include <fmt/format.h>

#include "decide/registry.h"

namespace tailgate {
namespace {

class Not final : public Policy {
 public:
  explicit Not(PolicyPtr policy) : policy_(std::move(policy)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    const Ballot inner = policy_->evaluate(trace);
    if (inner.vote == Vote::kPending || inner.vote == Vote::kNotAsked) return inner;
    // "Kept unless R reaches T" is not a threshold, so th cannot express it.
    return {inner.sampled() ? Vote::kNotSampled : Vote::kSampled, inner.by_chance() ? kUnknownChance : kCertain};
  }
  bool stateful() const override { return policy_->stateful(); }
  std::string why(const AskedVote& asked) const override {
    const Vote inner = asked.vote == Vote::kSampled ? Vote::kNotSampled : Vote::kSampled;
    const std::string_view which = asked.vote == Vote::kSampled ? "as it should be" : "but it should not be so";
    return fmt::format("{}, {}", policy_->why(asked.with(inner)), which);
  }
  void activate() const override { policy_->activate(); }

 private:
  PolicyPtr policy_;
};

}  // namespace

PolicyPtr make_not(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("not");
  const ConfigNode inner = node.child("not_sub_policy");
  if (inner.is_null()) {
    node.error("not_sub_policy", "expected a policy");
    return nullptr;
  }
  PolicyPtr policy = make_policy(inner, build, PolicyPlace::kInsideNot);
  node.finish();
  if (policy == nullptr) return nullptr;
  return std::make_unique<Not>(std::move(policy));
}

}  // namespace tailgate
