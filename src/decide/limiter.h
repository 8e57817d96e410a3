// SPDX-License-Identifier: Apache-2.0
// Limiters: the counts behind rate_limiting, bytes_limiting and composite. The only state of the policies:
// process-wide, by policy name, kept over reloads.
//
// There are two modes. First come, first served (contrib's default) is a token bucket. With `use_tracestate` the
// randomness R of a trace decides: the traces that ask for room during one second are candidates. When the second is
// over they are sorted by R, highest first, and cut where the room ends. So the cut is a threshold T, and `th` can be
// written (contrib's otep235 scheme). A candidate stays open until the end of that second. A trace that was not a
// candidate (it cannot wait; or it grew, or the policies changed, while it waited) takes from the room that the cut
// left, first come, first served. Then the rate still holds, but the trace's chance is unknown.
//
// In a cluster a limiter may have a share of what its rule allows, and tells what was asked of it (docs/cluster.md). A
// trace that is larger than a share may go when that is untouched; it is paid back before the next one.
//
// Threads: any. Each limiter has one lock, taken once per trace that asks, not per span.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mutex.h"

namespace tailgate {

inline constexpr Duration kLimitInterval = std::chrono::seconds(1);
// Numbered by the monotonic clock, the same for every shard, and above 0 also for times before its zero: what comes out
// of a journal may have arrived before the machine was started.
inline constexpr std::int64_t kIntervalOfZero = std::int64_t{1} << 30;
inline std::uint32_t limit_interval(TimePoint now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch());
  static_assert(kLimitInterval == std::chrono::seconds(1));
  return static_cast<std::uint32_t>(seconds.count() + kIntervalOfZero) + 1;
}
inline TimePoint end_of_interval(std::uint32_t interval) {
  return TimePoint(kLimitInterval * (std::int64_t{interval} - kIntervalOfZero));
}

// What a limiter allows. A plain rate has one lane; `composite` has one per sub-policy, in order, under a common total.
struct LimitRule {
  struct Lane {
    double rate = 0;   // units a second
    double burst = 0;  // most that can be saved up
  };
  std::vector<Lane> lanes;
  double total = 0;         // units a second over all lanes; 0: no limit besides the lanes'
  bool per_second = false;  // first come: counts begin anew with each second instead of filling up steadily
};

// Of a rule, from 0 to 1.
struct LimitShares {
  std::vector<double> lanes;  // a lane that is not there has all
  double total = 1;
};

// What was asked for, whether there was room or not, by lane; and what the rule allows in a second, of the lanes and
// over all of them (0: no limit).
struct LimitAsked {
  std::vector<double> asked, rates;
  double total_rate = 0;
};

class Limiter {
 public:
  explicit Limiter(LimitRule rule);

  void set_rule(LimitRule rule);  // after a reload; what was spent stays spent
  void set_shares(LimitShares shares, TimePoint now);
  LimitAsked take_asked();  // since the last call

  // First come: takes `cost` if there is room at `now`.
  bool take(std::size_t lane, double cost, TimePoint now);

  // By randomness: a candidate of the interval (numbered from 1, kLimitInterval each).
  void offer(std::size_t lane, std::uint32_t interval, std::uint64_t random, std::uint64_t cost);
  // For a candidate of `interval` (0: of none), asked at `now`. Of an interval that is over: whether it lies above its
  // cut, and the cut's threshold. Everyone else, one larger than when it was offered included: first come,
  // kUnknownChance.
  struct Answer {
    bool kept = false;
    std::uint64_t threshold = 0;  // kCertain when all of its interval had room
  };
  Answer answer(std::size_t lane, std::uint32_t interval, std::uint64_t random, std::uint64_t cost, TimePoint now);

 private:
  struct Candidate {
    std::uint64_t random;
    std::uint64_t cost;
  };
  struct Cut {
    std::uint32_t interval = 0;
    std::vector<std::uint64_t> thresholds;         // by lane
    std::vector<std::vector<Candidate>> accepted;  // by lane, greatest randomness first
  };
  double share(std::size_t lane) const TAILGATE_REQUIRES(mutex_);
  LimitRule::Lane mine(std::size_t lane) const TAILGATE_REQUIRES(mutex_);        // of the rule
  void fill(std::size_t lane, TimePoint now) TAILGATE_REQUIRES(mutex_);          // steadily
  bool has_room(std::size_t lane, double cost) const TAILGATE_REQUIRES(mutex_);  // by the second, or interval
  void cut() TAILGATE_REQUIRES(mutex_);                                          // closes the open interval
  void refill(std::uint32_t interval) TAILGATE_REQUIRES(mutex_);                 // room is given by the interval

