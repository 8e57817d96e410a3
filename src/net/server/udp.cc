// SPDX-License-Identifier: Apache-2.0
#include "net/server/udp.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "net/server/listen.h"

namespace tailgate {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kBatch = 32;
constexpr std::size_t kSlot = 64 << 10;  // past the largest datagram there is
constexpr int kBatchesPerTurn = 8;       // then other sockets of the thread have their turn
constexpr int kBatchesAtEnd = 4096;      // what a stop still reads of one socket

// The receive buffer of a thread: 2 MiB of address space; only the pages that datagrams have reached are resident.
struct Slots {
  Slots()
      : bytes(static_cast<char*>(
            ::mmap(nullptr, kBatch * kSlot, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    for (std::size_t i = 0; bytes != MAP_FAILED && i < kBatch; ++i) {
      vectors[i] = {bytes + i * kSlot, kSlot};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_name = &senders[i];
    }
  }
  ~Slots() {
    if (bytes != MAP_FAILED) ::munmap(bytes, kBatch * kSlot);
  }
  char* bytes;
  std::array<iovec, kBatch> vectors{};
  std::array<mmsghdr, kBatch> messages{};
  std::array<sockaddr_storage, kBatch> senders{};
};

std::size_t set_receive_buffer(int fd, std::size_t wanted) {
  const int bytes = static_cast<int>(std::min<std::size_t>(wanted, 1 << 30));
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);  // up to net.core.rmem_max
  }
  int granted = 0;
  socklen_t size = sizeof granted;
  ::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size);
  return static_cast<std::size_t>(granted) / 2;  // the kernel doubles it for its own book-keeping
}

}  // namespace

struct UdpServer::Core : std::enable_shared_from_this<UdpServer::Core> {
  struct Socket {
    Socket(asio::io_context& io, int fd, std::size_t on) : descriptor(io, fd), thread(on) {}
    asio::posix::stream_descriptor descriptor;  // its thread's, but for native_handle under the mutex
    std::size_t thread;
    bool open = true;         // Core::mutex guards this and the next
    std::uint32_t drops = 0;  // the kernel's count when last read
  };

  Core(UdpOptions o, IoThreads& t, DatagramHandler& h) : options(std::move(o)), threads(t), handler(h) {}

  void wait(Socket& s) {
    s.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                            [core = shared_from_this(), &s](const error_code& ec) {
                              if (ec) return;
                              core->read(s, kBatchesPerTurn);
                              core->wait(s);
                            });
  }

  void read(Socket& s, int batches) {
    thread_local Slots slots;
    if (slots.bytes == MAP_FAILED) return;
    for (; batches > 0; --batches) {
      for (mmsghdr& m : slots.messages) m.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
      const int n = ::recvmmsg(s.descriptor.native_handle(), slots.messages.data(), kBatch, MSG_DONTWAIT, nullptr);
      if (n <= 0) return;
      std::array<UdpDatagram, kBatch> datagrams;
      std::size_t count = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
        const std::size_t size = slots.messages[i].msg_len;
        if (size > options.datagram_bytes_max) {
          too_large.fetch_add(1, std::memory_order_relaxed);
          handler.too_large({.bytes = {}, .from = &slots.senders[i]});
          continue;
        }
        const ByteView sender(reinterpret_cast<const char*>(&slots.senders[i]), slots.messages[i].msg_hdr.msg_namelen);
        datagrams[count++] = {ByteView(slots.bytes + i * kSlot, size), hash_bytes(sender, 0), &slots.senders[i]};
      }
      received.fetch_add(count, std::memory_order_relaxed);
      if (count != 0) handler.handle({datagrams.data(), count});
      if (static_cast<std::size_t>(n) < kBatch) return;
    }
  }

  // The kernel's 32-bit count of a socket, added up.
  void read_drops(Socket& s) TAILGATE_REQUIRES(mutex) {
    std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
    socklen_t size = sizeof info;
    if (::getsockopt(s.descriptor.native_handle(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) != 0) return;
    kernel_dropped += static_cast<std::uint32_t>(info[SK_MEMINFO_DROPS] - s.drops);
    s.drops = info[SK_MEMINFO_DROPS];
  }

  void close(Socket& s) {
    read(s, kBatchesAtEnd);
    const MutexLock lock(mutex);
    read_drops(s);
    s.open = false;
    error_code ignored;
    s.descriptor.close(ignored);
    // Posted, so that the cancelled wait finishes first.
    threads.post(s.thread, [core = shared_from_this()] {
      const MutexLock guard(core->mutex);
      --core->open_sockets;
      core->all_closed.notify_all();
    });
  }

  const UdpOptions options;
  IoThreads& threads;
  DatagramHandler& handler;
  Endpoint endpoint;
  std::string endpoint_text;
  bool exposed = false;
  std::size_t receive_buffer = SIZE_MAX;
  std::vector<std::unique_ptr<Socket>> sockets;
  bool stopped = false;  // the owner's thread only
  std::atomic<std::uint64_t> received{0}, too_large{0};

  Mutex mutex;
  CondVar all_closed;
  std::size_t open_sockets TAILGATE_GUARDED_BY(mutex) = 0;
  std::uint64_t kernel_dropped TAILGATE_GUARDED_BY(mutex) = 0;
};

