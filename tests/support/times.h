// SPDX-License-Identifier: Apache-2.0
// A time of the monotonic clock, for tests that move it by hand.
#pragma once

#include "base/clock.h"

namespace tailgate::test {

inline TimePoint at(Duration d) { return TimePoint(std::chrono::hours(1)) + d; }

}  // namespace tailgate::test
