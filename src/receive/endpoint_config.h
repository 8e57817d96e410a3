// SPDX-License-Identifier: Apache-2.0
// EndpointConfig: what a user writes for one HTTP or gRPC endpoint of a receiver. The keys are the Collector's server
// settings and the same for every receiver, so they are read here; each receiver reads the keys of its own besides.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "net/auth/auth.h"
#include "net/http/cors.h"
#include "net/limits.h"
#include "net/server/listen.h"
#include "net/tls/tls.h"

namespace tailgate {

class ConfigNode;

struct EndpointConfig {
  std::string endpoint;  // HOST:PORT or unix:///PATH
  unsigned socket_mode = kSocketModeDefault;
  std::size_t message_max = 64 << 20;  // bytes of a request, on the wire and inflated
  ServerLimits limits;
  std::optional<TlsOptions> tls = {};
  std::optional<AuthOptions> auth = {};
  CorsOptions cors = {};
  std::string config_path = {};  // where these keys stand

  std::size_t tls_connections() const { return tls ? limits.connections : 0; }
};

// The `limits:` map of a receiver, which holds for all of its endpoints.
ServerLimits read_receiver_limits(const ConfigNode& receiver);

// Both report problems to the node. Neither calls finish(), because a receiver may read more keys of the same node.
EndpointConfig read_grpc_endpoint(const ConfigNode& node, std::string_view default_endpoint,
                                  const ServerLimits& limits);
EndpointConfig read_http_endpoint(const ConfigNode& node, std::string_view default_endpoint,
                                  const ServerLimits& limits);

}  // namespace tailgate
