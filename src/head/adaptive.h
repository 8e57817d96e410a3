// SPDX-License-Identifier: Apache-2.0
// AdaptiveSampler: gives each operation of each service a probability, so that what comes in meets a target. It goes
// down at once and up by a factor of 2 a poll interval at most. docs/design/0023-head-sampling.md has the reasoning.
//
//   demand = roots seen / probability that the SDKs had meanwhile       traces/s there would be at probability 1
//   wanted = target / demand
//
// Threads: one at a time. It has no clock: tick() is called every poll_interval / kTicksPerPoll, and time is an
// argument. Cost of a tick: O(n log n) of the operations.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/enum_names.h"
#include "head/strategy.h"

namespace tailgate {

struct AdaptiveConfig {
  // What `per_second` is of: all spans taken, shared by the operations; or traces of each operation, taken or kept.
  enum class Target : std::uint8_t { kSpans, kTraces, kKept };
  static constexpr std::size_t kOperationBytes = 256;       // of the name of an operation that gets its own probability
  static constexpr std::size_t kOperationsOfService = 256;  // with their own; Go's SDK takes no more

  Target target = Target::kTraces;
  double per_second = 1;
  double traces_per_second_max = 100;               // of an operation that is raised, or of which little is kept
  double lower_bound_traces_per_second = 1.0 / 60;  // of an operation, whatever the target is
  double min_probability = 1e-5;
  double initial_probability = 0.001;
  Duration poll_interval = std::chrono::seconds(60);  // of the SDKs
  Duration slow = std::chrono::seconds(1);            // a root that lasts longer is slow
  Duration operation_expiration = std::chrono::hours(1);
  Duration decision_wait = {};  // of the tail: what is kept now began that long ago
  std::size_t services_max = 200;
  std::size_t operations_max = 2000;  // of all services
  bool entries = false;               // count spans of servers and consumers with a parent as roots, too
  std::string directory;              // where it is kept over restarts; "" is nowhere

  std::size_t bytes_max() const;  // that AdaptiveSampler takes
};

// Of an operation, since the last tick.
struct RootCounts {
  std::uint64_t roots = 0;   // spans at which an SDK decided to sample
  std::uint64_t errors = 0;  // of them, with status ERROR
  std::uint64_t slow = 0;
  std::uint64_t kept = 0;  // traces that the tail kept

  RootCounts& operator+=(const RootCounts& more);
};

class AdaptiveSampler {
 public:
  static constexpr std::size_t kTicksPerPoll = 6;
  static constexpr std::size_t kRing = 32;  // ticks that are remembered
  // How long before its verdict the newest trace may have begun that the target is of: kRing has the probabilities of
  // that time.
  static constexpr int kPollsOfDecisionWait = 5;
  static_assert(kPollsOfDecisionWait * kTicksPerPoll <= kRing - 2);

  enum class Why : std::uint8_t {
    kNew,      // nothing is known yet
    kTarget,   // it follows the target
    kSteady,   // it is within 5 % of what is wanted
    kRising,   // on its way up, by a factor of 2 a poll interval
    kAll,      // even all of it is not over the target
    kFloor,    // lower_bound_traces_per_second
    kMinimum,  // min_probability
    kMaximum,  // traces_per_second_max
    kErrors,   // raised: more errors than usual
    kSlow,     // raised: more slow roots than usual
    kDeaf,     // nobody of this service has asked for kPollsForgotten poll intervals
  };
  static constexpr std::array<std::string_view, 11> kWhyNames = {
      "new", "target", "steady", "rising", "all", "floor", "minimum", "maximum", "errors", "slow", "not polling"};
  static_assert(names_end_with(kWhyNames, Why::kDeaf, "not polling"));

  explicit AdaptiveSampler(AdaptiveConfig config) : config_(std::move(config)) {}

