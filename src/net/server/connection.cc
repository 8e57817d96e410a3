// SPDX-License-Identifier: Apache-2.0
#include "net/server/connection.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>
#include <utility>

#include "base/kept_memory.h"
#include "net/http/detect_session.h"

namespace tailgate {
namespace {

constexpr std::size_t kReadBuffer = 512 << 10;
constexpr int kReadsPerTurn = 4;  // then the other connections of the thread have theirs
constexpr Duration kLinger = std::chrono::seconds(5);
constexpr Duration kLingerAbuse = std::chrono::milliseconds(500);

char* read_buffer() {
  thread_local const std::unique_ptr<char[]> buffer(new char[kReadBuffer]);
  return buffer.get();
}

}  // namespace

Connection::Connection(ServerThread& thread, boost::asio::ip::tcp::socket socket, const SessionContext& context,
                       std::string remote, OnClosed on_closed)
    : thread_(thread),
      socket_(std::move(socket)),
      remote_(std::move(remote)),
      on_closed_(std::move(on_closed)),
      tls_context_(context.tls),
      tls_charge_(context.budget != nullptr ? Charge(*context.budget, Holder::kConnections) : Charge()),
      progress_(monotonic_now()),
      write_timeout_(context.limits.header_timeout) {
  session_ = make_http_session(context, remote_, progress_);
  session_->set_owner(this);
}

std::function<void()> Connection::waker() {
  return [self = weak_from_this(), &io = thread_.io] {
    boost::asio::post(io, [self] {
      if (const auto alive = self.lock()) alive->go_on();
    });
  };
}

std::optional<CloseWhy> Connection::take(ByteView bytes) {
  if (tls_context_ == nullptr) {
    session_->feed(bytes, monotonic_now());
    return std::nullopt;
  }
  if (tls_ == nullptr) {
    if (thread_.tls_states >= thread_.tls_states_max && !evict_another()) return CloseWhy::kMemory;
    tls_ = std::make_unique<TlsFilter>(*tls_context_);
    tls_charge_.grow(kTlsStateBytes);
    ++thread_.tls_states;
  }
  thread_local std::string plain;
  plain.clear();
  const bool good = tls_->decrypt(bytes, plain);
  if (!good) return CloseWhy::kTls;  // drops the decrypted bytes too, because their sender may not be known yet
  if (!handshake_done_ && tls_->established()) {
    handshake_done_ = true;
    session_->set_certificate_name(tls_->peer_name());
  }
  if (!plain.empty()) session_->feed(plain, monotonic_now());
  peer_done_ = peer_done_ || tls_->peer_done();
  return std::nullopt;
}

void Connection::drop_tls() {
  if (tls_ == nullptr) return;
  tls_.reset();
  tls_charge_.release();
  --thread_.tls_states;
}

// First come connections that have had no answer yet, do not take their answer, or are still sending the headers of a
// request; then idle ones. Among these the one without progress for the longest time is closed.
bool Connection::evict_another() {
  Connection* victim = nullptr;
  const auto idles = [](const Connection& one) {
    return !one.session_->served() || one.session_->receiving_headers() || one.out_at_ < one.out_.size();
  };
  const auto rank = [&](const Connection& one) { return std::pair(!idles(one), one.progress_); };
  for (const auto& one : thread_.connections) {
    if (one.get() == this || one->closed_ || one->tls_ == nullptr) continue;
    if (!idles(*one) && !one->session_->idle()) continue;
    if (victim == nullptr || rank(*one) < rank(*victim)) victim = one.get();
  }
  if (victim == nullptr) return false;
  const auto alive = victim->shared_from_this();
  alive->close_now(CloseWhy::kMemory);
  return true;
}

void Connection::pull() {
  if (tls_context_ == nullptr) return session_->take_output(out_);
  if (tls_ == nullptr) return;  // without a byte from the peer there is no TLS to answer with
  if (out_.size() - out_at_ < kOutputHigh) {
    thread_local std::string plain;
    plain.clear();
    session_->take_output(plain);
    tls_->encrypt(plain);
  }
  tls_->take_encrypted(out_);
}

void Connection::start() { wait_read(); }

void Connection::wait_read() {
  if (reading_ || closed_ || peer_done_) return;
  reading_ = true;
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       self->reading_ = false;
                       if (self->closed_) return;
                       if (ec) return self->close_now(std::nullopt);
                       if (self->lingering_) return self->on_discardable();
                       self->on_readable();
                     });
}

