// SPDX-License-Identifier: Apache-2.0
// How much of one span is decoded for formats other than OTLP's bytes. An empty link is 2 bytes in OTLP and 88 as a
// LinkView, and what a stranger sends must not grow to many times its size. SDKs keep 128 events and links a span with
// 128 attributes each, so honest spans stay far below these limits. What is over a limit is left out from the end and
// added to OTLP's dropped count, where there is one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace tailgate {

inline constexpr std::size_t kEventsMax = 16'384, kLinksMax = 16'384;
inline constexpr std::size_t kAttributesMax = 65'536;       // of a span with its events and links
inline constexpr std::size_t kPrefixAttributesMax = 4'096;  // of a resource, and of a scope
inline constexpr std::size_t kValuesMax = 65'536;       // inside arrays and maps, of a span (resource, scope) in all
inline constexpr std::size_t kValueBytesMax = 4 << 20;  // that these take
inline constexpr int kValueDepthMax = 64;               // of values inside values, in what is written
// What JSON's escapes may add to the texts of a span (resource, scope): a control character is 1 byte, and 6 in JSON.
inline constexpr std::size_t kEscapesMax = 8 << 20;

// What was left out.
struct CutItems {
  std::uint64_t attributes = 0, events = 0, links = 0, values = 0;

  CutItems& operator+=(const CutItems& other) {
    attributes += other.attributes;
    events += other.events;
    links += other.links;
    values += other.values;
    return *this;
  }
  std::uint64_t all() const { return attributes + events + links + values; }
};

// What is left for the span that is being read. Belongs to one reader.
class ItemRoom {
 public:
  CutItems cut;

  // For messages of `bytes`. `in_all`: items of all spans together.
  explicit ItemRoom(std::size_t bytes, std::size_t in_all = SIZE_MAX)
      : in_all_(in_all), escapes_(bytes <= kEscapesMax / 5 ? SIZE_MAX : kEscapesMax) {}

  // Begins another span, resource or scope.
  void begin(std::size_t attributes = kAttributesMax) {
    events_ = kEventsMax;
    links_ = kLinksMax;
    attributes_ = attributes;
    values_ = kValuesMax;
    value_bytes_ = kValueBytesMax;
  }

  // False, and counted, when there is no room for one more.
  bool event() { return take(events_, cut.events); }
  bool link() { return take(links_, cut.links); }
  bool attribute() { return take(attributes_, cut.attributes); }

  // The front of `text` for which there is room once it is escaped. This room is shared by all texts of the object.
  ByteView text(ByteView text) { return escapes_ == SIZE_MAX ? text : short_text(text); }

  // The first elements of an ArrayValue or KeyValueList for which there is room, with all that is inside them.
  ByteView values(ByteView list);

 private:
  ByteView short_text(ByteView text);
  bool take(std::size_t& room, std::uint64_t& count) {
    if (room == 0 || in_all_ == 0) {
      ++count;
      return false;
    }
    --room;
    --in_all_;
    return true;
  }

  std::size_t in_all_, escapes_;
  std::size_t events_ = 0, links_ = 0, attributes_ = 0, values_ = 0, value_bytes_ = 0;
};

// The sum, held to the 32 bits of OTLP's counts.
inline std::uint32_t dropped_sum(std::uint64_t dropped, std::uint64_t more) {
  const std::uint64_t sum = static_cast<std::uint32_t>(dropped) + more;
  return sum > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(sum);
}

}  // namespace tailgate
