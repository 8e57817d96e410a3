// SPDX-License-Identifier: Apache-2.0
#include "net/server/listen.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tailgate {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  void set_port(std::uint16_t port) {
    if (storage.ss_family == AF_INET) reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
    if (storage.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(port);
  }
};

std::uint16_t local_port(int fd) {
  Address a;
  a.size = sizeof a.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&a.storage), &a.size) != 0) return 0;
  if (a.storage.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&a.storage)->sin_port);
  return ntohs(reinterpret_cast<sockaddr_in6*>(&a.storage)->sin6_port);
}

Result<std::vector<Address>> resolve(const std::string& host, int type = SOCK_STREAM) {
  std::vector<std::string> names = {host};
  if (host == "localhost") names = {"127.0.0.1", "::1"};
  if (host.empty() || host == "*") names = {"::"};
  std::vector<Address> out;
  for (const std::string& name : names) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = type;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (const int rv = ::getaddrinfo(name.c_str(), nullptr, &hints, &found); rv != 0) {
      return fail(ErrorKind::kIo, fmt::format("cannot resolve '{}': {}", name, ::gai_strerror(rv)));
    }
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
      Address address;
      std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
      address.size = a->ai_addrlen;
      out.push_back(address);
    }
    ::freeaddrinfo(found);
  }
  return out;
}

// Returns the descriptor, or -1 with errno. `shared` datagram sockets may have one port together.
int listen_on(Address address, std::uint16_t port, bool both_families, int type = SOCK_STREAM, bool shared = false) {
  address.set_port(port);
  const int fd = ::socket(address.storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int one = 1;
  if (type == SOCK_STREAM) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (shared) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (address.storage.ss_family == AF_INET6) {
    const int only = both_families ? 0 : 1;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  }
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
      (type == SOCK_STREAM && ::listen(fd, 1024) != 0)) {
    const int saved = errno;
    ::close(fd);
    errno = saved;
    return -1;
  }
  return fd;
}

bool no_such_family(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT; }

// `copies` sockets of one datagram address, the first descriptor's place in `out` telling the port. -1 with errno.
int open_copies(const Address& address, bool every, std::size_t copies, Listeners& out) {
  // SO_REUSEPORT would silently let a second daemon of the same user share the port, so the port is first taken alone.
  const int alone = listen_on(address, out.endpoint.port, every, SOCK_DGRAM, false);
  if (alone < 0) return -1;
  const std::uint16_t port = out.endpoint.port != 0 ? out.endpoint.port : local_port(alone);
  ::close(alone);
  for (std::size_t i = 0; i < copies; ++i) {
    const int fd = listen_on(address, port, every, SOCK_DGRAM, true);
    if (fd < 0) return -1;
    out.descriptors.push_back(fd);
  }
  out.endpoint.port = port;
  return 0;
}

Result<Listeners> open_sockets(const Endpoint& endpoint, int type, std::size_t copies) {
  auto addresses = resolve(endpoint.host, type);
  if (!addresses) return tl::unexpected<Error>(addresses.error());
  const bool every = endpoint.host.empty() || endpoint.host == "*" || endpoint.host == "::";
  // A port that is free at the first address may be taken at the next one; then another port is tried.
  for (int attempt = 0;; ++attempt) {
    Listeners out{{}, endpoint};
    int error = 0;
    for (const Address& address : *addresses) {
      const int fd =
          type == SOCK_DGRAM ? open_copies(address, every, copies, out) : listen_on(address, out.endpoint.port, every);
      if (fd >= 0 && type == SOCK_STREAM) {
        out.descriptors.push_back(fd);
        if (out.endpoint.port == 0) out.endpoint.port = local_port(fd);
      } else if (fd < 0 && (addresses->size() == 1 || !no_such_family(errno))) {
        error = errno;
        break;
      }
    }
    if (error == 0 && out.descriptors.empty()) error = EADDRNOTAVAIL;
    if (error == 0) return out;
    for (const int fd : out.descriptors) ::close(fd);
    if (every && addresses->size() == 1 && no_such_family(error)) {  // a machine without IPv6
      addresses = resolve("0.0.0.0", type);
      if (!addresses) return tl::unexpected<Error>(addresses.error());
      continue;
    }
    if (endpoint.port == 0 && error == EADDRINUSE && attempt < 16) continue;
    return fail(ErrorKind::kIo, fmt::format("cannot listen on {}: {}", endpoint.text(), std::strerror(error)));
  }
}

}  // namespace

Result<Listeners> open_listeners(const Endpoint& endpoint, unsigned socket_mode) {
  if (endpoint.path.empty()) return open_sockets(endpoint, SOCK_STREAM, 1);
  Result<UnixListener> opened = listen_unix(endpoint.path, socket_mode);
  if (!opened) return tl::unexpected<Error>(opened.error());
  return Listeners{{opened->descriptor}, endpoint, std::move(opened->file)};
}

bool beyond_loopback(const Listeners& listeners) {
  for (const int fd : listeners.descriptors) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return true;
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    const bool here = address.ss_family == AF_UNIX ||
                      (address.ss_family == AF_INET && (ntohl(v4.sin_addr.s_addr) >> 24) == 127) ||
                      (address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
    if (!here) return true;
  }
  return false;
}

Result<Listeners> open_datagram_sockets(const Endpoint& endpoint, std::size_t copies) {
  if (!endpoint.path.empty())
    return fail(ErrorKind::kConfig, fmt::format("expected HOST:PORT for datagrams, got '{}'", endpoint.text()));
  return open_sockets(endpoint, SOCK_DGRAM, copies);
}

std::string address_text(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "";
  const void* address = from.ss_family == AF_INET6
                            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&from)->sin6_addr)
                            : &reinterpret_cast<const sockaddr_in*>(&from)->sin_addr;
  ::inet_ntop(from.ss_family, address, text, sizeof text);
  return text;
}

}  // namespace tailgate
