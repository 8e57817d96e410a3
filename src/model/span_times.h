// SPDX-License-Identifier: Apache-2.0
// Which times of spans are times. They come from the senders' clocks, in nanoseconds since 1970: 0 is OTLP's word for
// none, and nobody means what is beyond the signed 64 bits (the year 2262), 2^63-1 among it. Neither takes part in a
// duration. Pure functions.
#pragma once

#include <cstdint>

namespace tailgate {

inline constexpr std::uint64_t kTimesEnd_ns = INT64_MAX;

constexpr bool is_time(std::uint64_t unix_ns) { return unix_ns != 0 && unix_ns < kTimesEnd_ns; }

// From start to end, negative where the end is before the start; 0 where one of them is not a time.
constexpr std::int64_t duration_ns(std::uint64_t start_ns, std::uint64_t end_ns) {
  if (!is_time(start_ns) || !is_time(end_ns)) return 0;
  return static_cast<std::int64_t>(end_ns) - static_cast<std::int64_t>(start_ns);
}

}  // namespace tailgate
