// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/repair.h"

#include <array>

#include "codec/protobuf.h"
#include "codec/utf8.h"

namespace tailgate {
namespace {

using otlp::MessageType;

// What a field with a length holds: a message, by its MessageType; a text; or kNone, bytes that nobody looks into.
using Content = std::uint8_t;
constexpr Content kNone = static_cast<Content>(MessageType::kNone);
constexpr Content kText = 0xFF;
constexpr Content kAttribute = static_cast<Content>(MessageType::kKeyValue);

constexpr std::size_t kNumbers = otlp::span::kFlags + 1;

constexpr std::array<std::array<Content, kNumbers>, otlp::kMessageTypes> kContents = [] {
  std::array<std::array<Content, kNumbers>, otlp::kMessageTypes> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (const otlp::Field& f : otlp::fields_of(static_cast<MessageType>(i))) {
      out[i][f.number] = f.kind == otlp::FieldKind::kText ? kText : static_cast<Content>(f.message);
    }
  }
  return out;
}();

Content content_of(MessageType in, std::uint32_t tag) {
  const std::uint32_t field = tag >> 3;
  return (tag & 7) == pb::kLen && field < kNumbers ? kContents[static_cast<std::size_t>(in)][field] : kNone;
}

struct Place {
  MessageType type;
  std::size_t depth;  // messages around it
};

constexpr Place place_of(Part part) {
  switch (part) {
    case Part::kResource:
      return {MessageType::kResourceSpans, 1};
    case Part::kScope:
      return {MessageType::kScopeSpans, 2};
    case Part::kSpan:
      return {MessageType::kSpan, 3};
  }
  return {MessageType::kSpan, 3};
}

// Groups count as messages do. One that is nested too deeply is broken: no version of OTLP has groups.
bool skip_value(const char*& p, const char* end, std::uint32_t tag, std::size_t depth) {
  if ((tag & 7) == pb::kGroup) return pb::skip_group(p, end, tag, kMaxNesting - depth);
  return pb::skip_value(p, end, tag);
}

void repair_message(ByteView bytes, Place place, std::string& out, Repairs& repairs);

// Appends a length and what `write` appends. `expected` is the likely length.
template <class Write>
void append_with_length(std::string& out, std::size_t expected, Write write) {
  const std::size_t room = pb::varint_size(expected);
  const std::size_t at = out.size();
  out.append(room, '\0');
  write();
  const std::size_t size = out.size() - at - room;
  const std::size_t width = pb::varint_size(size);
  if (width > room) out.insert(at, width - room, '\0');
  if (width < room) out.erase(at, room - width);
  pb::write_varint(out.data() + at, size);
}

// NOLINTNEXTLINE(misc-no-recursion): at most kMaxNesting calls deep
void repair_message(ByteView bytes, Place place, std::string& out, Repairs& repairs) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  while (p < end) {
    const char* const start = p;
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return;
    const char* const value = p;
    const Content content = content_of(place.type, tag);
    ByteView inside;
    if (!(content == kNone ? skip_value(p, end, tag, place.depth) : pb::read_len(p, end, inside))) return;
    if (content == kNone || (content == kText && is_utf8(inside))) {
      out.append(start, p);
    } else if (content == kText) {
      ++repairs.texts;
      out.append(start, value);
      append_with_length(out, inside.size(), [&] { out += to_utf8(inside, kReplacementCharacter); });
    } else if (place.depth == kMaxNesting) {
      ++repairs.values;
    } else {
      out.append(start, value);
      const Place next{static_cast<MessageType>(content), place.depth + 1};
      append_with_length(out, inside.size(), [&] { repair_message(inside, next, out, repairs); });
    }
  }
}

// True of an attribute as nearly all are: a key and a text, ASCII, each shorter than 128 bytes, in either order. Its
// bytes are then all below 0x80, lengths and tags too, so that one look over them is enough.
bool is_plain_attribute(ByteView bytes) {
  constexpr auto kKey = static_cast<char>(pb::tag_of(otlp::key_value::kKey, pb::kLen));
  constexpr auto kValue = static_cast<char>(pb::tag_of(otlp::key_value::kValue, pb::kLen));
  constexpr auto kString = static_cast<char>(pb::tag_of(otlp::any_value::kString, pb::kLen));
  const std::size_t size = bytes.size();
  if (size < 6) return false;
  const std::size_t first = static_cast<std::uint8_t>(bytes[1]);
  if (first + 4 > size) return false;
  const std::size_t second = static_cast<std::uint8_t>(bytes[first + 3]);
  if (first + 4 + second != size) return false;
  const bool forward = bytes[0] == kKey && bytes[first + 2] == kValue;
  if (!forward && !(bytes[0] == kValue && bytes[first + 2] == kKey)) return false;
  const std::size_t at = forward ? first + 4 : 2;
  const std::size_t length = forward ? second : first;
  return length >= 2 && bytes[at] == kString && static_cast<std::uint8_t>(bytes[at + 1]) == length - 2 &&
         is_ascii(bytes);
}

}  // namespace

Form form_of(ByteView bytes, Part part) {
  const Place place = place_of(part);
  struct Level {
    const char* end;
    MessageType type;
  };
  std::array<Level, kMaxNesting + 1> levels;
  std::size_t depth = place.depth;
  levels[depth] = {bytes.data() + bytes.size(), place.type};
  const char* p = bytes.data();
  Form form = Form::kSound;
  for (;;) {
    while (p == levels[depth].end) {
      if (depth == place.depth) return form;
      --depth;
    }
    const char* const end = levels[depth].end;
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return Form::kBroken;
    const Content content = content_of(levels[depth].type, tag);
    if (content == kNone) {
      if (!skip_value(p, end, tag, depth)) return Form::kBroken;
      continue;
    }
    ByteView inside;
    if (!pb::read_len(p, end, inside)) return Form::kBroken;
    if (content == kText) {
      if (!is_utf8(inside)) form = Form::kRepairable;
    } else if (depth == kMaxNesting) {
      form = Form::kRepairable;
    } else if (content == kAttribute && depth + 2 <= kMaxNesting && is_plain_attribute(inside)) {
      continue;
    } else {
      p = inside.data();
      levels[++depth] = {p + inside.size(), static_cast<MessageType>(content)};
    }
  }
}

void repair(ByteView bytes, Part part, std::string& out, Repairs& repairs) {
  repair_message(bytes, place_of(part), out, repairs);
}

}  // namespace tailgate