  mutable Mutex mutex_;
  LimitRule rule_ TAILGATE_GUARDED_BY(mutex_);
  LimitShares shares_ TAILGATE_GUARDED_BY(mutex_);
  std::vector<double> asked_ TAILGATE_GUARDED_BY(mutex_);   // by lane
  std::vector<double> tokens_ TAILGATE_GUARDED_BY(mutex_);  // by lane; below zero: to be paid back
  TimePoint filled_ TAILGATE_GUARDED_BY(mutex_){};
  bool filled_once_ TAILGATE_GUARDED_BY(mutex_) = false;
  double total_left_ TAILGATE_GUARDED_BY(mutex_) = 0;                           // of this second, or interval
  std::uint32_t open_ TAILGATE_GUARDED_BY(mutex_) = 0;                          // the interval of candidates_
  std::vector<std::vector<Candidate>> candidates_ TAILGATE_GUARDED_BY(mutex_);  // by lane
  std::uint32_t refilled_ TAILGATE_GUARDED_BY(mutex_) = 0;                      // the interval of tokens_; 0: none yet
  std::vector<Cut> cuts_ TAILGATE_GUARDED_BY(mutex_);                           // the last few intervals, oldest first
};

// A limiter for each value of a key, all with the same rule. Keys come from senders, so their number is bounded: those
// beyond it share one limiter. A key that was not asked for until its room was whole again makes place for another.
class KeyedLimiter {
 public:
  KeyedLimiter(const LimitRule& rule, std::size_t keys_max);

  void set_rule(const LimitRule& rule, std::size_t keys_max);
  void set_share(double share, TimePoint now);  // of each key
  std::shared_ptr<Limiter> of(std::uint64_t key, TimePoint now);

  struct Counts {
    std::size_t keys = 0;
    std::uint64_t shared = 0;  // times that a key had no limiter of its own
  };
  Counts counts() const;

 private:
  struct Entry {
    std::shared_ptr<Limiter> limiter;
    TimePoint used;
  };
  void forget_idle(TimePoint now) TAILGATE_REQUIRES(mutex_);

  mutable Mutex mutex_;
  LimitRule rule_ TAILGATE_GUARDED_BY(mutex_);
  std::size_t keys_max_ TAILGATE_GUARDED_BY(mutex_);
  double share_ TAILGATE_GUARDED_BY(mutex_) = 1;
  std::unordered_map<std::uint64_t, Entry> keys_ TAILGATE_GUARDED_BY(mutex_);
  std::shared_ptr<Limiter> rest_ TAILGATE_GUARDED_BY(mutex_);
  std::uint64_t shared_ TAILGATE_GUARDED_BY(mutex_) = 0;
  TimePoint next_look_ TAILGATE_GUARDED_BY(mutex_){};  // for idle keys
};

class Limiters {
 public:
  // The limiter of that name, made with `rule` if it is new. An existing one keeps its rule until a policy set that
  // names another one goes live (Policy::activate).
  std::shared_ptr<Limiter> get(const std::string& name, const LimitRule& rule);
  std::shared_ptr<KeyedLimiter> get_keyed(const std::string& name, const LimitRule& rule, std::size_t keys_max);
  // Of those without keys, by name.
  std::vector<std::pair<std::string, LimitAsked>> take_asked() const;
  void set_shares(const std::string& name, LimitShares shares, TimePoint now) const;
  // Of each key of those that have keys; also of those that are made later.
  void set_share_of_keyed(double share, TimePoint now);
  // Of the limiters with keys, by name.
  std::vector<std::pair<std::string, KeyedLimiter::Counts>> keyed() const;

  // For the hashes of keys, which must stay the same over reloads.
  std::uint64_t seed() const { return seed_; }

 private:
  const std::uint64_t seed_ = random_seed();
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Limiter>> all_ TAILGATE_GUARDED_BY(mutex_);
  // Those of policies that are gone go with the last set that had them: they may hold many keys.
  std::map<std::string, std::weak_ptr<KeyedLimiter>> keyed_ TAILGATE_GUARDED_BY(mutex_);
  double share_of_keyed_ TAILGATE_GUARDED_BY(mutex_) = 1;
};

}  // namespace tailgate
