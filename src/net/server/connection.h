// Connection: a socket and its session, on one I/O thread. Internal to the server.
//
// Reads wait for readiness and then go into one buffer per thread, so that an idle connection holds no read buffer.
// Answers of a batch of reads are sent at once; what the kernel does not take waits, and nothing more is read until it
// is gone: the kernel has room for megabytes, so such a peer does not read at all. A connection closed by us lingers a
// moment and throws away what still comes, so that the answer is not lost to a reset. TLS stands between socket and
// session: bytes that came go through it before feed(), output after it.
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

// What a server has on one I/O thread.
struct Worker {
  Worker(boost::asio::io_context& context, std::size_t number) : io(context), timer(context), index(number) {}

  boost::asio::io_context& io;
  boost::asio::steady_timer timer;
  const std::size_t index;
  std::vector<std::shared_ptr<Connection>> connections;  // its thread only
  std::deque<std::weak_ptr<Connection>> handshakes;      // its thread only: TLS not yet set up, the oldest first
  std::atomic<std::size_t> count{0};                     // handed over, not yet gone
  std::size_t tls_states = 0;                            // its thread only: connections with a TlsFilter
  std::size_t tls_states_max = SIZE_MAX;
  bool draining = false;  // its thread only
  bool stopped = false;   // its thread only: no more ticks
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Gone = std::function<void(Worker&, const std::string& remote, std::optional<CloseWhy> why)>;

  Connection(Worker& worker, boost::asio::ip::tcp::socket socket, const SessionContext& context, std::string remote,
             Gone gone);
  void start();
  void tick(TimePoint now);
  void drain();
  void close_now(std::optional<CloseWhy> why);
  // A TLS handshake is wanted and has not ended.
  bool shaking_hands() const { return tls_context_ != nullptr && !closed_ && !named_; }

  std::size_t slot = 0;  // in Worker::connections

 private:
  // Bytes from the socket to the session. Else why not: the peer speaks no TLS or may not, or there is no room for it.
  std::optional<CloseWhy> take(ByteView bytes);
  // Bytes from the session to out_.
  void pull();
  void drop_tls();
  // Closes the connection of this thread that can best be missed. False: there is none.
  bool evict_another();
  void wait_read();
  void wait_write();
  void on_readable();
  void on_discardable();
  // Sends what there is. False when the connection is gone or the kernel takes no more for now.
  bool flush();
  void go_on();  // after feed, tick, drain or a finished write
  void linger();

  Worker& worker_;
  boost::asio::ip::tcp::socket socket_;
  const std::string remote_;
  const Gone gone_;
  TlsContext* const tls_context_;   // null: cleartext
  std::unique_ptr<TlsFilter> tls_;  // made when the first byte comes, gone with the last one: it costs tens of KiB
  Charge tls_charge_;               // of tls_
  bool named_ = false;              // the session has been told who the client is
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
  bool said_goodbye_ = false;  // close_notify
  Duration write_timeout_;
};

}  // namespace tailgate
