// SPDX-License-Identifier: Apache-2.0
// TraceFacts: all that a decision may look at, gathered while spans arrive. The answers to the policies' predicates are
// stored next to it in words of bits: one bit per predicate, or-ed over the spans of the trace.
#pragma once

#include <algorithm>
#include <cstdint>

#include "model/span_times.h"

namespace tailgate {

struct TraceFacts {
  // Times of spans, by a stranger's clock. Not a time (is_time): no span has one.
  std::uint64_t start_min_ns = UINT64_MAX;
  std::uint64_t end_max_ns = 0;
  std::uint64_t bytes = 0;  // of the Span messages, without tags and resources
  std::uint32_t spans = 0;
  std::uint32_t errors = 0;  // spans with status ERROR
  bool root_seen = false;    // a span without a parent id (empty or all zero)

  // Of one span. What is not a time is left out, so that the order of the spans does not matter.
  void take_times(std::uint64_t start_ns, std::uint64_t end_ns) {
    start_min_ns = std::min(start_min_ns, start_ns != 0 ? start_ns : UINT64_MAX);
    end_max_ns = std::max(end_max_ns, end_ns < kTimesEnd_ns ? end_ns : 0);
  }

  void merge(const TraceFacts& other) {
    start_min_ns = std::min(start_min_ns, other.start_min_ns);
    end_max_ns = std::max(end_max_ns, other.end_max_ns);
    bytes += other.bytes;
    spans += other.spans;
    errors += other.errors;
    root_seen |= other.root_seen;
  }

  std::uint64_t first_start_ns() const { return is_time(start_min_ns) ? start_min_ns : 0; }  // 0: there is none
  std::int64_t duration_ns() const { return tailgate::duration_ns(start_min_ns, end_max_ns); }
};

}  // namespace tailgate
