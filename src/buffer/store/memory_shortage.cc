// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/memory_shortage.h"

#include <algorithm>

namespace tailgate {

std::optional<MemoryShortage::Change> MemoryShortage::look(const EarlyDecisions& early, TimePoint now) {
  if (early.traces != 0) {
    const bool began = !short_;
    if (began) {
      sum_ = {};
      began_ = now;
    }
    short_ = true;
    last_ = now;
    sum_.traces += early.traces;
    sum_.shortest_wait = std::min(sum_.shortest_wait, early.shortest_wait);
    if (began) return Change{true, sum_, {}};
  } else if (short_ && now - last_ >= kQuiet) {
    short_ = false;
    return Change{false, sum_, last_ - began_};
  }
  return std::nullopt;
}

}  // namespace tailgate
