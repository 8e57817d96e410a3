// SPDX-License-Identifier: Apache-2.0
// Three kinds of time, which must not be mixed: TimePoint is our monotonic clock, for waits and timeouts. wall_now_ns()
// is the system's clock, for what we write out. The timestamps of spans come from their senders' clocks; they are also
// plain nanoseconds, and only their differences inside one trace mean anything.
//
// buffer/ and decide/ take `now` as an argument, so that tests move it by hand. The clocks are read only where a thread
// takes in a request, a connection or a batch; tests/unit/tree lists the files that may.
#pragma once

#include <chrono>
#include <cstdint>

namespace tailgate {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline constexpr std::uint64_t kNsPerMs = 1'000'000, kNsPerSecond = 1'000'000'000;

TimePoint monotonic_now();
std::uint64_t wall_now_ns();  // nanoseconds since the Unix epoch

}  // namespace tailgate
