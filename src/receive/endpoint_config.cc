// SPDX-License-Identifier: Apache-2.0
#include "receive/endpoint_config.h"

#include <algorithm>

#include "config/config_node.h"

namespace tailgate {
namespace {

EndpointConfig with_limits(const ConfigNode& node, std::string_view default_endpoint, const ServerLimits& limits) {
  EndpointConfig out;
  out.limits = limits;
  out.message_max = std::min(limits.body_bytes, limits.inflated_bytes);
  out.endpoint = read_listen_endpoint(node, default_endpoint, out.socket_mode);
  return out;
}

// An endpoint takes the size that the user asked for, whatever the defaults of the limits say.
void widen(EndpointConfig& config) {
  config.limits.body_bytes = config.message_max;
  config.limits.inflated_bytes = config.message_max;
}

}  // namespace

ServerLimits read_receiver_limits(const ConfigNode& receiver) {
  const ConfigNode node = receiver.child("limits");
  const ServerLimits limits = read_server_limits(node);
  node.finish();
  return limits;
}

EndpointConfig read_grpc_endpoint(const ConfigNode& node, std::string_view default_endpoint,
                                  const ServerLimits& limits) {
  EndpointConfig out = with_limits(node, default_endpoint, limits);
  if (const auto mib = node.integer("max_recv_msg_size_mib", 0, {.min = 0, .max = 2047}); mib > 0) {
    out.message_max = static_cast<std::size_t>(mib) << 20;
  }
  if (const auto streams = node.integer("max_concurrent_streams", 0, {.min = 0, .max = 100'000}); streams > 0) {
    out.limits.streams = static_cast<std::uint32_t>(streams);
  }
  node.choice("transport", "tcp", {"tcp"});
  out.tls = read_server_tls(node.child("tls"));
  out.auth = read_server_auth(node.child("auth"));
  out.config_path = node.path();
  node.without_effect({"keepalive", "read_buffer_size", "write_buffer_size", "include_metadata", "middlewares"});
  widen(out);
  return out;
}

EndpointConfig read_http_endpoint(const ConfigNode& node, std::string_view default_endpoint,
                                  const ServerLimits& limits) {
  EndpointConfig out = with_limits(node, default_endpoint, limits);
  if (const auto bytes = node.bytes("max_request_body_size", 0); bytes > 0) out.message_max = bytes;
  out.limits.idle_timeout = node.duration("idle_timeout", limits.idle_timeout, std::chrono::milliseconds(1));
  out.limits.header_timeout = node.duration("read_header_timeout", limits.header_timeout, std::chrono::milliseconds(1));
  out.tls = read_server_tls(node.child("tls"));
  out.cors = read_cors(node.child("cors"));
  out.auth = read_server_auth(node.child("auth"));
  out.config_path = node.path();
  node.without_effect({"transport", "include_metadata", "response_headers", "compression_algorithms", "read_timeout",
                       "write_timeout", "keep_alives_enabled", "middlewares"});
  widen(out);
  return out;
}

}  // namespace tailgate
