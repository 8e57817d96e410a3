// SPDX-License-Identifier: Apache-2.0
#include "config/config_node.h"
#include "net/limits.h"

namespace tailgate {
namespace {

template <class T>
T count(const ConfigNode& node, std::string_view key, T fallback, std::int64_t max) {
  return static_cast<T>(node.integer(key, static_cast<std::int64_t>(fallback), {.min = 1, .max = max}));
}

}  // namespace

ServerLimits read_server_limits(const ConfigNode& node, ServerLimits limits) {
  constexpr Duration kTick = std::chrono::milliseconds(1);
  limits.connections = count(node, "connections", limits.connections, 1'000'000);
  limits.connections_per_address = count(node, "connections_per_address", limits.connections_per_address, 1'000'000);
  limits.header_timeout = node.duration("header_timeout", limits.header_timeout, kTick);
  limits.body_rate_min = node.bytes("body_rate_min", limits.body_rate_min);
  limits.body_grace = node.duration("body_grace", limits.body_grace, kTick);
  limits.idle_timeout = node.duration("idle_timeout", limits.idle_timeout, kTick);
  limits.streams = count(node, "streams", limits.streams, 100'000);
  limits.resets_per_second = count(node, "resets_per_second", limits.resets_per_second, 1'000'000);
  limits.frames_without_progress = count(node, "frames_without_progress", limits.frames_without_progress, 1'000'000);
  limits.header_bytes = node.bytes("header_bytes", limits.header_bytes);
  limits.large_header_streams = count(node, "large_header_streams", limits.large_header_streams, 1'000'000);
  limits.body_bytes = node.bytes("body_bytes", limits.body_bytes);
  limits.inflated_bytes = node.bytes("inflated_bytes", limits.inflated_bytes);
  limits.held_body_bytes = node.bytes("held_body_bytes", limits.held_body_bytes);
  limits.inflate_ratio = count(node, "inflate_ratio", limits.inflate_ratio, 1'000'000);
  limits.inflate_ratio_from = node.bytes("inflate_ratio_from", limits.inflate_ratio_from);
  limits.tls_handshakes = count(node, "tls_handshakes", limits.tls_handshakes, 1'000'000);
  // 0 turns one of these off.
  ClientLimits& client = limits.client;
  client.connections = static_cast<std::size_t>(node.integer("client_connections", 0, {.min = 0, .max = 1'000'000}));
  client.held_bytes = node.bytes("client_held_bytes", client.held_bytes);
  client.bytes_per_second = node.bytes("client_bytes_per_second", client.bytes_per_second);
  client.spans_per_second =
      static_cast<std::uint64_t>(node.integer("client_spans_per_second", 0, {.min = 0, .max = 1'000'000'000}));
  client.burst = node.duration("client_burst", client.burst);
  return limits;
}

}  // namespace tailgate
