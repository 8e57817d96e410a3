// SPDX-License-Identifier: Apache-2.0
// The keys of `service_graph`, as values. They are those of the Collector's servicegraph connector; names, labels and
// what makes an edge follow Tempo's processor, which Grafana's view is made for. Threads: main reads; immutable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/config_node.h"
#include "signals/series_config.h"

namespace tailgate {

struct ServiceGraphConfig {
  static constexpr std::size_t kBucketsMax = 64;

  std::vector<std::uint64_t> bounds_ns;     // of the histograms; inclusive, ascending
  Duration ttl = std::chrono::seconds(10);  // how long one side of a request waits for the other
  std::size_t waiting_max = 100'000;        // sides that wait
  std::size_t edges_max = 5'000;
  SeriesLife life;            // of an edge
  bool virtual_nodes = true;  // for the sides that send no spans: databases, peers, users
  // Attributes that name a database, and a peer that sends no spans; the first that is there counts.
  std::vector<std::string> database_attributes, peer_attributes;

  std::size_t bytes_max(std::size_t parts) const;
};

// Nothing when the section is absent.
std::optional<ServiceGraphConfig> read_service_graph(const ConfigNode& node);

}  // namespace tailgate
