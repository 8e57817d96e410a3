// What an HTTP/2 session keeps of a request on its way. Belongs to the session's I/O thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "net/body_buffer.h"
#include "net/held_bodies.h"
#include "net/http/body_pace.h"
#include "net/http/clients.h"
#include "net/http/http.h"

namespace tailgate {

// Headers of an ordinary request. More is charged to the budget, and may take half of the room for requests at most: a
// few bytes of HPACK references stand for many of headers.
inline constexpr std::size_t kHeadFree = 1 << 10;
inline constexpr std::size_t kHeadStep = 2 << 10;
inline constexpr std::size_t kHeadReserveParts = 2;

struct Stream {
  std::int32_t id = 0;
  RequestHead head;
  BodyBuffer body;
  BodyPace pace;
  HeldBodies::Share held;
  ClientShare share;
  std::size_t body_max = 0;
  std::size_t header_bytes = 0;
  Charge head_charge;  // of header_bytes beyond kHeadFree
  TimePoint waiting_since{};
  bool grpc = false;
  bool touched = false;  // is in touched_
  bool prefix_seen = false;
  bool headers_over = false;
  bool waiting = false;   // for its credentials to be checked
  bool admitted = false;  // the body is wanted
  bool complete = false;  // END_STREAM came
  bool answered = false;  // a response is submitted
  bool finished = false;  // and sent
  TimePoint moved{};      // its answer was made, or a byte of it went
  bool ready = false;     // complete, and waits for room for its answer
  TimePoint ready_since{};
  Response response;
  std::size_t body_sent = 0;

  void clear() {
    if (header_bytes > kHeadFree) {
      head = RequestHead{};  // not kept for the next stream: it has grown
    } else {
      head.clear();
    }
    body.reset();
    body_max = header_bytes = body_sent = 0;
    held.release();
    share.release();
    head_charge.release();
    grpc = touched = prefix_seen = headers_over = waiting = admitted = complete = answered = finished = ready = false;
    response = Response{};
  }
};

}  // namespace tailgate
