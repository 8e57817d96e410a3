// SPDX-License-Identifier: Apache-2.0
// TimeRange: which times of spans an exporter believes where it names indices or files by them. The times come from
// outside, and a sender with a wrong clock could make thousands of indices. What is outside goes with what happens now.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "config/config_node.h"

namespace tailgate {

struct TimeRange {
  Duration past = std::chrono::hours(168), future = std::chrono::hours(24);  // before and after now

  // Never of 0, which means no time.
  bool contains(std::uint64_t unix_ns, std::uint64_t now_unix_ns) const {
    if (unix_ns == 0) return false;
    return unix_ns <= now_unix_ns ? now_unix_ns - unix_ns <= static_cast<std::uint64_t>(past.count())
                                  : unix_ns - now_unix_ns <= static_cast<std::uint64_t>(future.count());
  }
};

// `time_range: {past, future}`.
inline TimeRange read_time_range(const ConfigNode& node) {
  const ConfigNode range = node.child("time_range");
  TimeRange out;
  out.past = range.duration("past", out.past);
  out.future = range.duration("future", out.future);
  return out;
}

}  // namespace tailgate
