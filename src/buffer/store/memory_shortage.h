// SPDX-License-Identifier: Apache-2.0
// MemoryShortage: tells when memory begins to decide traces early, and when that is over. Each is a line in the log.
// Threads: one.
#pragma once

#include <optional>

#include "buffer/store/shedding.h"

namespace tailgate {

class MemoryShortage {
 public:
  // It is over when no trace was decided early for this long.
  static constexpr Duration kQuiet = std::chrono::seconds(10);

  struct Change {
    bool began = false;    // else it is over
    EarlyDecisions early;  // since it began
    Duration lasted{};
  };

  // `early`: of the time since the last call.
  std::optional<Change> look(const EarlyDecisions& early, TimePoint now);

 private:
  bool short_ = false;
  EarlyDecisions sum_;
  TimePoint began_, last_;
};

}  // namespace tailgate