UdpServer::UdpServer(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Result<std::unique_ptr<UdpServer>> UdpServer::open(IoThreads& threads, UdpOptions options, DatagramHandler& handler) {
  const Result<Endpoint> endpoint = parse_endpoint(options.endpoint);
  if (!endpoint) return tl::unexpected<Error>(endpoint.error());
  Result<Listeners> sockets = open_datagram_sockets(*endpoint, threads.size());
  if (!sockets) return tl::unexpected<Error>(sockets.error());
  auto core = std::make_shared<Core>(std::move(options), threads, handler);
  core->endpoint = sockets->endpoint;
  core->endpoint_text = sockets->endpoint.text();
  core->exposed = tailgate::beyond_loopback(*sockets);
  for (std::size_t i = 0; i < sockets->descriptors.size(); ++i) {
    const int fd = sockets->descriptors[i];
    core->receive_buffer = std::min(core->receive_buffer, set_receive_buffer(fd, core->options.receive_buffer));
    const std::size_t thread = i % threads.size();
    core->sockets.push_back(std::make_unique<Core::Socket>(threads.context(thread), fd, thread));
  }
  {
    const MutexLock lock(core->mutex);
    core->open_sockets = core->sockets.size();
  }
  for (const auto& socket : core->sockets) {
    threads.post(socket->thread, [core, s = socket.get()] { core->wait(*s); });
  }
  return std::unique_ptr<UdpServer>(new UdpServer(std::move(core)));
}

UdpServer::~UdpServer() { stop(); }

const std::string& UdpServer::endpoint() const { return core_->endpoint_text; }
std::uint16_t UdpServer::port() const { return core_->endpoint.port; }
bool UdpServer::beyond_loopback() const { return core_->exposed; }
std::size_t UdpServer::receive_buffer() const { return core_->receive_buffer; }

UdpStats UdpServer::stats() const {
  const MutexLock lock(core_->mutex);
  for (const auto& socket : core_->sockets) {
    if (socket->open) core_->read_drops(*socket);
  }
  return {core_->received.load(std::memory_order_relaxed), core_->too_large.load(std::memory_order_relaxed),
          core_->kernel_dropped};
}

void UdpServer::stop() {
  if (std::exchange(core_->stopped, true)) return;
  for (const auto& socket : core_->sockets) {
    core_->threads.post(socket->thread, [core = core_, s = socket.get()] { core->close(*s); });
  }
  const MutexLock lock(core_->mutex);
  while (core_->open_sockets != 0) core_->all_closed.wait(core_->mutex);
}

}  // namespace tailgate
