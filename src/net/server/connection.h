// SPDX-License-Identifier: Apache-2.0
// Connection: a socket and its session, on one I/O thread. Internal to the server.
//
// A read waits until the socket is readable and then uses one buffer per thread, so an idle connection holds no read
// buffer. The answers of a batch of reads are sent together. When the kernel does not take them all, nothing more is
// read until it does: the kernel has room for megabytes, so such a peer does not read at all. A connection that we
// close lingers a moment and discards what still arrives, so that a reset does not destroy the answer. TLS stands
// between socket and session: it decrypts before feed() and encrypts the output.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/http/session.h"
#include "net/tls/tls.h"

namespace tailgate {

class Connection;

// The part of a server that belongs to one I/O thread.
struct ServerThread {
  ServerThread(boost::asio::io_context& context, std::size_t number) : io(context), timer(context), index(number) {}

  boost::asio::io_context& io;
  boost::asio::steady_timer timer;
  const std::size_t index;
  std::vector<std::shared_ptr<Connection>> connections;  // its thread only
  std::deque<std::weak_ptr<Connection>> handshakes;      // its thread only: handshakes not finished, the oldest first
  std::atomic<std::size_t> count{0};                     // handed over, not yet gone
  std::size_t tls_states = 0;                            // its thread only: connections with a TlsFilter
  std::size_t tls_states_max = SIZE_MAX;
  bool draining = false;  // its thread only
  bool stopped = false;   // its thread only: no more ticks
};

class Connection final : public std::enable_shared_from_this<Connection>, private SessionOwner {
 public:
  using OnClosed = std::function<void(ServerThread&, const std::string& remote, std::optional<CloseWhy> why)>;

  Connection(ServerThread& thread, boost::asio::ip::tcp::socket socket, const SessionContext& context,
             std::string remote, OnClosed on_closed);
  void start();
  void tick(TimePoint now);
  void drain();
  void close_now(std::optional<CloseWhy> why);
  // The connection needs a TLS handshake that has not ended.
  bool handshaking() const { return tls_context_ != nullptr && !closed_ && !handshake_done_; }

  std::size_t slot = 0;  // in ServerThread::connections

 private:
  std::function<void()> waker() override;
  // Passes bytes from the socket to the session. Returns why the connection must close: the TLS handshake failed, or
  // there is no room for TLS.
  std::optional<CloseWhy> take(ByteView bytes);
  // Moves bytes from the session to out_.
  void pull();
  void drop_tls();
  // Closes the least useful connection of this thread. Returns false when there is none.
  bool evict_another();
  void wait_read();
  void wait_write();
  void on_readable();
  void on_discardable();
  // Sends the output. Returns false when the connection is closed or the kernel takes no more for now.
  bool flush();
  void go_on();  // after feed, tick, drain or a finished write
  void linger();

  ServerThread& thread_;
  boost::asio::ip::tcp::socket socket_;
  const std::string remote_;
  const OnClosed on_closed_;
  TlsContext* const tls_context_;   // null: cleartext
  std::unique_ptr<TlsFilter> tls_;  // exists from the first byte to the last, because it costs tens of KiB
  Charge tls_charge_;               // of tls_
  bool handshake_done_ = false;     // the session has been told who the client is
  std::unique_ptr<Session> session_;
  std::string out_;
  std::size_t out_at_ = 0;
  TimePoint progress_;  // of writing
  TimePoint linger_until_{};
  bool reading_ = false;
  bool writing_ = false;
  bool lingering_ = false;
  bool peer_done_ = false;
  bool closed_ = false;
  bool close_notify_sent_ = false;  // close_notify
  Duration write_timeout_;
};

}  // namespace tailgate
