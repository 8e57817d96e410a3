// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/repair.h"

#include <array>

#include "codec/protobuf.h"
#include "codec/utf8.h"

namespace tailgate {
namespace {

using otlp::MessageType;

// What a field with a length holds: a message, by its MessageType; a text; or kOpaque, bytes that nobody looks into.
using Content = std::uint8_t;
constexpr Content kOpaque = static_cast<Content>(MessageType::kNone);
constexpr Content kText = 0xFF;
constexpr Content kAttribute = static_cast<Content>(MessageType::kKeyValue);

constexpr std::size_t kNumbers = otlp::kFieldNumberMax + 1;

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
  return (tag & 7) == pb::kLen && field < kNumbers ? kContents[static_cast<std::size_t>(in)][field] : kOpaque;
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
    if (!(content == kOpaque ? skip_value(p, end, tag, place.depth) : pb::read_len(p, end, inside))) return;
    if (content == kOpaque || (content == kText && is_utf8(inside))) {
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

using otlp::kKeyTag;
using otlp::kStringTag;
using otlp::kValueTag;

bool is_plain_value(ByteView any) {
  if (any.empty()) return true;
  const char* p = any.data();
  const char* const end = p + any.size();
  const auto tag = static_cast<std::uint8_t>(*p++);
  if (tag == kStringTag) {
    ByteView text;
    return pb::read_len(p, end, text) && p == end && is_ascii(text);
  }
  if (tag == pb::tag_of(otlp::any_value::kDouble, pb::kFixed64)) return end - p == 8;
  std::uint64_t number = 0;
  const bool varint =
      tag == pb::tag_of(otlp::any_value::kBool, pb::kVarint) || tag == pb::tag_of(otlp::any_value::kInt, pb::kVarint);
  return varint && pb::read_varint(p, end, number) && p == end;
}

// True of an attribute as nearly all are: one key and one text or number, in this order or, as the Collector writes, in
// the other, and both texts ASCII. False says nothing.
bool is_plain_attribute(ByteView key_value) {
  const char* p = key_value.data();
  const char* const end = p + key_value.size();
  ByteView first, second;
  std::uint32_t first_tag = 0, second_tag = 0;
  if (!pb::read_tag(p, end, first_tag) || !pb::read_len(p, end, first)) return false;
  if (!pb::read_tag(p, end, second_tag) || !pb::read_len(p, end, second) || p != end) return false;
  if (first_tag == kKeyTag && second_tag == kValueTag) return is_ascii(first) && is_plain_value(second);
  if (first_tag == kValueTag && second_tag == kKeyTag) return is_ascii(second) && is_plain_value(first);
  return false;
}

// True of a plain attribute whose value is a text and whose lengths are one byte each, if all of it is ASCII, which the
// caller looks at: a longer length would not be.
bool is_short_text(const char* p, std::size_t size) {
  const auto at = [p](std::size_t i) { return static_cast<std::uint8_t>(p[i]); };
  if (size < 6) return false;
  const std::size_t first = at(1), second = first + 2;  // the length of one field, and where the other begins
  if (second + 2 > size || at(second + 1) != size - second - 2) return false;
  const bool forward = at(0) == kKeyTag && at(second) == kValueTag;
  if (!forward && (at(0) != kValueTag || at(second) != kKeyTag)) return false;
  const std::size_t any = forward ? second + 2 : 2, any_size = forward ? size - any : first;
  return any_size >= 2 && at(any) == kStringTag && at(any + 1) == any_size - 2;
}

// Skips the short texts among the next fields with this tag up to the first that is none. One look over the bytes of
// all of them, lengths and tags too, tells that they are ASCII.
void skip_short_texts(const char*& p, const char* end, char tag) {
  const char* q = p;
  while (end - q >= 2 && *q == tag) {
    const auto size = static_cast<std::uint8_t>(q[1]);
    if (size > end - q - 2 || !is_short_text(q + 2, size)) break;
    q += 2 + size;
  }
  if (is_ascii(ByteView(p, static_cast<std::size_t>(q - p)))) p = q;
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
    const char* const field = p;
    if (!pb::read_tag(p, end, tag)) return Form::kBroken;
    const Content content = content_of(levels[depth].type, tag);
    if (content == kOpaque) {
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
      if (inside.data() - field == 2) skip_short_texts(p, end, *field);
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
