// SPDX-License-Identifier: Apache-2.0
// `sending_queue.directory` and what belongs to it.
#pragma once

#include <cstddef>
#include <string>

#include "base/clock.h"

namespace tailgate {

struct DurableOptions {
  std::string directory = {};           // shared by the exporters that name it; "": in memory only
  std::size_t bytes_max = 1 << 30;      // of records
  Duration age_max = Duration::zero();  // zero: no limit
  std::size_t memory_max = 16 << 20;    // of KeptTrace::bytes() that are on disk and not handed out
  std::size_t window_max = 32 << 20;    // of those handed out
};

}  // namespace tailgate