void Connection::wait_write() {
  if (writing_ || closed_) return;
  writing_ = true;
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       self->writing_ = false;
                       if (self->closed_) return;
                       if (ec) return self->close_now(std::nullopt);
                       self->go_on();
                     });
}

void Connection::on_readable() {
  char* buffer = read_buffer();
  try {
    for (int i = 0;
         i < kReadsPerTurn && !session_->closing() && !session_->waiting() && out_.size() - out_at_ < kOutputHigh;
         ++i) {
      const ssize_t n = ::recv(socket_.native_handle(), buffer, kReadBuffer, 0);
      if (n > 0) {
        const auto refused = take({buffer, static_cast<std::size_t>(n)});
        pull();
        if (refused) {
          // Sends the alert, if the socket has room for it.
          (void)::send(socket_.native_handle(), out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL);
          return close_now(refused);
        }
        if (peer_done_) break;
        if (static_cast<std::size_t>(n) < kReadBuffer) break;
        continue;
      }
      if (n == 0) {
        peer_done_ = true;
      } else if (errno == EINTR) {
        continue;
      } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
        return close_now(std::nullopt);
      }
      break;
    }
  } catch (const std::exception&) {  // no memory
    return close_now(std::nullopt);
  }
  go_on();
}

bool Connection::flush() {
  for (;;) {
    if (out_at_ == out_.size()) {
      out_.clear();
      out_at_ = 0;
      pull();
      if (out_.empty()) {
        limit_memory(out_, kBufferKept);
        return true;
      }
      progress_ = monotonic_now();
    }
    const ssize_t n = ::send(socket_.native_handle(), out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL);
    if (n > 0) {
      out_at_ += static_cast<std::size_t>(n);
      progress_ = monotonic_now();
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      // The rest may wait for long, so memory is kept for little more than the rest. (Swapped, because a short string
      // that is moved leaves the other string its old memory.)
      const std::size_t left = out_.size() - out_at_;
      if (out_.capacity() - left > left / 4) {
        std::string(out_, out_at_).swap(out_);
        out_at_ = 0;
      }
      wait_write();
      return false;
    } else {
      close_now(std::nullopt);
      return false;
    }
  }
}

void Connection::go_on() {
  if (closed_ || lingering_) return;
  try {
    for (;;) {
      if (!flush()) return;  // a peer that takes no answers may not ask for more
      if (session_->closing()) {
        if (tls_ == nullptr || close_notify_sent_) return linger();
        close_notify_sent_ = true;
        tls_->close_notify();
        pull();
        continue;
      }
      session_->feed({}, monotonic_now());  // continues with input that waited while the output was high
      pull();
      if (out_.empty() && !session_->closing()) break;
    }
  } catch (const std::exception&) {
    return close_now(std::nullopt);
  }
  if (session_->waiting()) return;  // a tick brings the answer; the peer may have closed its side by then
  if (peer_done_) return close_now(std::nullopt);
  wait_read();
}

void Connection::linger() {
  if (peer_done_) return close_now(session_->close_why());
  lingering_ = true;
  drop_tls();
  linger_until_ = monotonic_now() + (session_->close_why() ? kLingerAbuse : kLinger);
  boost::system::error_code ignored;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  wait_read();
}

void Connection::on_discardable() {
  char* buffer = read_buffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t n = ::recv(socket_.native_handle(), buffer, kReadBuffer, 0);
    if (n > 0) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) break;
    return close_now(session_->close_why());
  }
  wait_read();
}

void Connection::tick(TimePoint now) {
  if (closed_) return;
  if (lingering_) {
    if (now >= linger_until_) close_now(session_->close_why());
    return;
  }
  if (out_at_ < out_.size() && now - progress_ >= write_timeout_) return close_now(CloseWhy::kSlowReader);
  session_->tick(now);
  go_on();
}

void Connection::drain() {
  if (closed_ || lingering_) return;
  session_->drain();
  go_on();
}

void Connection::close_now(std::optional<CloseWhy> why) {
  if (closed_) return;
  closed_ = true;
  if (!why || lingering_) why = session_->close_why();  // a lingering connection has ended its work already
  boost::system::error_code ignored;
  socket_.close(ignored);
  drop_tls();
  session_.reset();
  on_closed_(thread_, remote_, why);
  // The thread's reference may be the last one, except for pending handlers.
  auto& list = thread_.connections;
  if (slot < list.size() && list[slot].get() == this) {
    const auto self = std::move(list[slot]);
    if (slot + 1 != list.size()) {
      list[slot] = std::move(list.back());
      list[slot]->slot = slot;
    }
    list.pop_back();
  }
}

}  // namespace tailgate
