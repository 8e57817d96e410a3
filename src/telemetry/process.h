// SPDX-License-Identifier: Apache-2.0
// The process_* metrics that Prometheus' client libraries have, under their names, read from /proc/self at a scrape.
//
// Threads: any. Costs three small files and a look at each open descriptor.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "telemetry/metrics.h"

namespace tailgate {

// Of a line of /proc/PID/stat. The name of the process is in it, in parentheses, and may hold anything.
struct ProcessStat {
  std::uint64_t cpu_ticks = 0;  // in user and kernel mode
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since the machine came up
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;
};
std::optional<ProcessStat> parse_process_stat(std::string_view line);

// When the machine came up, in seconds of Unix time, out of /proc/stat.
std::optional<std::uint64_t> parse_boot_time(std::string_view stat);

class ProcessMetrics {
 public:
  ProcessMetrics();

  // What cannot be read is left out.
  void collect(MetricWriter& out) const;

 private:
  std::optional<std::uint64_t> boot_unix_seconds_;  // read once: on a large machine its file is
};

}  // namespace tailgate
