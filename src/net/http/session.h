// Session: one connection's protocol as a pure state machine: bytes in, bytes out, time as an argument. It knows no
// socket, so tests and fuzzers drive it directly, and TLS is a filter between it and the socket.
//
// Threads: belongs to its connection's I/O thread.
#pragma once

#include <chrono>
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

// What the sessions of one server share. Outlives them.
struct SessionContext {
  Handler& handler;
  const ServerLimits& limits;
  ByteBudget* budget = nullptr;    // null: nothing is charged
  HeldBodies* held = nullptr;      // null: not counted
  TlsContext* tls = nullptr;       // null: cleartext
  Authenticator* auth = nullptr;   // null: everybody may send
  ClientTable* clients = nullptr;  // null: no limits of one client
};

// Bytes of answers not yet taken by the peer above which a session neither reads nor answers further.
inline constexpr std::size_t kOutputHigh = 16 << 10;

// What a connection's buffers may keep for the next time when they are empty.
inline constexpr std::size_t kBufferKept = 4 << 10;

// A request that has waited so long for its password to be checked is told to try again. The clocks of headers and
// bodies stand still meanwhile: nothing is read, so the peer could not do better.
inline constexpr Duration kPasswordWaitMax = std::chrono::seconds(4);

class Session {
 public:
  virtual ~Session() = default;

  // Takes bytes from the peer and answers what is complete. An empty view goes on with what was held back while the
  // output was high.
  virtual void feed(ByteView bytes, TimePoint now) = 0;

  // Appends bytes for the peer until `out` holds kOutputHigh or nothing is left.
  virtual void take_output(std::string& out) = 0;

  // Judges the time limits; called a few times a second.
  virtual void tick(TimePoint now) = 0;

  // No new requests: GOAWAY, or Connection: close behind the next answer.
  virtual void drain() = 0;

  // Of the client's certificate; before the first byte is fed.
  virtual void set_certificate_name(std::string name) = 0;

  // A request waits for its credentials to be checked: nothing more is to be read until a tick has settled it.
  virtual bool waiting() const = 0;

  // A request of it has been answered.
  virtual bool served() const = 0;

  // The headers of a request have begun and are not complete.
  virtual bool asking() const = 0;

  // No request is being received or answered.
  virtual bool quiet() const = 0;

  // True: flush the output, then close. Nothing more is read.
  bool closing() const { return closing_; }
  // Set when it was our decision by a limit.
  std::optional<CloseWhy> close_why() const { return close_why_; }

 protected:
  void close() { closing_ = true; }
  void close(CloseWhy why) {
    closing_ = true;
    if (!close_why_) close_why_ = why;
  }

 private:
  bool closing_ = false;
  std::optional<CloseWhy> close_why_;
};

std::unique_ptr<Session> make_http1_session(const SessionContext& context, std::string remote, TimePoint now);
std::unique_ptr<Session> make_http2_session(const SessionContext& context, std::string remote, TimePoint now);

}  // namespace tailgate
