#include <algorithm>

#include "config/config_node.h"
#include "receive/otlp.h"

namespace tailgate {
namespace {

OtlpEndpointConfig read_grpc(const ConfigNode& node, const ServerLimits& limits) {
  OtlpEndpointConfig out;
  out.limits = limits;
  out.message_max = std::min(limits.body_bytes, limits.inflated_bytes);
  out.endpoint = read_listen_endpoint(node, "localhost:4317", out.socket_mode);
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
  node.finish();
  return out;
}

OtlpEndpointConfig read_http(const ConfigNode& node, const ServerLimits& limits) {
  OtlpEndpointConfig out;
  out.limits = limits;
  out.message_max = std::min(limits.body_bytes, limits.inflated_bytes);
  out.endpoint = read_listen_endpoint(node, "localhost:4318", out.socket_mode);
  if (const auto bytes = node.bytes("max_request_body_size", 0); bytes > 0) out.message_max = bytes;
  out.traces_path = node.text("traces_url_path", out.traces_path);
  if (!out.traces_path.starts_with('/')) out.traces_path.insert(0, "/");  // as the Collector does
  out.limits.idle_timeout = node.duration("idle_timeout", limits.idle_timeout, std::chrono::milliseconds(1));
  out.limits.header_timeout = node.duration("read_header_timeout", limits.header_timeout, std::chrono::milliseconds(1));
  out.tls = read_server_tls(node.child("tls"));
  out.cors = read_cors(node.child("cors"));
  out.auth = read_server_auth(node.child("auth"));
  out.config_path = node.path();
  node.without_effect({"transport", "metrics_url_path", "logs_url_path", "profiles_url_path", "include_metadata",
                       "response_headers", "compression_algorithms", "read_timeout", "write_timeout",
                       "keep_alives_enabled", "middlewares"});
  node.finish();
  return out;
}

// A size the user asked for is a size the endpoint takes, whatever the defaults of the limits say.
void widen(OtlpEndpointConfig& config) {
  config.limits.body_bytes = config.message_max;
  config.limits.inflated_bytes = config.message_max;
}

}  // namespace

OtlpConfig read_otlp_receiver(const ConfigNode& node) {
  OtlpConfig out;
  const ConfigNode limits_node = node.child("limits");
  const ServerLimits limits = read_server_limits(limits_node);
  limits_node.finish();
  const ConfigNode protocols = node.child("protocols");
  if (protocols.has("grpc")) out.grpc = read_grpc(protocols.child("grpc"), limits);
  if (protocols.has("http")) out.http = read_http(protocols.child("http"), limits);
  if (out.grpc) widen(*out.grpc);
  if (out.http) widen(*out.http);
  if (!out.grpc && !out.http) node.error("protocols", "grpc, http or both");
  protocols.finish();
  node.finish();
  return out;
}

std::unique_ptr<Receiver> make_otlp_receiver(const ConfigNode& node, std::string name) {
  return make_otlp_receiver(read_otlp_receiver(node), std::move(name));
}

}  // namespace tailgate
