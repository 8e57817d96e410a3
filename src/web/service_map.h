// SPDX-License-Identifier: Apache-2.0
// /api/service_map: who calls whom, for the page's view of services. As the other pages under /api/ it may change with
// every version; /metrics/spans is the interface. Threads: any; `map` is called by the pages' thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "web/pages.h"

namespace tailgate {

// Since the start.
struct ServiceMapEdge {
  std::string client, server;
  std::string type;  // "", or why it is no request between two services that send spans: connection_type
  std::uint64_t requests = 0, failed = 0;
  std::vector<std::uint64_t> server_buckets, client_buckets;  // requests by duration, one more than there are bounds
};
struct ServiceMap {
  std::vector<std::uint64_t> bounds_ns;
  std::vector<ServiceMapEdge> edges;
  std::uint64_t overflow = 0;  // requests whose edge was one too many, so that they are in none of these
};

// Nothing: there is no service graph, and the view says how to get one.
void add_service_map_api(Pages& pages, std::function<std::optional<ServiceMap>()> map);

}  // namespace tailgate
