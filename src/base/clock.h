// Three kinds of time that do not mix. TimePoint: our monotonic clock, for waits and timeouts. WallNanos: what we write
// out. Span timestamps are a stranger's clock and stay plain uint64_t nanoseconds inside a trace.
//
// The core takes `now` as an argument. monotonic_now() and wall_now() are called only where a loop meets the world
// (daemon, net, receivers, sweeper, SendQueue's loop); tests/unit/tree keeps it so.
#pragma once

#include <chrono>
#include <cstdint>

namespace tailgate {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

TimePoint monotonic_now();
std::uint64_t wall_now_ns();  // nanoseconds since the Unix epoch

}  // namespace tailgate
