// Listening sockets for an endpoint as written in a config.
#pragma once

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
  std::vector<int> descriptors;           // non-blocking, close-on-exec; whoever takes them closes them
  Endpoint endpoint;                      // with the port in use
  std::unique_ptr<SocketFile> file = {};  // of a Unix socket
};

// `localhost` is 127.0.0.1 and ::1 (the latter where the machine has IPv6); other names are every address they resolve
// to. Port 0 is one free port, the same for every address. Blocks while a name is resolved. Errors: kIo.
// A Unix socket gets `socket_mode`.
Result<Listeners> open_listeners(const Endpoint& endpoint, unsigned socket_mode = kSocketModeDefault);

// One of them can be reached from other machines.
bool beyond_loopback(const Listeners& listeners);

// The same for UDP: `copies` sockets for each address, all of one port, among which the kernel spreads the senders. An
// endpoint another process has is refused. descriptors: all copies of the first address, then of the next.
Result<Listeners> open_datagram_sockets(const Endpoint& endpoint, std::size_t copies);

class ConfigNode;
// `endpoint` and `socket_mode` of what listens over TCP. In listen_config.cc.
std::string read_listen_endpoint(const ConfigNode& node, std::string_view fallback, unsigned& socket_mode);

}  // namespace tailgate
