// SPDX-License-Identifier: Apache-2.0
// The Jaeger receiver: api_v2 over gRPC, Thrift batches over HTTP, and the datagrams that were for Jaeger's agent, in
// both Thrift protocols. wire/jaeger/model.h maps them to OTLP; docs/receivers.md has the table.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "codec/byte_sink.h"
#include "net/server/udp.h"
#include "receive/endpoint_config.h"
#include "receive/jaeger_clients.h"
#include "receive/receiver.h"
#include "wire/jaeger/thrift.h"

namespace tailgate {

inline constexpr std::string_view kJaegerPostSpans = "/jaeger.api_v2.CollectorService/PostSpans";
inline constexpr std::string_view kJaegerGetSamplingStrategy = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

struct JaegerConfig {
  std::optional<EndpointConfig> grpc, thrift_http;
  std::optional<UdpOptions> thrift_compact, thrift_binary;
};

// The Collector's keys and our `limits:`. Reports problems to the node; calls finish().
JaegerConfig read_jaeger_receiver(const ConfigNode& node);

// Turns datagrams into spans, and ingests all datagrams of a turn in one call. Shared by the I/O threads.
class JaegerDatagrams final : public DatagramHandler {
 public:
  // `options`: of the endpoint.
  JaegerDatagrams(ThriftProtocol protocol, const UdpOptions& options, const ReceiverContext& context, SourceId source,
                  JaegerClients& clients)
      : protocol_(protocol), options_(options), context_(context), source_(source), clients_(clients) {}

  void handle(std::span<const UdpDatagram> datagrams) override;
  void too_large(const UdpDatagram& datagram) override;

  // Datagrams that arrived and were refused.
  struct Dropped {
    std::uint64_t malformed = 0, no_memory = 0, shutdown = 0, journal = 0;
  };
  Dropped dropped() const;

 private:
  void take(std::span<const UdpDatagram> datagrams, ByteSink& otlp, std::uint64_t& refused);
  void log(const UdpDatagram& datagram, UdpDrop why, std::string_view text) const;

  const ThriftProtocol protocol_;
  const UdpOptions options_;
  const ReceiverContext context_;
  const SourceId source_;
  JaegerClients& clients_;
  std::atomic<std::uint64_t> malformed_{0}, no_memory_{0}, shutdown_{0}, journal_{0};
};

std::unique_ptr<Receiver> make_jaeger_receiver(JaegerConfig config, std::string name);

}  // namespace tailgate
