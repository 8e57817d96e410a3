#include "decide/nested.h"

namespace tailgate {

std::vector<PolicyPtr> make_nested(const ConfigNode& node, std::string_view key, ScanPlan& plan) {
  std::vector<PolicyPtr> policies;
  const std::vector<ConfigNode> items = node.child(key).items();
  if (items.empty()) node.error(key, "want at least one policy");
  for (const ConfigNode& item : items) {
    if (PolicyPtr policy = make_policy(item, plan, PolicyPlace::kInside)) policies.push_back(std::move(policy));
  }
  return policies;
}

Ballot evaluate_all(const std::vector<PolicyPtr>& policies, const JudgedTrace& trace) {
  Ballot result{Vote::kSampled, false};
  for (const PolicyPtr& policy : policies) {
    const Ballot ballot = policy->evaluate(trace);
    if (ballot.vote != Vote::kSampled) return {Vote::kNotSampled, ballot.by_chance};
    result.by_chance |= ballot.by_chance;
  }
  return result;
}

}  // namespace tailgate
