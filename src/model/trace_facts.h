// SPDX-License-Identifier: Apache-2.0
// TraceFacts: all that a decision may look at, gathered while spans arrive. The answers to the policies' predicates are
// stored next to it in words of bits: one bit per predicate, or-ed over the spans of the trace.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tailgate {

struct TraceFacts {
  std::uint64_t start_min_ns = UINT64_MAX;  // span timestamps, a stranger's clock
  std::uint64_t end_max_ns = 0;
  std::uint64_t bytes = 0;  // of the Span messages, without tags and resources
  std::uint32_t spans = 0;
  std::uint32_t errors = 0;  // spans with status ERROR
  bool root_seen = false;    // a span without a parent id (empty or all zero)

  void merge(const TraceFacts& other) {
    start_min_ns = std::min(start_min_ns, other.start_min_ns);
    end_max_ns = std::max(end_max_ns, other.end_max_ns);
    bytes += other.bytes;
    spans += other.spans;
    errors += other.errors;
    root_seen |= other.root_seen;
  }

  // Last end minus first start as contrib computes it: unsigned subtraction read as signed, so an unset end (0) gives a
  // negative duration and an unset start counts from 1970.
  std::int64_t duration_ns() const { return static_cast<std::int64_t>(end_max_ns - start_min_ns); }
};

}  // namespace tailgate
