// SPDX-License-Identifier: Apache-2.0
#include "head/adaptive.h"

#include <algorithm>
#include <cmath>

namespace tailgate {
namespace {

constexpr double kFade = 0.95;        // a tick, of what demand is made of: some three minutes at the default
constexpr double kFadeRecent = 0.75;  // a tick, of what trouble is looked for in
constexpr double kFadeUsual = 3600;   // seconds in which what is usual follows
constexpr double kSteady = 0.05;      // a change that is not worth telling
constexpr double kSigmas = 5;         // beyond which the demand has changed, and what was before counts no more
constexpr double kSpansFade = 0.8;
constexpr int kPollsRaised = 5;  // poll intervals that an operation stays raised after the last trouble

// Whether `count` of `roots` is more than a share that is usual: twice as much, and no chance.
bool is_more(double count, double roots, double usual) {
  const double expected = usual * roots;
  return count >= 2.5 && count > 2 * expected && count > expected + 3 * std::sqrt(expected);
}

}  // namespace

std::size_t AdaptiveConfig::bytes_max() const {
  // Names, nodes of maps and rounding by the allocator.
  return (services_max + operations_max) * (1024 + 2 * kOperationBytes);
}

RootCounts& RootCounts::operator+=(const RootCounts& more) {
  roots += more.roots;
  errors += more.errors;
  slow += more.slow;
  kept += more.kept;
  return *this;
}

AdaptiveSampler::Operation AdaptiveSampler::make_operation(double probability, TimePoint now) const {
  Operation out;
  out.probability = out.wanted = probability;
  out.given.fill(static_cast<float>(probability));
  out.effective = out.given;
  out.last_seen = now;
  return out;
}

// Anybody can ask for any name; such names must not keep services out.
bool AdaptiveSampler::make_room(bool sends, TimePoint now) {
  if (services_.size() < config_.services_max) return true;
  auto oldest = services_.end();
  for (auto it = services_.begin(); it != services_.end(); ++it) {
    if (it->second.sends) continue;
    if (oldest == services_.end() || it->second.last_poll() < oldest->second.last_poll()) oldest = it;
  }
  if (oldest == services_.end()) return false;
  if (!sends && now - oldest->second.last_poll() <= 2 * config_.poll_interval) return false;
  operations_ -= oldest->second.operations.size();
  services_.erase(oldest);
  return true;
}

AdaptiveSampler::Service* AdaptiveSampler::find(std::string_view service, bool sends, TimePoint now) {
  const auto found = services_.find(service);
  if (found != services_.end()) {
    found->second.sends |= sends;
    return &found->second;
  }
  if (service.size() > AdaptiveConfig::kOperationBytes || !make_room(sends, now)) return nullptr;
  Service& made = services_[std::string(service)];
  made.others = make_operation(config_.initial_probability, now);
  made.made = now;
  made.sends = sends;
  return &made;
}

// The others are all that have no probability of their own. A new operation came at their probability.
AdaptiveSampler::Operation& AdaptiveSampler::find_operation(Service& service, std::string_view name, TimePoint now) {
  if (name.empty()) return service.others;
  const auto found = service.operations.find(name);
  if (found != service.operations.end()) return found->second;
  if (operations_ >= config_.operations_max || name.size() > AdaptiveConfig::kOperationBytes ||
      service.operations.size() >= AdaptiveConfig::kOperationsOfService) {
    return service.others;
  }
  Operation made = make_operation(service.others.probability, now);
  made.given = service.others.given;
  made.effective = service.others.effective;
  ++operations_;
  return service.operations.emplace(std::string(name), made).first->second;
}

std::optional<Strategy> AdaptiveSampler::poll(std::string_view name, TimePoint now) {
  Service* const service = find(name, false, now);
  if (service == nullptr) return std::nullopt;
  ++service->polls[slot(tick_)];
  service->asked = now;
  const double others = service->others.probability;
  Strategy out{.kind = Strategy::Kind::kProbabilistic, .probability = others, .operations = OperationStrategies{}};
  out.operations->default_probability = others;
  out.operations->lower_bound_traces_per_second = config_.lower_bound_traces_per_second;
  out.operations->each.reserve(service->operations.size());
  for (const auto& [operation, one] : service->operations) out.operations->each.push_back({operation, one.probability});
  return out;
}

void AdaptiveSampler::count(std::string_view name, std::string_view operation, const RootCounts& counts,
                            TimePoint now) {
  tick_roots_ += counts.roots;
  Service* const service = find(name, counts.roots != 0, now);
  if (service == nullptr) {
    overflow_roots_ += counts.roots;
    return;
  }
  Operation& one = find_operation(*service, operation, now);
  one.tick += counts;
  if (counts.roots != 0) one.last_seen = now;
  if (&one == &service->others) {
    overflow_roots_ += counts.roots;
  } else if (one.fresh) {
    service->others.tick += counts;  // it was sampled as one of them
  }
}

// What came in the tick, and at which probability of the SDKs.
void AdaptiveSampler::observe(const Service& service, Operation& one, double seconds, TimePoint now) {
  const std::size_t at = slot(tick_), before = slot(tick_ - 1);
  one.given[at] = static_cast<float>(one.probability);
  double given = 0, polls = 0;
  for (std::size_t i = 0; i < kTicksPerPoll; ++i) {
    given += static_cast<double>(one.given[slot(tick_ - i)]) * service.polls[slot(tick_ - i)];
    polls += service.polls[slot(tick_ - i)];
  }
  one.effective[at] = polls > 0 ? static_cast<float>(given / polls) : one.effective[before];

  const auto exposed = [&](std::size_t ticks_ago) {
    return seconds * 0.5 * (one.effective[slot(tick_ - ticks_ago)] + one.effective[slot(tick_ - ticks_ago - 1)]);
  };
  const auto seen = static_cast<double>(one.tick.roots);
  const double exposure = exposed(0), expected = one.demand() * exposure;
  if (std::abs(seen - expected) > kSigmas * std::sqrt(expected + 1) && one.exposure > exposure / 4) {
    one.roots *= exposure / 4 / one.exposure;
    one.exposure = exposure / 4;
  }
  one.roots = one.roots * kFade + seen;
  one.exposure = one.exposure * kFade + exposure;
  if (config_.target == AdaptiveConfig::Target::kKept) {
    const double tick_seconds = std::max(0.001, seconds);
    const double wait = std::chrono::duration<double>(config_.decision_wait).count() / tick_seconds;
    const auto ago = static_cast<std::size_t>(std::clamp(wait, 0.0, static_cast<double>(kRing - 2)));
    one.kept = one.kept * kFade + static_cast<double>(one.tick.kept);
    one.kept_exposure = one.kept_exposure * kFade + exposed(ago);
  }
  one.seen_per_second = seconds > 0 ? seen / seconds : 0;
  look_for_trouble(one, seconds, now);
  one.tick = {};
  one.fresh = false;
}

void AdaptiveSampler::look_for_trouble(Operation& one, double seconds, TimePoint now) const {
  const auto roots = static_cast<double>(one.tick.roots);
  const auto errors = static_cast<double>(one.tick.errors), slow = static_cast<double>(one.tick.slow);
  one.recent_roots = one.recent_roots * kFadeRecent + roots;
  one.recent_errors = one.recent_errors * kFadeRecent + errors;
  one.recent_slow = one.recent_slow * kFadeRecent + slow;
  const bool fails = is_more(one.recent_errors, one.recent_roots, one.usual_errors);
  if (fails || is_more(one.recent_slow, one.recent_roots, one.usual_slow)) {
    one.raised_until = now + kPollsRaised * config_.poll_interval;
    one.raised_by = fails ? Why::kErrors : Why::kSlow;
  }
  if (roots == 0) return;
  const double step = 1 - std::exp(-seconds / kFadeUsual);
  one.usual_errors += (errors / roots - one.usual_errors) * step;
  one.usual_slow += (slow / roots - one.usual_slow) * step;
}

template <class Visit>
void AdaptiveSampler::each_operation(Visit visit) {
  for (auto& [name, service] : services_) {
    visit(service, service.others);
    for (auto& [operation, one] : service.operations) visit(service, one);
  }
}

// Divides the spans among the operations: each gets all that it demands, or an equal part of what the smaller ones
// leave. Services that do not ask take what they take.
void AdaptiveSampler::share_spans(TimePoint now) {
  std::vector<Operation*> open;
  double roots = spans_ > 0 ? per_second() * span_roots_ / spans_ : per_second();  // traces/s
  each_operation([&](Service& service, Operation& one) {
    if (!asks(service, now)) {
      roots -= one.demand() * one.effective[slot(tick_)];
    } else if (now < one.raised_until) {
      one.target = std::min(one.demand(), share_ * config_.traces_per_second_max);
      roots -= one.target;
    } else {
      open.push_back(&one);
    }
  });
  std::sort(open.begin(), open.end(), [](const Operation* a, const Operation* b) { return a->demand() < b->demand(); });
  for (std::size_t i = 0; i < open.size(); ++i) {
    const double share = std::max(0.0, roots) / static_cast<double>(open.size() - i);
    open[i]->target = share;
    roots -= std::min(open[i]->demand(), share);
  }
}

double AdaptiveSampler::wanted(const Operation& one, TimePoint now, Why& why) const {
  // Of an operation that was not seen the demand is below what would have been seen.
  const double demand = std::max(one.demand(), 1e-12);
  const double most = share_ * config_.traces_per_second_max / demand;
  double out = 0;
  why = Why::kTarget;
  if (now < one.raised_until) {
    out = most;
    why = one.raised_by;
  } else if (config_.target == AdaptiveConfig::Target::kKept) {
    out = per_second() / std::max(one.kept_demand(), 1e-12);
    if (out > most) {
      out = most;
      why = Why::kMaximum;
    }
  } else {
    out = one.target / demand;
  }
  if (const double floor = share_ * config_.lower_bound_traces_per_second / demand; out < floor) {
    out = floor;
    why = Why::kFloor;
  }
  if (out < config_.min_probability) {
    out = config_.min_probability;
    why = Why::kMinimum;
  }
  if (out >= 1) {
    out = 1;
    if (now >= one.raised_until) why = Why::kAll;
  }
  return out;
}

void AdaptiveSampler::decide(const Service& service, Operation& one, double seconds, TimePoint now) const {
  Why why = Why::kTarget;
  one.wanted = wanted(one, now, why);
  if (!asks(service, now)) {
    one.why = Why::kDeaf;
    return;
  }
  one.why = why;
  double out = one.wanted;
  const bool raised = now < one.raised_until;
  const double ratio = out / one.probability;
  if (ratio < 1 + kSteady && ratio > 1 - kSteady && out < 1) {
    one.why = raised ? why : Why::kSteady;
    return;
  }
  if (!raised) {
    const double polls = seconds / std::chrono::duration<double>(config_.poll_interval).count();
    const double rise = one.probability * std::exp2(std::min(polls, 1.0));
    if (out > rise) {
      out = rise;
      one.why = Why::kRising;
    }
  }
  one.probability = out;
}

void AdaptiveSampler::expire(TimePoint now) {
  for (auto it = services_.begin(); it != services_.end();) {
    Service& service = it->second;
    operations_ -= std::erase_if(service.operations, [&](const auto& entry) {
      return now - entry.second.last_seen > config_.operation_expiration;
    });
    const bool gone = service.operations.empty() && now - service.last_poll() > config_.operation_expiration &&
                      now - service.others.last_seen > config_.operation_expiration;
    it = gone ? services_.erase(it) : std::next(it);
  }
}

void AdaptiveSampler::tick(Duration elapsed, TimePoint now) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  each_operation([&](Service& service, Operation& one) { observe(service, one, seconds, now); });
  spans_ = spans_ * kSpansFade + static_cast<double>(tick_spans_);
  span_roots_ = span_roots_ * kSpansFade + static_cast<double>(tick_roots_);
  tick_spans_ = tick_roots_ = 0;
  if (config_.target == AdaptiveConfig::Target::kSpans) {
    share_spans(now);
  } else {
    each_operation([&](Service&, Operation& one) { one.target = per_second(); });
  }
  each_operation([&](Service& service, Operation& one) { decide(service, one, seconds, now); });
  expire(now);
  ++tick_;
  for (auto& [name, service] : services_) service.polls[slot(tick_)] = 0;
}

