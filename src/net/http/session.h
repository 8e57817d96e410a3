// SPDX-License-Identifier: Apache-2.0
// Session: the protocol of one connection as a pure state machine: bytes in, bytes out, time as an argument. It does
// not know the socket, so tests and fuzzers drive it directly, and TLS is a filter between it and the socket.
//
// Threads: belongs to its connection's I/O thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/byte_budget.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "net/held_bodies.h"
#include "net/http/http.h"
#include "net/limits.h"

namespace tailgate {

class Authenticator;
class ClientTable;
class TlsContext;

// What the sessions of one server share. It outlives them.
struct SessionContext {
  Handler& handler;
  const ServerLimits& limits;
  ByteBudget* budget = nullptr;    // null: nothing is charged
  HeldBodies* held = nullptr;      // null: not counted
  TlsContext* tls = nullptr;       // null: cleartext
  Authenticator* auth = nullptr;   // null: everybody may send
  ClientTable* clients = nullptr;  // null: no limits of one client
};

// When the peer has not taken so many bytes of answers, a session neither reads nor answers further.
inline constexpr std::size_t kOutputHigh = 16 << 10;

// An empty buffer of a connection keeps so much memory for the next use.
inline constexpr std::size_t kBufferKept = 4 << 10;

// A request that has waited so long for the check of its password is answered "try again". The clocks of headers and
// bodies stand still meanwhile, because nothing is read and the peer could not be faster.
inline constexpr Duration kPasswordWaitMax = std::chrono::seconds(4);

// Whoever has the session: calls take_output and feed.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // A function that any thread may call at any time, also when session and owner are gone: the owner's I/O thread then
  // asks the session for output.
  virtual std::function<void()> waker() = 0;
};

class Session {
 public:
  virtual ~Session() = default;

  // Called before the first feed(). The owner outlives the session. Without one, later answers come with the next call.
  virtual void set_owner(SessionOwner* owner) { owner_ = owner; }

  // Takes bytes from the peer and answers complete requests. An empty view continues with the input that waited while
  // the output was high.
  virtual void feed(ByteView bytes, TimePoint now) = 0;

  // Appends bytes for the peer until `out` holds kOutputHigh or nothing is left.
  virtual void take_output(std::string& out) = 0;

  // Judges the time limits; called a few times a second.
  virtual void tick(TimePoint now) = 0;

  // Takes no new requests: sends GOAWAY, or Connection: close with the next answer.
  virtual void drain() = 0;

  // The name in the client's certificate. Called before the first feed().
  virtual void set_certificate_name(std::string name) = 0;

  // A request waits for the check of its credentials. The connection must not read until a tick has settled it.
  virtual bool waiting() const = 0;

  // At least one request has been answered.
  virtual bool served() const = 0;

  // The headers of a request have begun and are not complete.
  virtual bool receiving_headers() const = 0;

  // No request is being received or answered.
  virtual bool idle() const = 0;

  // True: the connection sends the output, closes, and reads no more.
  bool closing() const { return closing_; }
  // Set when a limit made us close.
  std::optional<CloseWhy> close_why() const { return close_why_; }

 protected:
  SessionOwner* owner() const { return owner_; }
  std::function<void()> waker() const { return owner_ != nullptr ? owner_->waker() : nullptr; }
  void close() { closing_ = true; }
  void close(CloseWhy why) {
    closing_ = true;
    if (!close_why_) close_why_ = why;
  }

 private:
  SessionOwner* owner_ = nullptr;
  bool closing_ = false;
  std::optional<CloseWhy> close_why_;
};

std::unique_ptr<Session> make_http1_session(const SessionContext& context, std::string remote, TimePoint now);
std::unique_ptr<Session> make_http2_session(const SessionContext& context, std::string remote, TimePoint now);

}  // namespace tailgate
