// SPDX-License-Identifier: Apache-2.0
// rate_limiting and bytes_limiting: keep traces as long as there is room, by spans, traces or bytes a second.
//     - {name: cap, type: rate_limiting, rate_limiting: {spans_per_second: 500, burst_capacity: 1000}}
//     - {name: some, type: rate_limiting, rate_limiting: {traces_per_second: 1, per: service.name, keys_max: 1000}}
//     - {name: cap, type: bytes_limiting, bytes_limiting: {bytes_per_second: 1048576}}
// burst_capacity is twice the rate unless it is written; a rate of 0 keeps nothing. A trace larger than it never
// passes. Room is spent when this policy says yes, also if another would have kept the trace anyway. The limit holds
// for the whole process, over reloads. Bytes are those of a TracesData with the trace's spans as they were received.
// Without use_tracestate first come, first served (contrib's token bucket); with it, by randomness within each second
// (limiter.h). With `per`, each value of that attribute has the room for itself (contrib has no such thing).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/hash.h"
#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

// A usual trace fits into a burst of this size.
constexpr double kUsualSpans = 50, kUsualBytes = 50e3;
constexpr std::int64_t kKeysMax = 100'000;

// A number for the trace's value of an attribute: that of its root, if the root or its resource has it, else the
// greatest of the numbers of its spans, so that it does not depend on the order in which they came. 0: no span has it.
class KeyOfTrace final : public SpanCounter {
 public:
  KeyOfTrace(std::size_t slot, std::uint64_t seed) : slot_(slot), seed_(seed) {}
  std::uint64_t on_span(const SpanFields& span) const override {
    ByteView found = span.attributes[slot_];
    if (found.data() == nullptr && span.context->resource_attributes != nullptr)
      found = span.context->resource_attributes[slot_];
    if (found.data() == nullptr) return 0;
    const AttributeValue value = attribute_value(found);
    if (value.kind == AttributeValue::Kind::kUnset) return 0;
    const bool scalar = value.kind == AttributeValue::Kind::kBool || value.kind == AttributeValue::Kind::kInt ||
                        value.kind == AttributeValue::Kind::kDouble;
    const std::string_view bits(reinterpret_cast<const char*>(&value.bits), sizeof value.bits);
    const std::uint64_t hash = hash_bytes(scalar ? bits : value.bytes, seed_ + static_cast<std::uint64_t>(value.kind));
    return (span.has_parent() ? 0 : kOfRoot) | (hash >> 1) | 1;
  }

 private:
  static constexpr std::uint64_t kOfRoot = std::uint64_t{1} << 63;

  std::size_t slot_;
  std::uint64_t seed_;
};

// What counts against the rate.
enum class Unit : std::uint8_t { kSpans, kTraces, kBytes };

struct LimitSettings {
  Unit unit = Unit::kSpans;
  LimitRule rule;
  int bytes_counter = -1;  // kBytes
  int key_counter = -1;    // -1: one limit for all
  std::string per;
  std::size_t keys_max = 0;
  bool by_random = false;
};

class Limited final : public Policy {
 public:
  Limited(LimitSettings settings, const std::string& name, Limiters& limiters) : settings_(std::move(settings)) {
    if (settings_.key_counter >= 0) {
      keyed_ = limiters.get_keyed(name, settings_.rule, settings_.keys_max);
    } else {
      one_ = limiters.get(name, settings_.rule);
    }
  }

  Ballot evaluate(const JudgedTrace& trace) const override {
    const std::uint64_t cost = cost_of(trace);
    if (static_cast<double>(cost) > settings_.rule.lanes[0].burst) return ballot(false);
    // Whether the key is the root's makes no difference between traces that have a root and those that have none.
    const std::shared_ptr<Limiter> limiter =
        keyed_ == nullptr ? one_ : keyed_->of(trace.counters[settings_.key_counter] << 1, trace.now);
    if (!settings_.by_random) {
      return {limiter->take(0, static_cast<double>(cost), trace.now) ? Vote::kSampled : Vote::kNotSampled,
              kUnknownChance};
    }
    if (trace.waits()) {
      limiter->offer(0, limit_interval(trace.now), trace.random, cost);
      return {Vote::kPending, kUnknownChance};
    }
    const auto [kept, threshold] = limiter->answer(0, trace.interval, trace.random, cost, trace.now);
    return {kept ? Vote::kSampled : Vote::kNotSampled, threshold};
  }
  bool stateful() const override { return true; }
  std::string why(const AskedVote& asked) const override {
    static constexpr std::array<std::string_view, 3> kUnits = {"span", "trace", "byte"};
    const LimitRule::Lane& lane = settings_.rule.lanes[0];
    const std::string each = settings_.per.empty() ? "" : fmt::format(" for each {}", settings_.per);
    return limit_words(cost_of(asked.trace), kUnits[static_cast<std::size_t>(settings_.unit)], lane.rate, lane.burst,
                       asked.vote == Vote::kSampled) +
           each;
  }
  void activate() const override {
    if (keyed_ != nullptr) {
      keyed_->set_rule(settings_.rule, settings_.keys_max);
    } else {
      one_->set_rule(settings_.rule);
    }
  }