AdaptiveSampler::Stats AdaptiveSampler::stats() const {
  Stats out{.services = services_.size(), .operations = operations_, .raised = 0, .overflow_roots = overflow_roots_};
  for (const auto& [name, service] : services_) {
    for (const auto& [operation, one] : service.operations)
      out.raised += one.why == Why::kErrors || one.why == Why::kSlow;
  }
  return out;
}

std::vector<AdaptiveSampler::Memory> AdaptiveSampler::remember() const {
  std::vector<Memory> out;
  for (const auto& [name, service] : services_) {
    // By a name of its own: C++20 as clang 14 has it captures no bindings.
    const auto put = [&out, &service_name = name](const std::string& operation, const Operation& one) {
      out.push_back({service_name, operation, one.probability, one.demand(), one.usual_errors, one.usual_slow});
    };
    put("", service.others);
    for (const auto& [operation, one] : service.operations) put(operation, one);
  }
  return out;
}

void AdaptiveSampler::recall(const std::vector<Memory>& memory, TimePoint now) {
  for (const Memory& old : memory) {
    Service* const service = find(old.service, true, now);
    if (service == nullptr) continue;
    Operation& one = find_operation(*service, old.operation, now);
    if (&one == &service->others && !old.operation.empty()) continue;
    one = make_operation(std::clamp(old.probability, config_.min_probability, 1.0), now);
    one.fresh = false;
    // As if one poll interval had brought it, so that what is true now soon counts for more.
    one.exposure = one.probability * std::chrono::duration<double>(config_.poll_interval).count();
    one.roots = old.demand * one.exposure;
    one.usual_errors = old.usual_errors;
    one.usual_slow = old.usual_slow;
  }
}

}  // namespace tailgate
