// SPDX-License-Identifier: Apache-2.0
// The OTLP receiver: traces over gRPC and over HTTP with protobuf or JSON bodies, gzip, deflate and zstd on all of
// them. Either endpoint answers every one of these, over HTTP/1.1 and HTTP/2 (gRPC over HTTP/2 only).
//
// Sources: OTLP specification 1.11 (sections OTLP/gRPC, OTLP/HTTP); docs/architecture.md 5.5 for what bad input gets.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "receive/endpoint_config.h"
#include "receive/receiver.h"

namespace tailgate {

class ConfigNode;

inline constexpr std::string_view kOtlpTraceExport = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
inline constexpr std::string_view kOtlpTracesPath = "/v1/traces";
// What the members of a cluster tell each other (cluster/message.h); not there without a cluster.
inline constexpr std::string_view kClusterMessages = "/tailgate/v1/cluster";
inline constexpr std::size_t kClusterMessageMax = 2 << 20;  // bytes

struct OtlpConfig {
  std::optional<EndpointConfig> grpc;
  std::optional<EndpointConfig> http;
  std::string traces_path{kOtlpTracesPath};  // of `http`; `grpc` takes HTTP requests at the default path
};

// The Collector's keys and our `limits:`. Reports problems to the node; calls finish().
OtlpConfig read_otlp_receiver(const ConfigNode& node);

std::unique_ptr<Receiver> make_otlp_receiver(OtlpConfig config, std::string name);

}  // namespace tailgate
