// SPDX-License-Identifier: Apache-2.0
// OwnTraces: the daemon's own slow or failed operations, each a trace of one span, handed to exporters besides the
// kept traces. docs/design/0011-own-traces.md.
//
// There is no loop: such a span does not pass the receivers, is neither counted as received nor judged, and a batch
// that holds one never makes another, whatever becomes of it (BatchEnd::own). A token bucket bounds the rest.
//
// Threads: any; one mutex, taken per operation that is reported, so a few times a minute.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "model/kept_trace.h"

namespace tailgate {

inline constexpr std::string_view kOwnPolicy = "_own";

struct OwnTracesOptions {
  std::uint64_t exporters = 0;  // bit i: exporter i gets them; 0: off
  Duration slow = std::chrono::seconds(1);
  std::uint32_t spans_per_minute = 60;
  std::string version;
  std::uint64_t seed = 0;  // of the ids; 0: a random one
};

struct OwnOperation {
  std::string_view name;  // "export", "reload", "sweep"
  TimePoint began{}, ended{};
  std::string failure;  // why it failed; "": it did not
  std::vector<std::pair<std::string_view, std::variant<std::string, std::uint64_t>>> attributes;
};

class OwnTraces {
 public:
  using Push = std::function<void(const KeptTracePtr&)>;
  struct Stats {
    std::uint64_t queued = 0, dropped = 0;  // spans; dropped: over the rate, or no room in the budget
  };

  OwnTraces(OwnTracesOptions options, ByteBudget& budget, Push push);

  // Whether it is worth a span.
  bool wants(Duration took, bool failed) const { return options_.exporters != 0 && (failed || took >= options_.slow); }

  // Makes the span of an operation if wants() it and the rate allows. `now` and `wall_ns` are the same moment.
  void note(const OwnOperation& operation, TimePoint now, std::uint64_t wall_ns);

  Stats stats() const;

 private:
  bool pass(TimePoint now) TAILGATE_REQUIRES(mutex_);
  KeptTracePtr span_of(const OwnOperation& operation, std::uint64_t start_ns, std::uint64_t end_ns)
      TAILGATE_REQUIRES(mutex_);

  const OwnTracesOptions options_;
  ByteBudget& budget_;
  const Push push_;
  mutable Mutex mutex_;
  double tokens_ TAILGATE_GUARDED_BY(mutex_);
  TimePoint filled_ TAILGATE_GUARDED_BY(mutex_){};
  std::uint64_t next_id_ TAILGATE_GUARDED_BY(mutex_);
  Stats stats_ TAILGATE_GUARDED_BY(mutex_);
};

}  // namespace tailgate
