// SPDX-License-Identifier: Apache-2.0
#include "decide/policies/nested.h"

#include <algorithm>

#include "decide/words.h"

namespace tailgate {

Nested make_nested(const ConfigNode& node, std::string_view key, PolicyBuild& build) {
  Nested nested;
  const std::vector<ConfigNode> items = node.child(key).items();
  if (items.empty()) node.error(key, "expected at least one policy");
  std::set<std::string> names;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const ConfigNode& item = items[i];
    PolicyPtr policy = make_listed_policy(item, i, names, build, PolicyPlace::kInsideList);
    if (policy == nullptr) continue;
    nested.policies.push_back(std::move(policy));
    nested.names.push_back(item.text("name"));
  }
  return nested;
}

Ballot evaluate_all(const std::vector<PolicyPtr>& policies, const JudgedTrace& trace) {
  Ballot result = ballot(true);
  for (std::size_t i = 0; i < policies.size(); ++i) {
    const Ballot one = policies[i]->evaluate(trace);
    if (one.vote == Vote::kPending) {
      result.vote = Vote::kPending;
      continue;
    }
    if (!one.sampled()) {
      // The vote is a certain no if a later policy says no whatever the chance. Policies that keep count are not asked
      // any more.
      bool by_chance = one.by_chance();
      for (std::size_t k = i + 1; by_chance && k < policies.size(); ++k) {
        if (policies[k]->stateful()) continue;
        const Ballot other = policies[k]->evaluate(trace);
        by_chance = other.sampled() || other.by_chance();
      }
      return {Vote::kNotSampled, by_chance ? kUnknownChance : kCertain};
    }
    result.threshold = std::max(result.threshold, one.threshold);  // kUnknownChance is the greatest
  }
  return result;
}

int first_deciding_bit(const std::vector<PolicyPtr>& policies, const JudgedTrace& trace) {
  for (const PolicyPtr& policy : policies) {
    if (const int bit = policy->deciding_bit(trace); bit >= 0) return bit;
  }
  return -1;
}

bool any_stateful(const std::vector<PolicyPtr>& policies) {
  return std::any_of(policies.begin(), policies.end(), [](const PolicyPtr& p) { return p->stateful(); });
}

std::string why_all(const Nested& nested, const AskedVote& asked) {
  const bool all = asked.vote == Vote::kSampled || asked.vote == Vote::kDropped;
  const auto words = [&](std::size_t i, Vote vote) {
    return named_words(nested.names[i], nested.policies[i]->why(asked.with(vote)));
  };
  std::string out;
  for (std::size_t i = 0; all && i < nested.policies.size(); ++i)
    out += (i == 0 ? "" : "; ") + words(i, Vote::kSampled);
  if (all) return cut_words(out);
  // Limits cannot be asked again. If all others say yes it was a limit that said no.
  std::size_t limit = nested.policies.size();
  for (std::size_t i = 0; i < nested.policies.size(); ++i) {
    if (nested.policies[i]->stateful()) {
      if (limit == nested.policies.size()) limit = i;
    } else if (const Vote vote = nested.policies[i]->evaluate(asked.trace).vote; vote != Vote::kSampled) {
      return words(i, vote);
    }
  }
  return limit < nested.policies.size() ? words(limit, Vote::kNotSampled) : "";
}

}  // namespace tailgate
