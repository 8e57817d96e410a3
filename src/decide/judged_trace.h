// SPDX-License-Identifier: Apache-2.0
// JudgedTrace: what a policy or a condition may know of the trace that is being decided. It is a view and valid during
// the call it is passed to. Threads: any.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "model/ids.h"
#include "model/trace_facts.h"
#include "model/verdict.h"

namespace tailgate {

// What only a look at the whole trace can tell. Computed when asked, so ask last.
class TraceShape {
 public:
  virtual ~TraceShape() = default;
  virtual std::uint32_t missing_parents() const = 0;  // different span ids named as a parent that have not come
  virtual std::uint32_t depth() const = 0;     // spans on the longest way down from a span without a known parent
  virtual std::uint32_t services() const = 0;  // different values of service.name, an absent one among them
};

struct JudgedTrace {
  const TraceId& id;
  const TraceFacts& facts;
  const std::uint64_t* words;               // predicate bits
  const std::uint64_t* counters = nullptr;  // ScanPlan::add_sum and its like
  const TraceShape* shape = nullptr;        // null in tests that do not ask
  CloseReason reason = CloseReason::kTimeout;
  std::uint64_t random = 0;  // R, 56 bits
  TimePoint now{};           // of the decision
  // Rate limits that choose by randomness need all candidates of an interval (Limiter). A trace that may wait and was
  // not offered yet (interval 0) is offered now and decided when the interval is over; else the interval it was offered
  // in.
  std::uint32_t interval = 0;
  bool may_wait = true;
  bool again = false;  // asked before: what fails is not counted once more

  bool bit(std::size_t i) const { return (words[i >> 6] >> (i & 63) & 1) != 0; }
  bool waits() const { return may_wait && interval == 0; }  // for the end of an interval, if a limit asks for it
  bool complete() const { return facts.root_seen && (shape == nullptr || shape->missing_parents() == 0); }
};

}  // namespace tailgate
