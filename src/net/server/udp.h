// SPDX-License-Identifier: Apache-2.0
// UdpServer: one UDP endpoint, read by the I/O threads.
//
// Every address has one socket per I/O thread (SO_REUSEPORT). The kernel spreads the senders over them, and the
// datagrams of one sender stay on one thread and in order. Each turn takes up to 32 datagrams with one recvmmsg. The
// kernel drops datagrams when a socket's buffer is full; the server asks it how many and counts them, so that on this
// machine sent = received + kernel_dropped. Threads: open, stop and the destructor on the thread that owns it (never an
// I/O thread); stats on any.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "net/io_threads.h"

namespace tailgate {

struct UdpOptions {
  std::string endpoint;                     // HOST:PORT
  std::size_t receive_buffer = 8 << 20;     // bytes of each socket
  std::size_t datagram_bytes_max = 65'000;  // larger ones are dropped and counted
  std::string config_path = {};             // of this endpoint, for messages
};

struct UdpDatagram {
  ByteView bytes;
  std::uint64_t sender = 0;  // the same for the same address and port
  const sockaddr_storage* from = nullptr;
};

class DatagramHandler {
 public:
  virtual ~DatagramHandler() = default;
  // Called by all I/O threads at the same time; must not block. The bytes live until the call returns.
  virtual void handle(std::span<const UdpDatagram> datagrams) = 0;
  // A datagram past datagram_bytes_max, of which only the address is right. Counted by the server.
  virtual void too_large(const UdpDatagram& datagram) = 0;
};

struct UdpStats {
  std::uint64_t datagrams = 0;       // handed to the handler
  std::uint64_t too_large = 0;       // past datagram_bytes_max
  std::uint64_t kernel_dropped = 0;  // because a socket's buffer was full
};

class UdpServer {
 public:
  // Binds and begins to read. Errors: kConfig for a wrong endpoint, kIo when it cannot bind.
  static Result<std::unique_ptr<UdpServer>> open(IoThreads& threads, UdpOptions options, DatagramHandler& handler);
  ~UdpServer();  // stop()
  UdpServer(const UdpServer&) = delete;
  UdpServer& operator=(const UdpServer&) = delete;

  const std::string& endpoint() const;  // HOST:PORT with the port in use
  std::uint16_t port() const;
  bool beyond_loopback() const;        // other machines can reach it
  std::size_t receive_buffer() const;  // bytes the kernel granted each socket
  UdpStats stats() const;

  // Reads what has arrived, then closes the sockets. When it returns, the handler is not called any more. The threads
  // must be running.
  void stop();

 private:
  struct Core;
  explicit UdpServer(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace tailgate
