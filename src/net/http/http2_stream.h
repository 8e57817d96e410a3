// SPDX-License-Identifier: Apache-2.0
// Stream: what an HTTP/2 session keeps of one request and its answer. Belongs to the session's I/O thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "net/http/http.h"
#include "net/http/incoming_request.h"
#include "net/http/later_answer.h"

namespace tailgate {

struct Stream {
  explicit Stream(const SessionContext& c) : context(c), request(c) {}

  // Counts a field of the request's headers or trailers, charges its bytes, and stores it in the head. Trailers are
  // counted and charged too, but nobody needs them, so they are not stored.
  enum class HeaderResult { kTaken, kTooLarge, kNoMemory };
  HeaderResult add_header(std::string_view name, std::string_view value, bool trailer);

  // Gives everything back. The next request may use the stream.
  void clear();

  const SessionContext& context;
  std::int32_t id = 0;
  RequestHead head;
  IncomingRequest request;
  std::size_t header_bytes = 0;
  Charge head_charge;           // of header_bytes, beyond what an ordinary request has
  bool body_grew = false;       // in this read, and the session has it in its list
  bool headers_over = false;    // the limit
  bool complete = false;        // END_STREAM came
  bool answered = false;        // a response is submitted
  bool finished = false;        // and sent
  TimePoint answer_progress{};  // its answer was made, or a byte of it went
  bool ready = false;           // complete, and waits for room for its answer
  TimePoint ready_since{};
  Response response;
  std::size_t body_sent = 0;
  LaterHold later;           // another thread makes the answer
  bool later_begun = false;  // and its head is submitted
};

}  // namespace tailgate
