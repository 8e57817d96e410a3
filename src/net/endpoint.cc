// SPDX-License-Identifier: Apache-2.0
#include "net/endpoint.h"

#include <fmt/format.h>

#include <charconv>

#include "net/unix_socket.h"

namespace tailgate {

std::string Endpoint::text() const {
  if (!path.empty()) return fmt::format("{}{}", kUnixScheme, path);
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  if (text.starts_with(kUnixScheme)) {
    const std::string_view path = text.substr(kUnixScheme.size());
    if (const std::string fault = unix_path_fault(path); !fault.empty())
      return fail(ErrorKind::kConfig, fmt::format("{}, got '{}'", fault, text));
    return Endpoint{"", 0, std::string(path)};
  }
  const auto bad = [&] {
    return fail(ErrorKind::kConfig, fmt::format("expected HOST:PORT or unix:///PATH, got '{}'", text));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return bad();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos || host.find('/') != std::string_view::npos) {
    return bad();
  }
  Endpoint out{std::string(host), 0};
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (port.empty() || ec != std::errc() || end != port.data() + port.size()) return bad();
  return out;
}

}  // namespace tailgate
