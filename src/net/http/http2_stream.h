// What an HTTP/2 session keeps of a request on its way. Belongs to the session's I/O thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "net/http/http.h"
#include "net/http/incoming_request.h"

namespace tailgate {

// Headers of an ordinary request. More is charged to the budget, and may take half of the room for requests at most: a
// few bytes of HPACK references stand for many of headers.
inline constexpr std::size_t kHeadFree = 1 << 10;
inline constexpr std::size_t kHeadStep = 2 << 10;
inline constexpr std::size_t kHeadReserveParts = 2;

struct Stream {
  explicit Stream(const SessionContext& context) : request(context) {}

  std::int32_t id = 0;
  RequestHead head;
  IncomingRequest request;
  std::size_t header_bytes = 0;
  Charge head_charge;    // of header_bytes beyond kHeadFree
  bool touched = false;  // is in touched_
  bool headers_over = false;
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
    request.end();
    header_bytes = body_sent = 0;
    head_charge.release();
    touched = headers_over = complete = answered = finished = ready = false;
    response = Response{};
  }
};

}  // namespace tailgate
