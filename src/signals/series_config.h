// SPDX-License-Identifier: Apache-2.0
// Keys that `span_metrics` and `service_graph` have in common: the bounds of buckets, and how a series begins and ends
// on a page that is scraped. Threads: main reads; immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "config/config_node.h"

namespace tailgate {

// The durations of the list `key`, in nanoseconds: 1 to `max`, each over 0 and over the one before it.
std::vector<std::uint64_t> read_buckets(const ConfigNode& node, const char* key, std::size_t max);

struct SeriesLife {
  Duration expiration = std::chrono::minutes(15);  // without an event for so long it goes; 0: never
  // So long from the first page that shows it on it reads 0, so that whoever scrapes can see it grow to its first
  // value. 0: it begins with that value.
  Duration start_at_zero = std::chrono::seconds(15);
};

// From the keys `expiration_key` and start_at_zero of `node`.
SeriesLife read_series_life(const ConfigNode& node, const char* expiration_key);

}  // namespace tailgate
