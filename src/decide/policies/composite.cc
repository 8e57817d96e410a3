// SPDX-License-Identifier: Apache-2.0
// composite: shares a rate of spans among policies, in order. The first policy that would keep a trace decides it
// alone: kept if its share of this second still has room.
//     - name: shares
//       type: composite
//       composite:
//         max_total_spans_per_second: 1000
//         policy_order: [errors, rest]
//         composite_sub_policy: [{name: errors, type: status_code, ...}, {name: rest, type: always_sample}]
//         rate_allocation: [{policy: errors, percent: 60}]       # others: an equal part of the total
// policy_order is obeyed and the total holds over all shares; contrib's tail_sampling ignores both (#36955).
// Sub-policies that policy_order leaves out come last, in the order they are written.
#include <fmt/format.h>

#include <algorithm>

#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

class Composite final : public Policy {
 public:
  Composite(std::vector<PolicyPtr> policies, std::vector<std::string> names, std::shared_ptr<Limiter> limiter,
            LimitRule rule, bool by_random)
      : policies_(std::move(policies)),
        names_(std::move(names)),
        limiter_(std::move(limiter)),
        rule_(std::move(rule)),
        by_random_(by_random) {}

  Ballot evaluate(const JudgedTrace& trace) const override {
    Ballot so_far = ballot(false);
    bool pending = false;
    for (std::size_t i = 0; i < policies_.size(); ++i) {
      const Ballot one = policies_[i]->evaluate(trace);
      if (one.vote == Vote::kPending) {
        limit(i, trace);  // it is a candidate here as well, should it come this far
        pending = true;   // and of the next ones, should it not
        continue;
      }
      if (!one.sampled()) {
        if (one.by_chance()) so_far.threshold = kUnknownChance;
        continue;
      }
      const Ballot limited = limit(i, trace);
      if (pending) break;
      if (!limited.sampled()) return limited;
      // An earlier policy could have decided this trace, with another randomness. So its chance here is unknown.
      return {Vote::kSampled, so_far.by_chance() ? kUnknownChance : std::max(one.threshold, limited.threshold)};
    }
    return pending ? Ballot{Vote::kPending, kUnknownChance} : so_far;
  }
  bool stateful() const override { return true; }
  int deciding_bit(const JudgedTrace& trace) const override {
    for (const PolicyPtr& policy : policies_) {
      if (policy->stateful()) return -1;  // it cannot be asked again, and may have been the one
      if (policy->evaluate(trace).sampled()) return policy->deciding_bit(trace);
    }
    return -1;
  }
  std::string why(const AskedVote& asked) const override {
    std::string none;
    for (std::size_t i = 0; i < policies_.size(); ++i) {
      if (policies_[i]->stateful())
        return fmt::format("{} or a later one: {} has a limit, which cannot be asked again", names_[i], names_[i]);
      const Vote vote = policies_[i]->evaluate(asked.trace).vote;
      const std::string words = named_words(names_[i], policies_[i]->why(asked.with(vote)));
      if (vote == Vote::kSampled) {
        const std::uint32_t spans = asked.trace.facts.spans;
        const double most = std::min(rule_.lanes[i].rate, rule_.total);
        return fmt::format("{}; {}", words, limit_words(spans, "span", most, most, asked.vote == Vote::kSampled));
      }
      none += (none.empty() ? "" : "; ") + words;
    }
    return cut_words(none);
  }
  void activate() const override {
    limiter_->set_rule(rule_);
    for (const PolicyPtr& policy : policies_) policy->activate();
  }

 private:
  Ballot limit(std::size_t lane, const JudgedTrace& trace) const {
    const auto cost = static_cast<double>(trace.facts.spans);
    if (cost > rule_.lanes[lane].rate || cost > rule_.total) return ballot(false);
    if (!by_random_)
      return {limiter_->take(lane, cost, trace.now) ? Vote::kSampled : Vote::kNotSampled, kUnknownChance};
    if (trace.waits()) {
      limiter_->offer(lane, limit_interval(trace.now), trace.random, trace.facts.spans);
      return {Vote::kPending, kUnknownChance};
    }
    const auto [kept, threshold] = limiter_->answer(lane, trace.interval, trace.random, trace.facts.spans, trace.now);
    return {kept ? Vote::kSampled : Vote::kNotSampled, threshold};
  }

  std::vector<PolicyPtr> policies_;  // in the order they are asked; lanes of the limiter
  std::vector<std::string> names_;   // of each
  std::shared_ptr<Limiter> limiter_;
  LimitRule rule_;
  bool by_random_;
};

struct Part {
  std::string name;
  PolicyPtr policy;
  double percent = 0;
};

std::vector<Part>::iterator find_part(std::vector<Part>& parts, const std::string& name) {
  return std::find_if(parts.begin(), parts.end(), [&](const Part& part) { return part.name == name; });
}

}  // namespace

PolicyPtr make_composite(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("composite");
  const std::int64_t total = node.integer("max_total_spans_per_second", 1, {.min = 1});
  if (node.child("max_total_spans_per_second").is_null())
    node.error("max_total_spans_per_second", "expected 1 or more");
  std::vector<Part> parts;
  const std::vector<ConfigNode> items = node.child("composite_sub_policy").items();
  if (items.empty()) node.error("composite_sub_policy", "expected at least one policy");
  std::set<std::string> taken;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const ConfigNode& item = items[i];
    PolicyPtr policy = make_listed_policy(item, i, taken, build, PolicyPlace::kInsideComposite);
    if (policy != nullptr) parts.push_back({item.text("name"), std::move(policy)});
  }
  for (const ConfigNode& item : node.child("rate_allocation").items()) {
    const auto part = find_part(parts, item.text("policy"));
    const double percent = item.number("percent", 0);
    if (part == parts.end()) {
      item.error("policy", "expected the name of a policy of composite_sub_policy");
    } else {
      part->percent = percent;
    }
    if (!(percent >= 0 && percent <= 100)) item.error("percent", "expected 0 to 100");
    item.finish();
  }
  if (node.has("policy_order")) {
    node.child("policy_order").notice("is obeyed, and the total holds over all shares; contrib reads neither (#36955)");
  }
  std::size_t placed = 0;
  for (const ConfigNode& item : node.child("policy_order").items()) {
    const auto part = find_part(parts, item.scalar());
    if (part == parts.end() || static_cast<std::size_t>(part - parts.begin()) < placed) {
      item.error("expected the name of a policy of composite_sub_policy, each once");
      continue;
    }
    std::rotate(parts.begin() + static_cast<std::ptrdiff_t>(placed), part, part + 1);
    ++placed;
  }
  node.finish();

  LimitRule rule;
  rule.total = static_cast<double>(total);
  rule.per_second = true;
  std::vector<PolicyPtr> policies;
  std::vector<std::string> names;
  for (Part& part : parts) {
    const double share =
        part.percent > 0 ? rule.total * part.percent / 100 : rule.total / static_cast<double>(parts.size());
    rule.lanes.push_back({share, share});
    policies.push_back(std::move(part.policy));
    names.push_back(std::move(part.name));
  }
  return std::make_unique<Composite>(std::move(policies), std::move(names), build.limiters.get(build.path, rule), rule,
                                     build.use_tracestate);
}

}  // namespace tailgate