 private:
  std::uint64_t cost_of(const JudgedTrace& trace) const {
    switch (settings_.unit) {
      case Unit::kSpans:
        return trace.facts.spans;
      case Unit::kTraces:
        return 1;
      case Unit::kBytes:
        return trace.counters[settings_.bytes_counter];
    }
    return 0;
  }

  LimitSettings settings_;
  std::shared_ptr<Limiter> one_;         // null with `per`
  std::shared_ptr<KeyedLimiter> keyed_;  // null without
};

void notice_small(const ConfigNode& node, std::string_view rate_key, double burst, Unit unit) {
  if (burst == 0 || unit == Unit::kTraces || burst >= (unit == Unit::kBytes ? kUsualBytes : kUsualSpans)) return;
  const bool written = !node.child("burst_capacity").is_null();
  node.child(written ? "burst_capacity" : rate_key)
      .notice(fmt::format("a trace of more than {} {} never passes{}", burst, unit == Unit::kBytes ? "bytes" : "spans",
                          written ? "" : "; burst_capacity is twice the rate"));
}

PolicyPtr make_limited(const ConfigNode& node, PolicyBuild& build, std::string_view rate_key, Unit unit) {
  LimitSettings settings;
  settings.unit = unit;
  settings.by_random = build.use_tracestate;
  const double rate =
      unit == Unit::kTraces ? node.number(rate_key, 1) : static_cast<double>(node.integer(rate_key, 1, {.min = 0}));
  if (!(rate >= 0 && std::isfinite(rate)) || node.child(rate_key).is_null()) node.error(rate_key, "expected 0 or more");
  if (rate == 0) node.child(rate_key).notice("keeps nothing");
  auto burst = static_cast<double>(node.integer("burst_capacity", 0, {.min = 0}));
  if (burst == 0 || rate == 0) burst = 2 * rate;
  if (unit == Unit::kTraces && rate > 0)
    burst = std::max(1.0, burst);  // one trace in ten seconds is one in ten seconds
  notice_small(node, rate_key, burst, unit);
  settings.rule.lanes.push_back({rate, burst});
  if (unit == Unit::kBytes) settings.bytes_counter = static_cast<int>(build.plan.add_request_bytes());
  settings.per = node.text("per");
  settings.keys_max = static_cast<std::size_t>(node.integer("keys_max", 1000, {.min = 1, .max = kKeysMax}));
  if (!settings.per.empty()) {
    settings.key_counter = static_cast<int>(build.plan.add_greatest(
        std::make_unique<KeyOfTrace>(build.plan.attribute_slot(settings.per), build.limiters.seed())));
  } else if (!node.child("keys_max").is_null()) {
    node.child("keys_max").notice("has no effect without `per`");
  }
  node.finish();
  return std::make_unique<Limited>(std::move(settings), build.path, build.limiters);
}

}  // namespace

PolicyPtr make_rate_limiting(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("rate_limiting");
  const bool traces = !node.child("traces_per_second").is_null();
  if (traces && !node.child("spans_per_second").is_null())
    node.error("traces_per_second", "expected one of spans_per_second and traces_per_second");
  if (traces) return make_limited(node, build, "traces_per_second", Unit::kTraces);
  return make_limited(node, build, "spans_per_second", Unit::kSpans);
}

PolicyPtr make_bytes_limiting(const ConfigNode& entry, PolicyBuild& build) {
  return make_limited(entry.child("bytes_limiting"), build, "bytes_per_second", Unit::kBytes);
}

}  // namespace tailgate
