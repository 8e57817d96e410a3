// What an HTTP/2 session keeps beside nghttp2: a request on its way (Stream), and a count of frames (FrameCounter).
// Belongs to the session's I/O thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/byte_budget.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "net/body_buffer.h"
#include "net/body_pace.h"
#include "net/clients.h"
#include "net/held_bodies.h"
#include "net/http.h"

namespace tailgate {

inline constexpr std::size_t kFrameHeader = 9;  // bytes, RFC 9113 section 4.1
inline constexpr std::size_t kSmallFrame = 64;  // payload; larger ones pay for themselves in bandwidth

// Counts small frames in the raw bytes: nghttp2 says nothing of frames it ignores (unknown types, closed streams).
class FrameCounter {
 public:
  void feed(ByteView bytes) {
    for (;;) {
      const std::size_t skipped = std::min(skip_, bytes.size());
      skip_ -= skipped;
      bytes.remove_prefix(skipped);
      if (bytes.empty()) return;
      const std::size_t taken = std::min(kFrameHeader - have_, bytes.size());
      for (std::size_t i = 0; i < taken && have_ + i < 3; ++i)
        length_ = length_ << 8 | static_cast<unsigned char>(bytes[i]);
      have_ += taken;
      bytes.remove_prefix(taken);
      if (have_ < kFrameHeader) return;
      if (length_ < kSmallFrame) ++small;
      skip_ = length_;
      have_ = length_ = 0;
    }
  }
  std::uint64_t small = 0;

 private:
  std::size_t skip_ = 24;  // the preface
  std::size_t have_ = 0;
  std::size_t length_ = 0;
};

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
  TimePoint answered_at{};
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
    grpc = touched = prefix_seen = headers_over = waiting = admitted = complete = answered = finished = false;
    response = Response{};
  }
};

}  // namespace tailgate
