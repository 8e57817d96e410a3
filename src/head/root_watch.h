// SPDX-License-Identifier: Apache-2.0
// RootWatch: counts, between two ticks of AdaptiveSampler, the spans at which SDKs decided to sample: roots, and with
// `count: entries` those of servers and consumers whose parent is elsewhere.
//
// Threads: any; each I/O thread counts in a part of its own, whose lock is taken once a slice of a request. Cost: a
// look at the parent of each span, and a table of the part for each root; memory is taken for an operation once a tick.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "head/adaptive.h"
#include "wire/span_watch.h"

namespace tailgate {

struct CountedRoots {
  std::string service, operation;
  RootCounts counts;
};

class RootWatch final : public SpanWatch {
 public:
  struct Counted {
    std::vector<CountedRoots> roots;
    std::uint64_t spans = 0;
  };

  RootWatch(const AdaptiveConfig& config, std::size_t parts, std::uint64_t seed);

  SpanWatcher& begin(const ScanPlan& plan) override;
  void taken(TimePoint now) override;
  void refused() override;

  // A trace with this root was kept.
  void kept(ByteView service, ByteView operation);

  // What was counted since the last call; an operation may be there once for each part.
  Counted take();

  // Roots that found no room in a part since the start.
  std::uint64_t overflow_roots() const;

  // What the parts take at most.
  static std::size_t bytes_max(const AdaptiveConfig& config, std::size_t parts);

 private:
  struct Entry {
    CountedRoots roots;
    std::size_t operations = 0;  // of a service's others: its operations with entries of their own
  };
  struct Part {
    mutable Mutex mutex;
    std::unordered_map<std::uint64_t, Entry> entries TAILGATE_GUARDED_BY(mutex);  // by a seeded hash of both names
    std::size_t services TAILGATE_GUARDED_BY(mutex) = 0;                          // entries that are a service's others
    std::uint64_t spans TAILGATE_GUARDED_BY(mutex) = 0;
    std::uint64_t overflow_roots TAILGATE_GUARDED_BY(mutex) = 0;
  };
  struct Root {
    ByteView service, operation;
    RootCounts counts;
  };
  Part& part() const;
  void add(Part& part, const Root& root) const TAILGATE_REQUIRES(part.mutex);
  Entry* others_of(Part& part, ByteView service, std::uint64_t key) const TAILGATE_REQUIRES(part.mutex);

  const std::size_t services_max_, operations_max_;  // of a part
  const std::uint64_t slow_ns_;
  const bool entries_too_;
  const std::uint64_t seed_;
  std::vector<std::unique_ptr<Part>> parts_;

  class Notes;  // of the request that a thread works on
  static Notes& notes();
};

}  // namespace tailgate
