// SPDX-License-Identifier: Apache-2.0
// Shedding: which share of the new traces is taken in while memory is short.
//
// When memory is short, the store decides traces before their wait is over. A trace that is decided before its spans
// have come is judged by a part of itself, so below a minimum wait new traces are shed instead. The share that is taken
// in follows how long the traces closed early had been open, because the bytes held are that wait times the bytes
// coming in. The share moves slowly, because the wait answers only after as long.
//
// Threads: adapt() the sweeper alone; the other calls any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace tailgate {

// Traces that were decided early since the last look.
struct EarlyDecisions {
  std::uint64_t traces = 0;
  Duration shortest_wait = Duration::max();
};

class Shedding {
 public:
  // Nothing is shed when `min_wait` is zero.
  Shedding(Duration min_wait, TimePoint origin);

  // So many traces were decided early; the last of them had been open for `wait`.
  void closed_early(std::size_t traces, Duration wait);
  // What closed_early() was told since the last call.
  EarlyDecisions take_early();

  // Moves the share, at most every 200 ms.
  void adapt(TimePoint now);

  // New traces with a randomness below this many 256ths are shed (TraceBuffer::set_shed_step).
  std::uint8_t step() const { return step_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t kNoWait = INT64_MAX;

  const Duration min_wait_;
  std::atomic<std::uint8_t> step_{0};
  std::atomic<std::int64_t> early_wait_ms_{-1};     // of the last trace closed early; -1: none since adapt()
  std::atomic<std::uint64_t> early_traces_{0};      // since take_early()
  std::atomic<std::int64_t> shortest_ms_{kNoWait};  // of their waits
  double taken_share_ = 1;                          // of new traces
  TimePoint next_adapt_;
};

}  // namespace tailgate
