// SPDX-License-Identifier: Apache-2.0
// Bounds of the buckets of a histogram, as a configuration lists them. Threads: main.
#pragma once

#include <cstdint>
#include <vector>

#include "config/config_node.h"

namespace tailgate {

// The durations of the list `key`, in nanoseconds: 1 to `max`, each over 0 and over the one before it.
std::vector<std::uint64_t> read_buckets(const ConfigNode& node, const char* key, std::size_t max);

}  // namespace tailgate
