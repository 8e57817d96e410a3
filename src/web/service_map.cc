// SPDX-License-Identifier: Apache-2.0
#include "web/service_map.h"

#include <boost/json.hpp>
#include <utility>

#include "web/json_page.h"

namespace tailgate {

namespace json = boost::json;

void add_service_map_api(Pages& pages, std::function<std::optional<ServiceMap>()> map) {
  pages.add("/api/service_map", [map = std::move(map)](const RequestHead&) {
    const std::optional<ServiceMap> services = map();
    json::array edges;
    if (services) {
      for (const ServiceMapEdge& edge : services->edges) {
        edges.push_back(json::object{{"client", edge.client},
                                     {"server", edge.server},
                                     {"type", edge.type},
                                     {"requests", edge.requests},
                                     {"failed", edge.failed},
                                     {"server_buckets", json::value_from(edge.server_buckets)},
                                     {"client_buckets", json::value_from(edge.client_buckets)}});
      }
    }
    json::array bounds;
    if (services) bounds = json::value_from(services->bounds_ns).as_array();
    return json_response(200, json::object{{"on", services.has_value()},
                                           {"bounds_ns", std::move(bounds)},
                                           {"edges", std::move(edges)},
                                           {"overflow", services ? services->overflow : 0}});
  });
}

}  // namespace tailgate
