// SPDX-License-Identifier: Apache-2.0
#include "net/http/http2_stream.h"

#include <charconv>

namespace tailgate {
namespace {

// Headers of an ordinary request are not charged. More is charged to the budget, and may take half of the room for
// requests at most: a few bytes of HPACK references stand for many bytes of headers.
constexpr std::size_t kHeadFree = 1 << 10;
constexpr std::size_t kHeadStep = 2 << 10;
constexpr std::size_t kHeadReserveParts = 2;

}  // namespace

Stream::HeaderResult Stream::add_header(std::string_view name, std::string_view value, bool trailer) {
  header_bytes += name.size() + value.size() + 32;  // RFC 9113 section 6.5.2
  if (header_bytes > context.limits.header_bytes) return HeaderResult::kTooLarge;
  while (header_bytes > kHeadFree + head_charge.bytes() && context.budget != nullptr) {
    if (head_charge.bytes() == 0) head_charge = Charge(*context.budget, Holder::kRequests);
    if (!head_charge.try_grow(kHeadStep, kHeadReserveParts)) return HeaderResult::kNoMemory;
  }
  if (trailer) return HeaderResult::kTaken;
  if (name.starts_with(':')) {
    if (name == ":method") head.method.assign(value);
    if (name == ":path") head.target.assign(value);
    if (name == ":authority") head.headers.add("host", value);
    return HeaderResult::kTaken;
  }
  if (name == "content-length") {
    std::uint64_t length = 0;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (ec == std::errc() && end == value.data() + value.size()) head.content_length = length;
  }
  head.headers.add(name, value);
  return HeaderResult::kTaken;
}

void Stream::clear() {
  if (header_bytes > kHeadFree) {
    head = RequestHead{};  // it has grown, so its memory is not kept
  } else {
    head.clear();
  }
  request.end();
  header_bytes = body_sent = 0;
  head_charge.release();
  body_grew = headers_over = complete = answered = finished = ready = false;
  response = Response{};
  later.reset();
  later_begun = false;
}

}  // namespace tailgate
