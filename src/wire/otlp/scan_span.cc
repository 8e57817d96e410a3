// SPDX-License-Identifier: Apache-2.0
// Why the scan is quick. Every SDK writes a span's fields in the order of their numbers; the OpenTelemetry Collector
// fills its buffer from the end and so writes them backwards: status, links, events, attributes (of these, the first
// one first, each with its value before its key), times, kind, name, ids. scan_span tells the two orders apart by the
// first byte and tests for each expected tag byte in turn: these branches predict well, where one switch over the tag
// would miss on nearly every field. Each test takes exactly one occurrence of its field, as the general loop would, so
// any order, repetition or omission gives the same answer and only takes longer. Attributes are skipped by their length
// unless the plan wants some key, and the length of the key then rules most of them out.
#include "codec/protobuf.h"
#include "wire/otlp/scan.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

using otlp::kKeyTag;
using otlp::kValueTag;

constexpr std::uint32_t kResourceTag = pb::tag_of(otlp::resource_spans::kResource, pb::kLen);
constexpr std::uint32_t kResourceAttributeTag = pb::tag_of(otlp::resource::kAttributes, pb::kLen);

// The literals of scan_span.
static_assert(pb::tag_of(otlp::span::kTraceId, pb::kLen) == 0x0A && pb::tag_of(otlp::span::kSpanId, pb::kLen) == 0x12);
static_assert(pb::tag_of(otlp::span::kTraceState, pb::kLen) == 0x1A);
static_assert(pb::tag_of(otlp::span::kParentSpanId, pb::kLen) == 0x22);
static_assert(pb::tag_of(otlp::span::kName, pb::kLen) == 0x2A);
static_assert(pb::tag_of(otlp::span::kKind, pb::kVarint) == 0x30);
static_assert(pb::tag_of(otlp::span::kStartTime, pb::kFixed64) == 0x39);
static_assert(pb::tag_of(otlp::span::kEndTime, pb::kFixed64) == 0x41);
static_assert(pb::tag_of(otlp::span::kAttributes, pb::kLen) == 0x4A);
static_assert(pb::tag_of(otlp::span::kStatus, pb::kLen) == 0x7A);

// True if a KeyValue has nothing after its key but one `value` that fills the rest.
inline bool ends_with_one_value(const char* p, const char* end) {
  if (p == end) return true;
  if (end - p < 2 || *p != static_cast<char>(kValueTag)) return false;
  const auto length = static_cast<std::uint8_t>(p[1]);
  if (length < 0x80) return p + 2 + length == end;
  ++p;
  ByteView value;
  return pb::read_len(p, end, value) && p == end;
}

template <Attributes kWhere>
void note_key(ByteView key, ByteView key_value, const ScanPlan& plan, ByteView* attributes) {
  const int slot = plan.find_slot(key, kWhere);
  // The first of several attributes with one key counts, as it does in the Collector.
  if (slot >= 0 && attributes[slot].data() == nullptr) attributes[slot] = key_value;
}

// Any order, repeated or unknown fields: the last key wins.
template <Attributes kWhere>
void note_odd_attribute(ByteView key_value, const ScanPlan& plan, ByteView* attributes) {
  const char* p = key_value.data();
  const char* const end = p + key_value.size();
  ByteView key;
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return;
    if (tag == kKeyTag ? !pb::read_len(p, end, key) : !pb::skip_value(p, end, tag)) return;
  }
  note_key<kWhere>(key, key_value, plan, attributes);
}

// The key of a KeyValue that is one value and then one key of less than 128 bytes, which fills the rest.
inline bool read_key_behind_value(const char* p, const char* end, ByteView& key) {
  if (p == end || *p != static_cast<char>(kValueTag)) return false;
  ++p;
  ByteView value;
  if (!pb::read_len(p, end, value) || end - p < 2 || *p != static_cast<char>(kKeyTag)) return false;
  if (static_cast<std::uint8_t>(p[1]) >= 0x80 || end - p - 2 != p[1]) return false;
  key = ByteView(p + 2, static_cast<std::size_t>(p[1]));
  return true;
}

template <Attributes kWhere>
[[gnu::always_inline]] inline void note_attribute(ByteView key_value, const ScanPlan& plan, ByteView* attributes) {
  const char* const p = key_value.data();
  const char* const end = p + key_value.size();
  ByteView behind;
  if (end - p >= 2 && *p == static_cast<char>(kKeyTag) && static_cast<std::uint8_t>(p[1]) < 0x80 &&
      end - p - 2 >= p[1] && ends_with_one_value(p + 2 + p[1], end)) [[likely]] {
    const ByteView key(p + 2, static_cast<std::size_t>(p[1]));
    if (plan.maybe_slot(key, kWhere)) [[unlikely]]
      note_key<kWhere>(key, key_value, plan, attributes);
  } else if (read_key_behind_value(p, end, behind)) {
    if (plan.maybe_slot(behind, kWhere)) [[unlikely]]
      note_key<kWhere>(behind, key_value, plan, attributes);
  } else {
    note_odd_attribute<kWhere>(key_value, plan, attributes);
  }
}

