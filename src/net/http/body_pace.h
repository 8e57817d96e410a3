// BodyPace: whether a body arrives fast enough. Each grace period must bring body_rate_min bytes a second, so that a
// sender can neither trickle nor send a burst and then hold the connection; and a quarter of what it holds when held
// bodies are short of room.
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
  // True when the last period was too slow; starts the next one when it is over.
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
