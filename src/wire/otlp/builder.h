// SPDX-License-Identifier: Apache-2.0
// OtlpBuilder: writes the messages of an OTLP trace request, field by field, for conversions from other formats.
//
// Every call does nothing once the sink has failed; ask the sink at the end. Text that is not UTF-8 is written with
// U+FFFD for the bad bytes, and counted in the sink. One thread.
#pragma once

#include <bit>
#include <cstdint>

#include "codec/byte_sink.h"
#include "codec/protobuf.h"
#include "codec/utf8.h"
#include "wire/otlp/attribute_value.h"
#include "wire/otlp/schema.h"

namespace tailgate {

class OtlpBuilder {
 public:
  explicit OtlpBuilder(ByteSink& out) : out_(out) {}

  ByteSink& sink() { return out_; }

  // A message whose length is not known yet. `width`: bytes left for its length; close() moves the content when they
  // are too few or too many.
  struct Open {
    std::size_t content = 0;
    std::size_t width = 0;
  };
  Open open(std::uint32_t field, std::size_t width) {
    char* p = out_.reserve(5 + width);
    if (p == nullptr) return {};
    p = pb::write_varint(p, pb::tag_of(field, pb::kLen));
    out_.commit(p + width);
    return {out_.size(), width};
  }
  void close(const Open& message) {
    if (out_.failed()) return;
    const std::size_t size = out_.size() - message.content;
    const std::size_t width = pb::varint_size(size);
    if (width != message.width) {
      if (out_.reserve(width) == nullptr) return;
      char* const content = out_.data() + message.content;
      std::memmove(content - message.width + width, content, size);
      out_.commit(out_.data() + out_.size() - message.width + width);
    }
    pb::write_varint(out_.data() + message.content - message.width, size);
  }

  void bytes(std::uint32_t field, ByteView value) {
    char* p = out_.reserve(20 + value.size());
    if (p == nullptr) return;
    p = pb::write_varint(p, pb::tag_of(field, pb::kLen));
    p = pb::write_varint(p, value.size());
    out_.commit(put(p, value));
  }
  void text(std::uint32_t field, ByteView value) {
    if (value.empty()) return;
    if (!is_utf8(value)) return bytes(field, repaired(value));
    bytes(field, value);
  }
  void varint(std::uint32_t field, std::uint64_t value) {
    char* p = out_.reserve(20);
    if (p == nullptr) return;
    p = pb::write_varint(p, pb::tag_of(field, pb::kVarint));
    out_.commit(pb::write_varint(p, value));
  }
  void fixed64(std::uint32_t field, std::uint64_t value) {
    char* p = out_.reserve(13);
    if (p == nullptr) return;
    p = pb::write_varint(p, pb::tag_of(field, pb::kFixed64));
    out_.commit(put_fixed<8>(p, value));
  }
  void fixed32(std::uint32_t field, std::uint32_t value) {
    char* p = out_.reserve(9);
    if (p == nullptr) return;
    p = pb::write_varint(p, pb::tag_of(field, pb::kFixed32));
    out_.commit(put_fixed<4>(p, value));
  }

  // A KeyValue. Kinds: kString, kBool, kInt, kDouble, kBytes; others are a key without a value.
  void attribute(std::uint32_t field, ByteView key, AttributeValue value) {
    using Kind = AttributeValue::Kind;
    if (!is_utf8(key)) return attribute(field, repaired(key), value);
    if (value.kind == Kind::kString && !is_utf8(value.bytes)) {
      return attribute(field, key, AttributeValue{Kind::kString, 0, repaired(value.bytes)});
    }
    const bool sized = value.kind == Kind::kString || value.kind == Kind::kBytes;
    std::size_t any = 0;  // bytes of the AnyValue
    if (sized) {
      any = 1 + pb::varint_size(value.bytes.size()) + value.bytes.size();
    } else if (value.kind == Kind::kDouble) {
      any = 9;
    } else if (value.kind != Kind::kUnset) {
      any = 1 + pb::varint_size(value.bits);
    }
    const std::size_t size = 1 + pb::varint_size(key.size()) + key.size() + 1 + pb::varint_size(any) + any;
    char* p = out_.reserve(size + 15);
    if (p == nullptr) return;
    p = pb::write_varint(p, pb::tag_of(field, pb::kLen));
    p = pb::write_varint(p, size);
    *p++ = short_tag(otlp::key_value::kKey, pb::kLen);
    p = pb::write_varint(p, key.size());
    p = put(p, key);
    *p++ = short_tag(otlp::key_value::kValue, pb::kLen);
    p = pb::write_varint(p, any);
    if (sized) {
      *p++ = short_tag(static_cast<std::uint32_t>(value.kind), pb::kLen);
      p = pb::write_varint(p, value.bytes.size());
      p = put(p, value.bytes);
    } else if (value.kind == Kind::kDouble) {
      *p++ = short_tag(otlp::any_value::kDouble, pb::kFixed64);
      p = put_fixed<8>(p, value.bits);
    } else if (value.kind != Kind::kUnset) {
      *p++ = short_tag(static_cast<std::uint32_t>(value.kind), pb::kVarint);
      p = pb::write_varint(p, value.bits);
    }
    out_.commit(p);
  }
  void attribute(std::uint32_t field, ByteView key, ByteView text_value) {
    attribute(field, key, AttributeValue{AttributeValue::Kind::kString, 0, text_value});
  }

  // Ids, name and times of a Span, in the order of the field numbers. Ids go out as they are: the scanner judges them.
  struct SpanHead {
    ByteView trace_id, span_id, trace_state, parent_span_id, name;
    std::uint32_t kind = 0;
    std::uint64_t start_ns = 0, end_ns = 0;
  };
  void span_head(const SpanHead& h) {
    bytes(otlp::span::kTraceId, h.trace_id);
    bytes(otlp::span::kSpanId, h.span_id);
    text(otlp::span::kTraceState, h.trace_state);
    if (!h.parent_span_id.empty()) bytes(otlp::span::kParentSpanId, h.parent_span_id);
    text(otlp::span::kName, h.name);
    if (h.kind != 0) varint(otlp::span::kKind, h.kind);
    fixed64(otlp::span::kStartTime, h.start_ns);
    fixed64(otlp::span::kEndTime, h.end_ns);
  }
  void status(StatusCode code, ByteView message) {
    if (code == StatusCode::kUnset && message.empty()) return;
    const Open status = open(otlp::span::kStatus, 1);
    text(otlp::status::kMessage, message);
    if (code != StatusCode::kUnset) varint(otlp::status::kCode, static_cast<std::uint64_t>(code));
    close(status);
  }
  void keep_mark() { varint(otlp::span::kKeepMark, 1); }

 private:
  // A tag of one byte: all fields up to number 15.
  static constexpr char short_tag(std::uint32_t field, pb::WireType type) {
    return static_cast<char>(pb::tag_of(field, type));
  }
  static char* put(char* p, ByteView bytes) {
    if (!bytes.empty()) std::memcpy(p, bytes.data(), bytes.size());
    return p + bytes.size();
  }
  // A text of U+FFFD takes three times the memory of the bytes it stands for.
  [[gnu::noinline, gnu::cold]] std::string repaired(ByteView text) {
    out_.count_repaired(1);
    return out_.ask(3 * text.size()) ? to_utf8(text, kReplacementCharacter) : std::string();
  }
  template <int N>
  static char* put_fixed(char* p, std::uint64_t value) {
    for (int i = 0; i < N; ++i) *p++ = static_cast<char>(value >> (8 * i));
    return p;
  }

  ByteSink& out_;
};

}  // namespace tailgate