bool read_status(ByteView status, std::int32_t& code) {
  const char* p = status.data();
  const char* const end = p + status.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return false;
    if (tag == pb::tag_of(otlp::status::kCode, pb::kVarint)) {
      std::uint64_t value = 0;
      if (!pb::read_varint(p, end, value)) return false;
      code = static_cast<std::int32_t>(value);
    } else if (!pb::skip_value(p, end, tag)) {
      return false;
    }
  }
  return true;
}

// One field of a span whose tag has been read; the general case.
bool take_field(const char*& p, const char* end, std::uint32_t tag, const ScanPlan& plan, SpanFields& f,
                ByteView* attributes) {
  std::uint64_t value = 0;
  ByteView bytes;
  switch (tag) {
    case pb::tag_of(otlp::span::kTraceId, pb::kLen):
      return pb::read_len(p, end, f.trace_id);
    case pb::tag_of(otlp::span::kSpanId, pb::kLen):
      return pb::read_len(p, end, f.span_id);
    case pb::tag_of(otlp::span::kTraceState, pb::kLen):
      return pb::read_len(p, end, f.trace_state);
    case pb::tag_of(otlp::span::kParentSpanId, pb::kLen):
      return pb::read_len(p, end, f.parent_span_id);
    case pb::tag_of(otlp::span::kName, pb::kLen):
      return pb::read_len(p, end, f.name);
    case pb::tag_of(otlp::span::kKind, pb::kVarint):
      if (!pb::read_varint(p, end, value)) return false;
      f.kind = static_cast<std::int32_t>(value);
      return true;
    case pb::tag_of(otlp::span::kStartTime, pb::kFixed64):
      return pb::read_fixed64(p, end, f.start_ns);
    case pb::tag_of(otlp::span::kEndTime, pb::kFixed64):
      return pb::read_fixed64(p, end, f.end_ns);
    case pb::tag_of(otlp::span::kAttributes, pb::kLen):
      if (!pb::read_len(p, end, bytes)) return false;
      if (plan.wants_attributes(Attributes::kOfSpans)) note_attribute<Attributes::kOfSpans>(bytes, plan, attributes);
      return true;
    case pb::tag_of(otlp::span::kStatus, pb::kLen):
      return pb::read_len(p, end, bytes) && read_status(bytes, f.status_code);
    case pb::tag_of(otlp::span::kFlags, pb::kFixed32):
      return pb::read_fixed32(p, end, f.flags);
    case pb::tag_of(otlp::span::kKeepMark, pb::kVarint):
      if (!pb::read_varint(p, end, value)) return false;
      f.keep_mark = value != 0;
      return true;
    default:
      return pb::skip_value(p, end, tag);
  }
}

[[gnu::always_inline]] inline bool take_attributes(const char*& p, const char* end, const ScanPlan& plan,
                                                   ByteView* attributes) {
  const bool wanted = plan.wants_attributes(Attributes::kOfSpans);
  while (p < end && *p == 0x4A) {
    ++p;
    ByteView attribute;
    if (!pb::read_len(p, end, attribute)) return false;
    if (wanted) note_attribute<Attributes::kOfSpans>(attribute, plan, attributes);
  }
  return true;
}

// A text or trace state with its tag, if it is next.
inline bool take_if(char tag, const char*& p, const char* end, ByteView& bytes) {
  if (p == end || *p != tag) return true;
  ++p;
  return pb::read_len(p, end, bytes);
}

inline void take_parent(const char*& p, const char* end, SpanFields& f) {
  if (end - p < 10 || p[0] != 0x22 || p[1] != 8) return;
  f.parent_span_id = ByteView(p + 2, 8);
  p += 10;
}

inline void take_kind(const char*& p, const char* end, SpanFields& f) {
  if (end - p < 2 || p[0] != 0x30 || static_cast<std::uint8_t>(p[1]) >= 0x80) return;
  f.kind = p[1];
  p += 2;
}

// What an SDK's span begins with.
inline bool take_forward(const char*& p, const char* end, const ScanPlan& plan, SpanFields& f, ByteView* attributes) {
  // trace_id 16 bytes, span_id 8 bytes: 28 bytes of known shape begin nearly every span.
  if (end - p >= 28 && p[0] == 0x0A && p[1] == 16 && p[18] == 0x12 && p[19] == 8) {
    f.trace_id = ByteView(p + 2, 16);
    f.span_id = ByteView(p + 20, 8);
    p += 28;
  }
  if (!take_if(0x1A, p, end, f.trace_state)) return false;
  take_parent(p, end, f);
  if (!take_if(0x2A, p, end, f.name)) return false;
  take_kind(p, end, f);
  if (end - p >= 18 && p[0] == 0x39 && p[9] == 0x41) {
    f.start_ns = load_le<std::uint64_t>(p + 1);
    f.end_ns = load_le<std::uint64_t>(p + 10);
    p += 18;
  }
  return take_attributes(p, end, plan, attributes);
}

