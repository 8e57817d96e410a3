// SPDX-License-Identifier: Apache-2.0
// Listening sockets for an endpoint as written in a config.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/endpoint.h"
#include "net/unix_socket.h"

namespace tailgate {

constexpr unsigned kSocketModeDefault = 0660;

struct Listeners {
  std::vector<int> descriptors;           // non-blocking, close-on-exec; the caller closes them
  Endpoint endpoint;                      // with the port in use
  std::unique_ptr<SocketFile> file = {};  // of a Unix socket
};

// `localhost` is 127.0.0.1 and, on a machine with IPv6, ::1; any other name stands for all addresses that it resolves
// to. Port 0 is one free port, the same for every address. Blocks while a name is resolved. The file of a Unix socket
// gets `socket_mode`. Errors: kIo.
Result<Listeners> open_listeners(const Endpoint& endpoint, unsigned socket_mode = kSocketModeDefault);

// The address without the port.
std::string address_text(const sockaddr_storage& from);

// True when other machines can reach one of the addresses.
bool beyond_loopback(const Listeners& listeners);

// The same for UDP: `copies` sockets for each address, all with one port, and the kernel spreads the senders over them.
// An endpoint that another process uses is an error. `descriptors` has all copies of the first address, then of the
// next.
Result<Listeners> open_datagram_sockets(const Endpoint& endpoint, std::size_t copies);

class ConfigNode;
// Reads `endpoint` and `socket_mode` of a TCP or Unix endpoint. In listen_config.cc.
std::string read_listen_endpoint(const ConfigNode& node, std::string_view fallback, unsigned& socket_mode);

}  // namespace tailgate
