// SPDX-License-Identifier: Apache-2.0
// StoreCounts: what a store says of itself in the metrics. A plain value.
#pragma once

#include <cstdint>

namespace tailgate {

struct StoreCounts {
  std::uint64_t bytes = 0;               // of all files
  std::uint64_t traces = 0;              // in them; one in two partitions counts twice
  std::uint64_t partitions = 0;          // that there are
  std::uint64_t partitions_deleted = 0;  // since the start, likewise the others
  std::uint64_t damaged_blocks = 0;      // places in the files of blocks that the start skipped
  std::uint64_t damaged_catalogues = 0;  // that were made again
  std::uint64_t torn_bytes = 0;          // that the start cut off
};

}  // namespace tailgate
