// SPDX-License-Identifier: Apache-2.0
// IncomingRequest: what one request takes from the endpoint while it arrives: its body, its part of the held bodies,
// its part of its client's account, and the clocks that judge its sender. The sessions keep the protocol and one of
// these for each request.
//
//   start() ─→ admit() ─→ take() … hold() … slow() ─→ complete() ─→ end()
//
// Always true: after end(), and after the destructor, the request takes nothing from anyone, whatever came before.
// Threads: belongs to its session's I/O thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/body_buffer.h"
#include "net/held_bodies.h"
#include "net/http/body_pace.h"
#include "net/http/clients.h"
#include "net/http/session.h"

namespace tailgate {

class IncomingRequest {
 public:
  // `context` outlives the request.
  explicit IncomingRequest(const SessionContext& context) : context_(context) {}

  // From now on the body has to keep pace. HTTP/2 starts with the headers, HTTP/1.1 with the body.
  void start(TimePoint now) { pace_.start(now); }

  // The largest body that `admission` and the limits of the endpoint let in, with the frame of a gRPC message.
  std::size_t body_max_of(const Admission& admission) const;

  // Follows an admission without a refusal: takes the body from now on, or waits when the admission says so. A request
  // that waits is admitted again later, and keeps what has come of its body.
  void admit(const RequestHead& head, const Admission& admission, TimePoint now);

  // The credentials of the request are being checked.
  bool waiting() const { return waiting_; }
  bool waited_too_long(TimePoint now) const { return waiting_ && now - waiting_since_ >= kPasswordWaitMax; }
  // The session read nothing for so long; the sender could not have been faster.
  void pause(Duration stopped) { pace_.since += stopped; }

  bool admitted() const { return admitted_; }

  // So many bytes came for the body, whatever the protocol needed of them.
  void arrived(std::size_t bytes) { pace_.bytes += bytes; }

  // Appends to the body; one copy. Returns a reason when the body gets too large or the budget has no room; the caller
  // refuses the request then. The prefix of a gRPC message is judged before its message takes memory.
  std::optional<RefuseWhy> take(ByteView bytes);

  // Called when a read is over and the body goes on: counts it against the held bodies and against its client.
  std::optional<Refusal> hold(TimePoint now);

  // Called a few times a second.
  void trim() { body_.trim(); }
  bool slow(TimePoint now) { return pace_.slow(now, context_.limits, body_.size(), held_.pressed()); }

  // The body has come to its end: it is not held any more, and the client pays for it. The bytes stay until end().
  void complete(TimePoint now);

  BodyBuffer& body() { return body_; }

  // Gives everything back; the next request may start. Allowed at any time.
  void end();

 private:
  bool read_grpc_prefix(ByteView bytes);

  const SessionContext& context_;
  BodyBuffer body_;
  BodyPace pace_;
  HeldBodies::Share held_;
  ClientShare share_;
  std::size_t body_max_ = 0;
  TimePoint waiting_since_{};
  bool waiting_ = false;
  bool admitted_ = false;
  bool grpc_ = false;
  bool grpc_prefix_seen_ = false;
};

}  // namespace tailgate