  // A client of `service` gets the strategy now. Nothing: there are services_max others. A service that was only heard
  // of by polls makes room for one that sends spans, and, when it has not asked for two intervals, for any.
  std::optional<Strategy> poll(std::string_view service, TimePoint now);
  // `operation` "" is any without a probability of its own.
  void count(std::string_view service, std::string_view operation, const RootCounts& counts, TimePoint now);
  void count_spans(std::uint64_t spans) { tick_spans_ += spans; }
  // Of what comes in, and so of what there is a target for, this daemon sees that part: the others of its cluster see
  // the rest. From 0 to 1.
  void set_share(double share) { share_ = share; }
  // New probabilities, after `elapsed` since the last tick.
  void tick(Duration elapsed, TimePoint now);

  struct Stats {
    std::uint64_t services = 0, operations = 0;
    std::uint64_t raised = 0;          // operations
    std::uint64_t overflow_roots = 0;  // of operations or services over the limits
  };
  Stats stats() const;

  // All of it for people, as JSON: what was seen, wanted and given, and why. `service` "" is all.
  std::string explain(std::string_view service) const;

  // What is kept over a restart.
  struct Memory {
    std::string service, operation;  // operation "": the others
    double probability = 0, demand = 0, usual_errors = 0, usual_slow = 0;
  };
  std::vector<Memory> remember() const;
  void recall(const std::vector<Memory>& memory, TimePoint now);

 private:
  struct Operation {
    RootCounts tick;
    // Sums that fade. Exposure: seconds times the probability that the SDKs had.
    double roots = 0, exposure = 0, kept = 0, kept_exposure = 0;
    double recent_roots = 0, recent_errors = 0, recent_slow = 0;
    double usual_errors = 0.01, usual_slow = 0.01;  // shares
    double probability = 0, wanted = 0, target = 0;
    double seen_per_second = 0;
    Why why = Why::kNew;
    bool fresh = true;                     // made since the last tick
    std::array<float, kRing> given{};      // by tick
    std::array<float, kRing> effective{};  // that the SDKs had, by tick
    TimePoint last_seen{}, raised_until{};
    Why raised_by = Why::kErrors;

    double demand() const { return exposure > 0 ? roots / exposure : 0; }
    double kept_demand() const { return kept_exposure > 0 ? kept / kept_exposure : 0; }
  };
  struct Service {
    Operation others;
    std::map<std::string, Operation, std::less<>> operations;
    std::array<std::uint32_t, kRing> polls{};  // by tick
    std::optional<TimePoint> asked{};          // the last time
    TimePoint made{};
    bool sends = false;  // roots came of it

    TimePoint last_poll() const { return asked.value_or(made); }
  };

  static constexpr int kPollsForgotten = 3;

  bool asks(const Service& service, TimePoint now) const {
    return service.asked && now - *service.asked <= kPollsForgotten * config_.poll_interval;
  }
  Service* find(std::string_view service, bool sends, TimePoint now);
  bool make_room(bool sends, TimePoint now);
  Operation make_operation(double probability, TimePoint now) const;
  Operation& find_operation(Service& service, std::string_view name, TimePoint now);
  void observe(const Service& service, Operation& operation, double seconds, TimePoint now);
  void look_for_trouble(Operation& operation, double seconds, TimePoint now) const;
  void share_spans(TimePoint now);
  void decide(const Service& service, Operation& operation, double seconds, TimePoint now) const;
  double wanted(const Operation& operation, TimePoint now, Why& why) const;
  double per_second() const { return share_ * config_.per_second; }
  void expire(TimePoint now);
  template <class Visit>
  void each_operation(Visit visit);

  std::size_t slot(std::uint64_t tick) const { return tick % kRing; }

  const AdaptiveConfig config_;
  double share_ = 1;
  std::map<std::string, Service, std::less<>> services_;
  std::size_t operations_ = 0;  // of all services
  std::uint64_t tick_ = kRing;  // number of the tick that is gathered now
  std::uint64_t tick_spans_ = 0, tick_roots_ = 0;
  double spans_ = 0, span_roots_ = 0;  // sums that fade
  std::uint64_t overflow_roots_ = 0;
};

}  // namespace tailgate
