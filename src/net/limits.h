// SPDX-License-Identifier: Apache-2.0
// ServerLimits: what one endpoint grants to strangers, and the names of what happens past each limit.
// Sources: reference defaults for collectors exposed to a network; RFC 9113 section 10.5 for HTTP/2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/enum_names.h"

namespace tailgate {

class ConfigNode;

// What one client of an endpoint may take (net/http/clients.h says who is one client). 0: no limit.
struct ClientLimits {
  static constexpr std::size_t kHalf = SIZE_MAX;  // half of what all clients may hold

  std::size_t connections = 0;     // of one identity; addresses have connections_per_address
  std::size_t held_bytes = kHalf;  // memory of bodies not yet complete
  std::uint64_t bytes_per_second = 0;
  std::uint64_t spans_per_second = 0;
  Duration burst = std::chrono::seconds(1);  // what the rates allow in this time may arrive at once

  bool any() const { return connections != 0 || held_bytes != 0 || bytes_per_second != 0 || spans_per_second != 0; }
};

struct ServerLimits {
  std::size_t connections = 4096;             // of this endpoint
  std::size_t connections_per_address = 256;  // of one remote address, of IPv6 a /64, or user of a Unix socket
  Duration header_timeout =
      std::chrono::seconds(10);         // first byte, request headers, header blocks; also a stuck writer
  std::size_t body_rate_min = 1 << 10;  // bytes per second, judged over each body_grace
  Duration body_grace = std::chrono::seconds(5);
  Duration idle_timeout = std::chrono::seconds(60);  // between requests of a kept-alive connection
  std::uint32_t streams = 128;                       // at a time, per HTTP/2 connection
  std::uint32_t resets_per_second = 100;             // received or provoked, per connection
  std::uint32_t frames_without_progress = 1000;      // PING, SETTINGS, empty DATA ...; forgiven at 10 a second
  std::size_t header_bytes = 16 << 10;               // header list of one request
  std::uint32_t large_header_streams = 10;           // streams refused for it before the connection is closed
  std::size_t body_bytes = 64 << 20;                 // as it comes over the wire
  std::size_t inflated_bytes = 64 << 20;
  // Memory of bodies not yet complete, over all connections; 0: an eighth of the requests' budget, over TLS a
  // sixteenth.
  std::size_t held_body_bytes = 0;
  std::uint32_t inflate_ratio = 200;  // output to input, judged above inflate_ratio_from
  std::size_t inflate_ratio_from = 4 << 20;
  std::size_t tls_handshakes = 512;  // unfinished at a time; past it the oldest goes
  ClientLimits client{};
};

// Why a connection was closed by us; the strings are label values of tailgate_connections_closed_total.
enum class CloseWhy : std::uint8_t {
  kConnections,  // past `connections`
  kAddress,      // past `connections_per_address`
  kDescriptors,  // the process has no file descriptor left
  kHeaderTimeout,
  kSlowBody,
  kSlowReader,  // does not take our answers
  kIdle,
  kResets,
  kNoProgress,
  kHeaders,     // too many header lists over the limit
  kProtocol,    // not HTTP, or against its rules
  kDrained,     // still busy at the deadline of a shutdown
  kTls,         // the handshake failed, or the peer does not speak TLS
  kHandshakes,  // past `tls_handshakes`, where the oldest is closed
  kMemory,      // no room for the TLS state of a connection
};
inline constexpr std::array<std::string_view, 15> kCloseWhyNames = {
    "connections", "address", "descriptors", "header_timeout", "slow_body", "slow_reader", "idle",  "resets",
    "no_progress", "headers", "protocol",    "drained",        "tls",       "handshakes",  "memory"};
static_assert(names_end_with(kCloseWhyNames, CloseWhy::kMemory, "memory"));

// Reads a receiver's `limits:` map over `defaults` (keys as the fields above; docs/config.md). Does not call finish().
ServerLimits read_server_limits(const ConfigNode& node, ServerLimits defaults = {});

}  // namespace tailgate
