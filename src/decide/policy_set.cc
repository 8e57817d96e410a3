#include "decide/policy_set.h"

#include <algorithm>
#include <map>

#include "decide/registry.h"

namespace tailgate {

std::uint16_t NamesTable::number_of(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto it = std::find(names_.begin(), names_.end(), name);
  if (it != names_.end()) return static_cast<std::uint16_t>(it - names_.begin());
  if (names_.size() > UINT16_MAX) return 0;
  names_.emplace_back(name);
  return static_cast<std::uint16_t>(names_.size() - 1);
}

std::string NamesTable::name_of(std::uint16_t number) const {
  const std::lock_guard lock(mutex_);
  return number < names_.size() ? names_[number] : names_[0];
}

std::size_t NamesTable::size() const {
  const std::lock_guard lock(mutex_);
  return names_.size();
}

std::uint16_t RouteTable::number_of(std::uint64_t exporters) {
  const std::lock_guard lock(mutex_);
  const auto it = std::find(routes_.begin(), routes_.end(), exporters);
  if (it != routes_.end()) return static_cast<std::uint16_t>(it - routes_.begin());
  if (routes_.size() < UINT16_MAX) {
    routes_.push_back(exporters);
  } else if (routes_.size() == UINT16_MAX) {
    routes_.push_back(UINT64_MAX);  // more combinations than numbers: better to every exporter than to none
  }
  return static_cast<std::uint16_t>(routes_.size() - 1);
}

std::uint64_t RouteTable::exporters_of(std::uint16_t number) const {
  const std::lock_guard lock(mutex_);
  return routes_[number];
}

std::shared_ptr<const PolicySet> PolicySet::build(const std::vector<ConfigNode>& policies, const std::vector<RouteRule>& routes,
                                                  NamesTable& names, RouteTable& route_table, std::uint32_t epoch) {
  auto set = std::make_shared<PolicySet>();
  set->plan_.epoch = epoch;
  set->routes_ = &route_table;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (routes[i].policies.empty()) set->always_ |= 1ULL << i;
  }
  std::map<std::string, bool> seen;
  for (const ConfigNode& entry : policies) {
    PolicyPtr policy = make_policy(entry, set->plan_, PolicyPlace::kTop);
    const std::string name = entry.is_map() ? entry.text("name") : "";
    if (entry.is_map()) {
      if (name.empty()) entry.error("name", "want a name");
      if (name.starts_with('_')) entry.error("name", "want a name that does not begin with '_' (those are Tailgate's own)");
      if (!name.empty() && seen[name]) entry.error("name", "want a name no other policy has");
      seen[name] = true;
    }
    if (policy == nullptr) continue;
    std::uint64_t exporters = 0;
    for (std::size_t i = 0; i < routes.size(); ++i) {
      if (std::find(routes[i].policies.begin(), routes[i].policies.end(), name) != routes[i].policies.end()) exporters |= 1ULL << i;
    }
    set->policies_.push_back({std::move(policy), names.number_of(name), exporters});
  }
  std::stable_partition(set->policies_.begin(), set->policies_.end(), [](const Entry& e) { return e.policy->drops(); });
  return set;
}

Verdict PolicySet::decide(const JudgedTrace& trace, PolicyTally& tally) const {
  Verdict verdict;
  std::uint64_t exporters = 0;
  bool all_by_chance = true;
  for (const Entry& entry : policies_) {
    const Ballot ballot = entry.policy->evaluate(trace);
    PolicyTally::Row& row = tally.row(entry.number);
    if (ballot.vote == Vote::kNotSampled) {
      ++row.not_sampled;
      continue;
    }
    if (ballot.vote == Vote::kDropped) {
      ++row.dropped;
      verdict.decision = Decision::kDropped;
      verdict.policy = entry.number;
      return verdict;
    }
    ++row.sampled;
    if (verdict.decision != Decision::kSampled) {
      verdict.decision = Decision::kSampled;
      verdict.policy = entry.number;
      exporters = always_;
    }
    exporters |= entry.exporters;
    all_by_chance &= ballot.by_chance;
  }
  if (verdict.decision == Decision::kSampled) {
    verdict.by_chance = all_by_chance;
    verdict.route = routes_->number_of(exporters);
  }
  return verdict;
}

}  // namespace tailgate
