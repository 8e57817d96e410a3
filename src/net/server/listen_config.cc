// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "config/config_node.h"
#include "net/server/listen.h"

namespace tailgate {

std::string read_listen_endpoint(const ConfigNode& node, std::string_view fallback, unsigned& socket_mode) {
  std::string endpoint = node.text("endpoint", fallback);
  const bool unix_socket = endpoint.starts_with(kUnixScheme);
  if (unix_socket) {
    if (const std::string fault = unix_path_fault(endpoint.substr(kUnixScheme.size())); !fault.empty())
      node.error("endpoint", fault);
  }
  const std::string mode = node.text("socket_mode");
  if (mode.empty()) return endpoint;
  unsigned bits = 0;
  const auto [end, ec] = std::from_chars(mode.data(), mode.data() + mode.size(), bits, 8);
  if (ec != std::errc() || end != mode.data() + mode.size() || bits > 0777) {
    node.error("socket_mode", "expected permissions as chmod takes them, 0660");
  } else if (!unix_socket) {
    node.error("socket_mode", "expected an endpoint unix:///PATH with it");
  } else {
    socket_mode = bits;
  }
  return endpoint;
}

}  // namespace tailgate
