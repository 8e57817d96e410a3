// SPDX-License-Identifier: Apache-2.0
#include "decide/policy_set.h"

#include <algorithm>
#include <set>

#include "decide/registry.h"
#include "decide/route_filter.h"

namespace tailgate {

PolicyPtr make_debug(PolicyBuild& build);  // debug_mark.cc

std::uint16_t RouteTable::number_of(std::uint64_t exporters) {
  const MutexLock lock(mutex_);
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
  const MutexLock lock(mutex_);
  return routes_[number];
}

std::shared_ptr<const PolicySet> PolicySet::build(const std::vector<ConfigNode>& policies,
                                                  const std::vector<ConfigNode>& shadows,
                                                  const std::vector<RouteRule>& routes, PolicyTables& tables,
                                                  const PolicySetOptions& options) {
  auto set = std::make_shared<PolicySet>();
  set->options_ = options;
  set->plan_.epoch = options.epoch;
  set->tables_ = &tables;
  if (options.use_tracestate) set->plan_.add_randomness();
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (routes[i].policies.empty()) set->always_ |= 1ULL << i;
    std::vector<std::size_t> bits = add_route_filter(routes[i], set->plan_);
    if (!bits.empty()) set->filters_.push_back({1ULL << i, std::move(bits)});
  }
  PolicyBuild build{set->plan_, tables.limiters, tables.names, tables.condition_errors, options.use_tracestate, {}, {}};
  const auto exporters_naming = [&](const std::string& name) {
    std::uint64_t exporters = 0;
    for (std::size_t i = 0; i < routes.size(); ++i) {
      if (std::find(routes[i].policies.begin(), routes[i].policies.end(), name) != routes[i].policies.end())
        exporters |= 1ULL << i;
    }
    return exporters;
  };
  if (options.keep_marked) {
    const std::string name(kDebugPolicy);
    set->policies_.push_back({make_debug(build), tables.names.number_of(name), exporters_naming(name)});
  }
  std::set<std::string> seen;
  const auto compile = [&](const ConfigNode& entry, bool shadow, std::vector<Entry>& out) {
    build.path = shadow ? "(shadow)" : "";  // a shadow's limits are its own
    const std::string name = build.top = entry.is_map() ? entry.text("name") : "";
    PolicyPtr policy = make_policy(entry, build, PolicyPlace::kTop);
    if (entry.is_map()) {
      if (name.empty()) entry.error("name", "expected a name");
      if (name.starts_with('_'))
        entry.error("name", "expected a name that does not begin with '_' (those are Tailgate's own)");
      if (!name.empty() && !seen.insert(name).second) entry.error("name", "expected a name no other policy has");
    }
    if (policy == nullptr) return;
    out.push_back({std::move(policy), tables.names.number_of(name), exporters_naming(name)});
  };
  for (const ConfigNode& entry : policies) compile(entry, false, set->policies_);
  for (const ConfigNode& entry : shadows) compile(entry, true, set->shadows_);
  set->plan_.end_keys_of_policies();
  for (const std::string& key : options.watched) set->plan_.attribute_slot(key);
  for (const std::string& key : options.watched_of_resources) set->plan_.attribute_slot(key, Attributes::kOfResources);
  for (const std::vector<ConfigNode>* list : {&policies, &shadows}) {
    for (const ConfigNode& entry : *list) {
      if (entry.is_map() && build.parts.contains(entry.text("name")))
        entry.error("name", "expected a name that no rule or entry of a policy has, as POLICY/NAME");
    }
  }
  std::stable_partition(set->policies_.begin(), set->policies_.end(), [](const Entry& e) { return e.policy->drops(); });
  return set;
}

void PolicySet::activate() const {
  for (const Entry& entry : policies_) entry.policy->activate();
  for (const Entry& entry : shadows_) entry.policy->activate();
}

