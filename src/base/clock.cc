// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

namespace tailgate {

TimePoint monotonic_now() { return std::chrono::steady_clock::now(); }

std::uint64_t wall_now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace tailgate
