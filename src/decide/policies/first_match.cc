// SPDX-License-Identifier: Apache-2.0
// first_match: ordered rules. The first whose policy would keep the trace decides it, with a share of its own.
//     - name: rules
//       type: first_match
//       first_match:
//         - {name: errors, policy: {type: status_code, status_code: {status_codes: [ERROR]}}, percentage: 100}
//         - {policy: {type: latency, latency: {threshold_ms: 1000}}, percentage: 50}
//         - {percentage: 1}                       # no policy: every trace that came this far
// The trace's verdict is in the name of the rule, `rules/errors`, where that has one. As Refinery's rules and contrib's
// adaptive sampler have it. Percentage is 100 unless it is written; 0 keeps none.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "decide/policies/probabilistic.h"
#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

struct Rule {
  PolicyPtr policy;  // null: always
  Chance chance;
  std::uint16_t number = 0;  // part_number
  std::string name = {};     // for people: `rule slow`, or `rule 2` for one without a name
};

class FirstMatch final : public Policy {
 public:
  explicit FirstMatch(std::vector<Rule> rules) : rules_(std::move(rules)) {}

  Ballot evaluate(const JudgedTrace& trace) const override {
    bool passed_by_chance = false;  // an earlier rule passed this trace on by chance, and that chance is unknown
    bool pending = false;  // the limits of later rules count it among their candidates, should it come that far
    for (const Rule& rule : rules_) {
      const Ballot matched = rule.policy != nullptr ? rule.policy->evaluate(trace) : ballot(true);
      pending |= matched.vote == Vote::kPending;
      if (!matched.sampled()) {
        passed_by_chance |= matched.by_chance();
        continue;
      }
      if (pending) break;
      Ballot kept = rule.chance.ask(trace);
      if (kept.sampled()) {
        kept.threshold = std::max(kept.threshold, matched.threshold);
        kept.part = rule.number;
      }
      if (passed_by_chance || (!kept.sampled() && matched.by_chance())) kept.threshold = kUnknownChance;
      return kept;
    }
    if (pending) return {Vote::kPending, kUnknownChance};
    return {Vote::kNotSampled, passed_by_chance ? kUnknownChance : kCertain};
  }
  bool stateful() const override {
    return std::any_of(rules_.begin(), rules_.end(),
                       [](const Rule& rule) { return rule.policy != nullptr && rule.policy->stateful(); });
  }
  int deciding_bit(const JudgedTrace& trace) const override {
    for (const Rule& rule : rules_) {
      if (rule.policy == nullptr || rule.policy->stateful()) return -1;  // the latter cannot be asked again
      if (rule.policy->evaluate(trace).sampled()) return rule.policy->deciding_bit(trace);
    }
    return -1;
  }
  std::string why(const AskedVote& asked) const override {
    std::string none;
    for (const Rule& rule : rules_) {
      if (rule.policy != nullptr && rule.policy->stateful()) {
        if (&rule == &rules_.back()) return cut_words(why_limited(rule, asked, none));
        return fmt::format("{} or a later one: {} has a limit, which cannot be asked again", rule.name, rule.name);
      }
      const Vote vote = rule.policy != nullptr ? rule.policy->evaluate(asked.trace).vote : Vote::kSampled;
      const std::string words = rule.policy != nullptr ? rule.policy->why(asked.with(vote)) : "";
      if (vote == Vote::kSampled) return decided_words(rule.name, words, rule.chance.why(asked.trace));
      none += fmt::format("{}{}: {}", none.empty() ? "" : "; ", rule.name, words);
    }
    return cut_words("no rule matches: " + none);
  }
  void activate() const override {
    for (const Rule& rule : rules_) {
      if (rule.policy != nullptr) rule.policy->activate();
    }
  }

 private:
  // For the last rule, when no earlier rule has decided: its vote is that of the whole, but for its chance.
  static std::string why_limited(const Rule& rule, const AskedVote& asked, const std::string& none) {
    const std::string chance = rule.chance.why(asked.trace);
    if (asked.vote == Vote::kSampled) return decided_words(rule.name, rule.policy->why(asked), chance);
    const std::string words = chance.empty() ? rule.policy->why(asked) : "a limit or the chance said no; " + chance;
    return fmt::format("no rule matches: {}{}{}: {}", none, none.empty() ? "" : "; ", rule.name, words);
  }

  std::vector<Rule> rules_;
};

}  // namespace

PolicyPtr make_first_match(const ConfigNode& entry, PolicyBuild& build) {
  std::vector<Rule> rules;
  const std::vector<ConfigNode> items = entry.child("first_match").items();
  if (items.empty()) entry.error("first_match", "expected a list of rules: {policy, percentage}");
  std::set<std::string> names;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const ConfigNode& item = items[i];
    if (!item.is_map()) {
      item.error("expected a rule: {policy, percentage}");
      continue;
    }
    PolicyPtr policy;
    const std::string name = read_part_name(item, names);
    if (item.has("policy")) {
      const std::string outer = build.path;
      build.path += "/" + (name.empty() ? std::to_string(i) : name);  // limits go by it
      policy = make_policy(item.child("policy"), build, PolicyPlace::kInsideRule);
      build.path = outer;
    } else if (i + 1 < items.size()) {
      item.error("expected a `policy`: only the last rule may do without");
    }
    const double percentage = item.number("percentage", 100);
    if (!(percentage >= 0 && percentage <= 100)) item.error("percentage", "expected 0 to 100");
    item.finish();
    rules.push_back({std::move(policy), Chance(percentage, "", build.use_tracestate), part_number(build, name),
                     part_words("rule", name, i)});
  }
  return std::make_unique<FirstMatch>(std::move(rules));
}

}  // namespace tailgate
