// SPDX-License-Identifier: Apache-2.0
// BodyPace: decides whether a body arrives fast enough. Each grace period must bring body_rate_min bytes a second, so a
// sender can neither trickle nor send a burst and then hold the connection. When held bodies are short of room, the
// period must also bring a quarter of what the request holds.
#pragma once

#include <algorithm>

#include "net/limits.h"

namespace tailgate {

struct BodyPace {
  TimePoint since{};
  std::size_t bytes = 0;

  void start(TimePoint now) {
    since = now;
    bytes = 0;
  }
  // Returns true when the period that ends was too slow; otherwise starts the next one.
  bool slow(TimePoint now, const ServerLimits& limits, std::size_t held, bool pressed) {
    if (now - since < limits.body_grace) return false;
    const double seconds = std::chrono::duration<double>(limits.body_grace).count();
    const double wanted =
        std::max(seconds * static_cast<double>(limits.body_rate_min), pressed ? static_cast<double>(held) / 4 : 0);
    if (static_cast<double>(bytes) < wanted) return true;
    start(now);
    return false;
  }
};

}  // namespace tailgate
