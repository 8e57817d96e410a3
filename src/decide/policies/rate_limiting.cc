// SPDX-License-Identifier: Apache-2.0
// rate_limiting and bytes_limiting: keep traces as long as there is room, by spans or by bytes a second.
//     - {name: cap, type: rate_limiting, rate_limiting: {spans_per_second: 500, burst_capacity: 1000}}
//     - {name: cap, type: bytes_limiting, bytes_limiting: {bytes_per_second: 1048576}}
// burst_capacity is twice the rate unless it is written; a rate of 0 keeps nothing. A trace larger than it never
// passes. Room is spent when this policy says yes, also if another would have kept the trace anyway. The limit holds
// for the whole process, over reloads. Bytes are those of a TracesData with the trace's spans as they were received.
// Without use_tracestate first come, first served (contrib's token bucket); with it, by randomness within each second
// (limiter.h).
#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

class Limited final : public Policy {
 public:
  Limited(std::shared_ptr<Limiter> limiter, LimitRule rule, int bytes_counter, bool by_random)
      : limiter_(std::move(limiter)), rule_(std::move(rule)), bytes_counter_(bytes_counter), by_random_(by_random) {}

  Ballot evaluate(const JudgedTrace& trace) const override {
    const std::uint64_t cost = bytes_counter_ >= 0 ? trace.counters[bytes_counter_] : trace.facts.spans;
    if (static_cast<double>(cost) > rule_.lanes[0].burst) return ballot(false);
    if (!by_random_) {
      return {limiter_->take(0, static_cast<double>(cost), trace.now) ? Vote::kSampled : Vote::kNotSampled,
              kUnknownChance};
    }
    if (trace.waits()) {
      limiter_->offer(0, limit_interval(trace.now), trace.random, cost);
      return {Vote::kPending, kUnknownChance};
    }
    const auto [kept, threshold] = limiter_->answer(0, trace.interval, trace.random, cost, trace.now);
    return {kept ? Vote::kSampled : Vote::kNotSampled, threshold};
  }
  bool stateful() const override { return true; }
  std::string why(const AskedVote& asked) const override {
    const bool bytes = bytes_counter_ >= 0;
    const std::uint64_t cost = bytes ? asked.trace.counters[bytes_counter_] : asked.trace.facts.spans;
    return limit_words(cost, bytes ? "byte" : "span", rule_.lanes[0].rate, rule_.lanes[0].burst,
                       asked.vote == Vote::kSampled);
  }
  void activate() const override { limiter_->set_rule(rule_); }

 private:
  std::shared_ptr<Limiter> limiter_;
  LimitRule rule_;
  int bytes_counter_;  // -1: spans
  bool by_random_;
};

PolicyPtr make_limited(const ConfigNode& entry, PolicyBuild& build, std::string_view type, std::string_view rate_key,
                       bool bytes) {
  const ConfigNode node = entry.child(type);
  const auto rate = static_cast<double>(node.integer(rate_key, 1, {.min = 0}));
  if (node.child(rate_key).is_null()) node.error(rate_key, "expected 0 or more");
  if (rate == 0) node.child(rate_key).notice("keeps nothing");
  const auto burst = static_cast<double>(node.integer("burst_capacity", 0, {.min = 0}));
  node.finish();
  LimitRule rule;
  rule.lanes.push_back({rate, burst == 0 || rate == 0 ? 2 * rate : burst});
  const int counter = bytes ? static_cast<int>(build.plan.add_request_bytes()) : -1;
  return std::make_unique<Limited>(build.limiters.get(build.path, rule), rule, counter, build.use_tracestate);
}

}  // namespace

PolicyPtr make_rate_limiting(const ConfigNode& entry, PolicyBuild& build) {
  return make_limited(entry, build, "rate_limiting", "spans_per_second", false);
}

PolicyPtr make_bytes_limiting(const ConfigNode& entry, PolicyBuild& build) {
  return make_limited(entry, build, "bytes_limiting", "bytes_per_second", true);
}

}  // namespace tailgate