// A span as the Collector writes it.
inline bool take_backward(const char*& p, const char* end, const ScanPlan& plan, SpanFields& f, ByteView* attributes) {
  ByteView status;
  if (!take_if(0x7A, p, end, status) || (!status.empty() && !read_status(status, f.status_code))) return false;
  while (p < end && static_cast<std::uint8_t>(*p) >= 0x50) {  // events, links, what was dropped of them, flags
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag) || !take_field(p, end, tag, plan, f, attributes)) return false;
  }
  if (!take_attributes(p, end, plan, attributes)) return false;
  if (end - p >= 18 && p[0] == 0x41 && p[9] == 0x39) {
    f.end_ns = load_le<std::uint64_t>(p + 1);
    f.start_ns = load_le<std::uint64_t>(p + 10);
    p += 18;
  }
  take_kind(p, end, f);
  if (!take_if(0x2A, p, end, f.name)) return false;
  constexpr std::uint16_t kFlagsTag = 0x0185;  // two bytes, little-endian
  if (end - p >= 6 && load_le<std::uint16_t>(p) == kFlagsTag) {
    f.flags = load_le<std::uint32_t>(p + 2);
    p += 6;
  }
  take_parent(p, end, f);
  if (!take_if(0x1A, p, end, f.trace_state)) return false;
  if (end - p >= 28 && p[0] == 0x12 && p[1] == 8 && p[10] == 0x0A && p[11] == 16) {
    f.span_id = ByteView(p + 2, 8);
    f.trace_id = ByteView(p + 12, 16);
    p += 28;
  }
  return true;
}

}  // namespace

bool scan_span(ByteView span, const ScanPlan& plan, SpanFields& f, ByteView* attributes) {
  const std::size_t slots = plan.attribute_keys().size();
  for (std::size_t i = 0; i < slots; ++i) attributes[i] = ByteView();
  f = SpanFields();
  f.attributes = attributes;
  f.bytes = span;

  const char* p = span.data();
  const char* const end = p + span.size();
  if (p == end) return true;
  if (*p == 0x0A ? !take_forward(p, end, plan, f, attributes) : !take_backward(p, end, plan, f, attributes)) {
    return false;
  }
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag) || !take_field(p, end, tag, plan, f, attributes)) return false;
  }
  return true;
}

void ask_span(const ScanPlan& plan, const SpanFields& fields, std::uint64_t* words) {
  for (std::size_t i = 0; i < plan.predicates.size(); ++i) {
    const std::uint64_t bit = 1ULL << (i & 63);
    if ((words[i >> 6] & bit) == 0 && plan.predicates[i]->on_span(fields)) words[i >> 6] |= bit;
  }
  plan.count(fields, words);
}

void ask_resource(const ScanPlan& plan, ByteView resource_prefix, ByteView* attributes, std::uint64_t* words) {
  for (std::size_t i = 0; i < plan.attribute_keys().size(); ++i) attributes[i] = ByteView();
  const char* p = resource_prefix.data();
  const char* const end = plan.wants_attributes(Attributes::kOfResources) ? p + resource_prefix.size() : p;
  while (p < end) {
    std::uint32_t tag = 0;
    ByteView resource;
    if (!pb::read_tag(p, end, tag)) return;
    if (tag != kResourceTag) {
      if (!pb::skip_value(p, end, tag)) return;
      continue;
    }
    if (!pb::read_len(p, end, resource)) return;
    const char* q = resource.data();
    const char* const resource_end = q + resource.size();
    while (q < resource_end) {
      ByteView attribute;
      if (!pb::read_tag(q, resource_end, tag)) return;
      if (tag != kResourceAttributeTag) {
        if (!pb::skip_value(q, resource_end, tag)) return;
        continue;
      }
      if (!pb::read_len(q, resource_end, attribute)) return;
      note_attribute<Attributes::kOfResources>(attribute, plan, attributes);
    }
  }
  for (std::size_t i = 0; i < plan.predicates.size(); ++i) {
    if (plan.predicates[i]->on_resource(attributes)) words[i >> 6] |= 1ULL << (i & 63);
  }
}

ByteView service_name(ByteView resource_prefix) {
  static const ScanPlan plan = [] {
    ScanPlan p;
    p.attribute_slot("service.name", Attributes::kOfResources);
    return p;
  }();
  ByteView attribute;
  std::uint64_t no_words = 0;
  ask_resource(plan, resource_prefix, &attribute, &no_words);
  if (attribute.data() == nullptr) return {};
  return string_value(attribute).value_or(ByteView());
}

}  // namespace tailgate
