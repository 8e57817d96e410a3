// SPDX-License-Identifier: Apache-2.0
// Endpoint: the address of a server as it is written in a configuration. A plain value; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tailgate {

struct Endpoint {
  std::string host;  // without brackets; "" and "*" are every address
  std::uint16_t port = 0;
  std::string path = {};  // of a Unix socket, which has no host

  std::string text() const;  // "localhost:4317", "[::1]:4317", "unix:///run/otlp.sock"
};

constexpr std::string_view kUnixScheme = "unix://";

// "host:port", "[v6]:port", ":port", "unix:///path".
Result<Endpoint> parse_endpoint(std::string_view text);

}  // namespace tailgate
