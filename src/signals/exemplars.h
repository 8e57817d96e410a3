// SPDX-License-Identifier: Apache-2.0
// Exemplars: for buckets of series, the last span of a kept trace that was counted there. They are chosen from traces
// after their verdict, so none leads to a trace that was dropped.
//
// Threads: any; one lock, taken for each span of a kept trace that is looked at, and by a scrape. Bounded in number,
// age and rate; a new one takes the place of the oldest.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/ids.h"

namespace tailgate {

struct ExemplarsConfig {
  bool enabled = false;
  std::size_t max = 5'000;
  Duration age_max = std::chrono::minutes(10);
  std::size_t traces_per_second = 50;  // kept traces that are looked at
};

struct Exemplar {
  TraceId trace;
  std::uint64_t span = 0;  // its eight bytes, as they lie in memory
  std::uint64_t duration_ns = 0;
  std::uint64_t unix_ns = 0;  // when its trace was kept
  TimePoint kept{};

  // As OpenMetrics has it behind a sample: # {labels} value timestamp. `unit_ns`: of the value.
  std::string text(double unit_ns) const;
};

class Exemplars {
 public:
  explicit Exemplars(const ExemplarsConfig& config) : config_(config), tokens_(config.traces_per_second) {}
  // Twice, for the copy that a scrape takes: a node of a list and of each of two maps, and a bucket.
  static std::size_t bytes_max(const ExemplarsConfig& config) { return config.enabled ? 2 * config.max * 256 : 0; }

  // Whether to look at one more kept trace.
  bool wants(TimePoint now);
  // `key` is the hash of the series' labels.
  void put(std::uint64_t key, std::size_t bucket, const Exemplar& exemplar);

  using OfSeries = std::map<std::size_t, Exemplar>;  // by bucket
  using BySeries = std::unordered_map<std::uint64_t, OfSeries>;
  // Those that are not too old, by the keys of their series.
  BySeries all(TimePoint now);

  struct Stats {
    std::uint64_t held = 0;
    std::uint64_t passed_by = 0;  // kept traces over the rate
    std::uint64_t given_way = 0;  // exemplars whose place a newer one took before they were too old
  };
  Stats stats() const;

 private:
  struct Held {
    std::uint64_t key;
    std::size_t bucket;
    Exemplar exemplar;
  };
  using Place = std::list<Held>::iterator;

  void remove_oldest() TAILGATE_REQUIRES(mutex_);
  void remove_old(TimePoint now) TAILGATE_REQUIRES(mutex_);

  const ExemplarsConfig config_;
  mutable Mutex mutex_;
  std::list<Held> held_ TAILGATE_GUARDED_BY(mutex_);  // the oldest first
  std::unordered_map<std::uint64_t, std::map<std::size_t, Place>> places_ TAILGATE_GUARDED_BY(mutex_);
  std::size_t tokens_ TAILGATE_GUARDED_BY(mutex_);
  TimePoint filled_ TAILGATE_GUARDED_BY(mutex_){};
  std::uint64_t passed_by_ TAILGATE_GUARDED_BY(mutex_) = 0, given_way_ TAILGATE_GUARDED_BY(mutex_) = 0;
};

}  // namespace tailgate
