// SPDX-License-Identifier: Apache-2.0
#include "config/rotation_config.h"

namespace tailgate {

void read_rotation(const ConfigNode& node, RotationOptions& options) {
  constexpr std::int64_t kMany = 1'000'000;
  const auto megabytes = static_cast<std::int64_t>(options.bytes_max >> 20);
  options.bytes_max = static_cast<std::uint64_t>(node.integer("max_megabytes", megabytes, {.min = 0, .max = kMany}))
                      << 20;
  options.days_max = node.integer("max_days", options.days_max, {.min = 0, .max = 10'000});
  options.backups_max = node.integer("max_backups", options.backups_max, {.min = 0, .max = kMany});
  options.local_time = node.boolean("localtime", options.local_time);
}

}  // namespace tailgate
