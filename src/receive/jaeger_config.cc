// SPDX-License-Identifier: Apache-2.0
#include "config/config_node.h"
#include "receive/jaeger.h"

namespace tailgate {
namespace {

UdpOptions read_udp(const ConfigNode& node, std::string_view default_endpoint) {
  UdpOptions out;
  out.endpoint = node.text("endpoint", default_endpoint);
  if (out.endpoint.starts_with(kUnixScheme)) node.error("endpoint", "expected HOST:PORT, for datagrams");
  out.config_path = node.path();
  out.datagram_bytes_max = static_cast<std::size_t>(
      node.integer("max_packet_size", static_cast<std::int64_t>(out.datagram_bytes_max), {.min = 1, .max = 65'535}));
  if (const std::uint64_t bytes = node.bytes("socket_buffer_size", 0); bytes > 0) out.receive_buffer = bytes;
  if (out.receive_buffer > 1 << 30) node.error("socket_buffer_size", "expected at most 1GiB");
  node.without_effect({"queue_size", "workers"});
  node.finish();
  return out;
}

}  // namespace

JaegerConfig read_jaeger_receiver(const ConfigNode& node) {
  JaegerConfig out;
  const ServerLimits limits = read_receiver_limits(node);
  const ConfigNode protocols = node.child("protocols");
  if (protocols.has("grpc")) {
    const ConfigNode grpc = protocols.child("grpc");
    out.grpc = read_grpc_endpoint(grpc, "localhost:14250", limits);
    grpc.finish();
  }
  if (protocols.has("thrift_http")) {
    const ConfigNode http = protocols.child("thrift_http");
    out.thrift_http = read_http_endpoint(http, "localhost:14268", limits);
    http.finish();
  }
  if (protocols.has("thrift_compact")) {
    out.thrift_compact = read_udp(protocols.child("thrift_compact"), "localhost:6831");
  }
  if (protocols.has("thrift_binary")) {
    out.thrift_binary = read_udp(protocols.child("thrift_binary"), "localhost:6832");
  }
  if (!out.grpc && !out.thrift_http && !out.thrift_compact && !out.thrift_binary) {
    node.error("protocols", "grpc, thrift_http, thrift_compact, thrift_binary or several of them");
  }
  protocols.finish();
  node.without_effect({"remote_sampling"});
  node.finish();
  return out;
}

std::unique_ptr<Receiver> make_jaeger_receiver(const ConfigNode& node, std::string name) {
  return make_jaeger_receiver(read_jaeger_receiver(node), std::move(name));
}

}  // namespace tailgate