std::optional<Verdict> PolicySet::decide(const JudgedTrace& trace, PolicyTally& tally,
                                         std::vector<Ballot>& ballots) const {
  const std::optional<Verdict> verdict = combine(trace, ballots);
  if (!verdict) return std::nullopt;
  for (std::size_t i = 0; i < policies_.size(); ++i) {
    PolicyTally::Row& row = tally.row(policies_[i].number);
    row.sampled += ballots[i].vote == Vote::kSampled;
    row.not_sampled += ballots[i].vote == Vote::kNotSampled;
    row.dropped += ballots[i].vote == Vote::kDropped;
  }
  if (!shadows_.empty()) judge_shadows(trace, verdict->decision == Decision::kSampled, tally);
  return verdict;
}

std::optional<Verdict> PolicySet::combine(const JudgedTrace& trace, std::vector<Ballot>& ballots) const {
  ballots.assign(policies_.size(), Ballot{Vote::kNotAsked, kCertain});
  Verdict verdict;
  std::uint64_t exporters = 0;
  // The chance of a trace that several policies would keep is that of the most permissive; certainty beats all. The
  // chance is unknown where one part of it is, and where only chance kept the trace from being dropped.
  std::uint64_t threshold = kNever;
  bool certain = false;
  bool unknown = false;
  bool might_have_dropped = false;
  bool pending = false;
  for (std::size_t i = 0; i < policies_.size(); ++i) {
    const Entry& entry = policies_[i];
    const Ballot ballot = ballots[i] = entry.policy->evaluate(trace);
    if (ballot.vote == Vote::kNotAsked) continue;  // it failed: as if it were not there
    if (ballot.vote == Vote::kNotSampled) {
      might_have_dropped |= entry.policy->drops() && ballot.by_chance();
      continue;
    }
    if (ballot.vote == Vote::kDropped) {
      verdict.decision = Decision::kDropped;
      verdict.policy = entry.number;
      return verdict;
    }
    if (ballot.vote == Vote::kPending) {
      pending = true;
      continue;
    }
    if (verdict.decision != Decision::kSampled) {
      verdict.decision = Decision::kSampled;
      verdict.policy = ballot.part != 0 ? ballot.part : entry.number;
      exporters = always_;
    }
    exporters |= entry.exporters;
    certain |= ballot.threshold == kCertain;
    unknown |= ballot.threshold == kUnknownChance;
    threshold = std::min(threshold, ballot.threshold);
    if (options_.sample_on_first_match && !pending) break;
  }
  if (pending) return std::nullopt;
  if (verdict.decision == Decision::kSampled) {
    if (might_have_dropped || (unknown && !certain)) {
      threshold = kUnknownChance;
    } else if (certain) {
      threshold = kCertain;
    }
    for (const Filter& filter : filters_) {
      const bool all =
          std::all_of(filter.bits.begin(), filter.bits.end(), [&](std::size_t bit) { return trace.bit(bit); });
      if (!all) exporters &= ~filter.exporter;
    }
    verdict.threshold = tables_->thresholds.code_of(threshold);
    verdict.chance = threshold != kCertain;
    verdict.route = tables_->routes.number_of(exporters);
  }
  return verdict;
}

void PolicySet::judge_shadows(const JudgedTrace& trace, bool kept, PolicyTally& tally) const {
  JudgedTrace judged = trace;
  judged.may_wait = false;  // a shadow must not delay a trace: its limits are first come, first served
  judged.interval = 0;
  for (const Entry& entry : shadows_) {
    const Ballot ballot = entry.policy->evaluate(judged);
    PolicyTally::Shadow& row = tally.shadow(entry.number);
    ++row.traces;
    if (entry.policy->drops() && ballot.vote != Vote::kDropped) continue;  // it leaves the trace to the others
    if (ballot.sampled()) {
      row.kept_traces += 1;
      row.kept_spans += trace.facts.spans;
      row.kept_bytes += trace.facts.bytes;
      row.would_add += !kept;
    } else if (kept) {
      row.would_lose += 1;
      if (trace.facts.errors == 0) continue;
      if (row.lost_errors.size() < PolicyTally::kLostErrorsMax) row.lost_errors.emplace_back();
      row.lost_errors[row.next_lost] = trace.id;
      row.next_lost = (row.next_lost + 1) % PolicyTally::kLostErrorsMax;
    }
  }
}

}  // namespace tailgate
