// SPDX-License-Identifier: Apache-2.0
#include "signals/graph_config.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "signals/series_config.h"
#include "signals/service_graph.h"

namespace tailgate {
namespace {

std::vector<std::string> texts_or(const ConfigNode& node, const char* key, std::vector<std::string> otherwise) {
  return node.child(key).is_null() ? std::move(otherwise) : node.texts(key);
}

}  // namespace

std::size_t ServiceGraphConfig::bytes_max(std::size_t parts) const { return ServiceGraph::bytes_max(*this, parts); }

std::optional<ServiceGraphConfig> read_service_graph(const ConfigNode& node) {
  if (!node.present()) return std::nullopt;
  ServiceGraphConfig out;
  for (std::uint64_t i = 0; i < 8; ++i) out.bounds_ns.push_back(100 * kNsPerMs << i);  // 0.1 to 12.8 s
  if (node.has("latency_histogram_buckets"))
    out.bounds_ns = read_buckets(node, "latency_histogram_buckets", ServiceGraphConfig::kBucketsMax);
  const ConfigNode store = node.child("store");
  out.ttl = store.duration("ttl", out.ttl, std::chrono::milliseconds(100));
  if (out.ttl > std::chrono::hours(1)) store.error("ttl", "expected at most 1h");
  out.waiting_max = static_cast<std::size_t>(
      store.integer("max_items", static_cast<std::int64_t>(out.waiting_max), {.min = 1, .max = 10'000'000}));
  store.finish();
  out.edges_max = static_cast<std::size_t>(
      node.integer("edges_max", static_cast<std::int64_t>(out.edges_max), {.min = 1, .max = 100'000}));
  out.life = read_series_life(node, "edge_expiration");
  out.virtual_nodes = node.boolean("virtual_nodes", true);
  out.database_attributes =
      texts_or(node, "database_name_attributes", {"db.namespace", "db.name", "db.system.name", "db.system"});
  out.peer_attributes = texts_or(node, "virtual_node_peer_attributes", {"peer.service", "db.name", "db.system"});
  for (const char* key : {"database_name_attributes", "virtual_node_peer_attributes"}) {
    if (node.texts(key).size() > 16) node.error(key, "expected at most 16 attributes");
  }
  node.without_effect({"cache_loop", "store_expiration_loop", "metrics_flush_interval"});
  node.finish();
  return out;
}

}  // namespace tailgate
