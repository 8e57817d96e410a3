// SPDX-License-Identifier: Apache-2.0
// RotationOptions: when a file that is appended to is renamed, and which of the renamed ones stay. A plain value.
#pragma once

#include <cstdint>

namespace tailgate {

struct RotationOptions {
  std::uint64_t bytes_max = 100 << 20;  // of one file; 0: no limit
  std::int64_t days_max = 0;            // 0: no limit
  std::int64_t backups_max = 100;       // 0: no limit
  bool local_time = false;
};

}  // namespace tailgate
