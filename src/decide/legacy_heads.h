// SPDX-License-Identifier: Apache-2.0
// LegacyHeads: finds the services whose SDKs sample by the ratio of the trace id (TraceIdRatioBased) before the spans
// come here. Such a head keeps the traces with the lowest ids and writes no `th`. Below a ratio of 1/256 all of these
// have a low randomness R too, the same bits of the id, and a policy that keeps R >= T then keeps far too few of them,
// or none. docs/head-sampling.md.
//
// Over a minute, and 25 traces at least, half of the R of traces without `rv` lie in the upper half of their range, and
// half in its middle half, give or take chance. Five sigma fewer in the upper half mean such a head. So do five sigma
// fewer in the middle while the upper half is even: Java's takes the id's low word as a signed number and keeps those
// near 0 on both sides. Traces of the service are then judged by a hash of the whole id. More in the upper half are no
// sign: a head that keeps R >= T and writes `th` makes them. A minute of 100 traces within two sigma takes it back.
//
// Threads: any; one lock, taken for each trace that closes, with `use_tracestate` only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/ids.h"

namespace tailgate {

// What stands for R then: 56 bits of FNV-1a over the id, as contrib's tail_sampling hashes it without a tracestate. The
// same traces are kept as by collectors that decide by the hash.
std::uint64_t hashed_randomness(const TraceId& id);

class LegacyHeads {
 public:
  // Further ones count as "", which is also a root not known, until others have been silent for an hour.
  static constexpr std::size_t kServicesMax = 1024;

  // A trace without `rv` of this root service closes; `random` is the R of its id. True: judge it by the hash.
  bool see(std::string_view service, std::uint64_t random, TimePoint now);
  bool is_legacy(std::string_view service) const;

  // For the log: what was found or taken back since the last call.
  struct Change {
    std::string service;  // "": traces whose root is not known
    bool legacy = false;
    std::uint64_t traces = 0;     // of the minute
    double high = 0, middle = 0;  // shares of them with R in the upper half, and in the middle half
  };
  std::vector<Change> take_changes();

  struct Stats {
    std::uint64_t services = 0;  // with such a head now
    std::uint64_t traces = 0;    // judged by the hash
  };
  Stats stats() const;

 private:
  struct Service {
    TimePoint begun{}, last{};
    std::uint64_t traces = 0, high = 0, middle = 0;  // since then
    bool legacy = false;
  };
  void judge(std::string_view name, Service& service) TAILGATE_REQUIRES(mutex_);

  void forget_silent(TimePoint now) TAILGATE_REQUIRES(mutex_);

  mutable Mutex mutex_;
  TimePoint forgot_ TAILGATE_GUARDED_BY(mutex_){};
  std::map<std::string, Service, std::less<>> services_ TAILGATE_GUARDED_BY(mutex_);
  std::vector<Change> changes_ TAILGATE_GUARDED_BY(mutex_);
  std::uint64_t judged_by_hash_ TAILGATE_GUARDED_BY(mutex_) = 0;
};

}  // namespace tailgate
