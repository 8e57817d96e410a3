// SPDX-License-Identifier: Apache-2.0
// Why the scan is quick. Every SDK writes a span's fields in the order of their numbers; the OpenTelemetry Collector
// fills its buffer from the end and so writes them backwards: status, links, events, attributes (of these, the first
// one first, each with its value before its key), times, kind, name, ids. scan_span tells the two orders apart by the
// first byte and tests for each expected tag byte in turn: these branches predict well, where one switch over the tag
// would miss on nearly every field. Each test takes exactly one occurrence of its field, as the general loop would, so
// any order, repetition or omission gives the same answer and only takes longer. Attributes are skipped by their length
// unless the plan wants some key, and the length of the key then rules most of them out. A ResourceSpans or ScopeSpans
// is walked twice: first from field to field, to find the bytes that its spans share (schema_url comes after the
// spans), then span by span. The first walk touches one cache line of each span, which the scan needs anyway.
#include "wire/otlp/scan.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "codec/protobuf.h"
#include "wire/otlp/prefix.h"
#include "wire/otlp/request_bytes.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kKeyTag = pb::tag_of(otlp::key_value::kKey, pb::kLen);
constexpr std::uint32_t kValueTag = pb::tag_of(otlp::key_value::kValue, pb::kLen);
constexpr std::uint32_t kResourceSpansTag = pb::tag_of(otlp::request::kResourceSpans, pb::kLen);
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

namespace {

// One walk over a request. It is an object because every step needs the place for error messages and the slice.
class Scan {
 public:
  Scan(ByteView request, const ScanPlan& plan, SpanBatch& batch, const std::function<bool(SpanBatch&)>& on_slice)
      : request_(request), plan_(plan), batch_(batch), on_slice_(on_slice) {
    attributes_.resize(plan.attribute_keys().size() + 1);
    resource_attributes_.resize(plan.attribute_keys().size() + 1);
    resource_words_.resize(plan.bit_words());
    context_.resource_attributes = resource_attributes_.data();
    context_.now_unix_ns = batch.now_unix_ns;
  }

  ScanResult run(bool only_check) {
    only_check_ = only_check;
    walk();
    return std::move(result_);
  }

 private:
  bool malformed(const char* what) {
    if (result_.ok) {
      result_.ok = false;
      result_.error = fmt::format("resource_spans[{}].scope_spans[{}].spans[{}]: {}", resource_, scope_, span_, what);
    }
    return false;
  }

  bool walk() {
    const char* p = request_.data();
    const char* const end = p + request_.size();
    for (resource_ = 0; p < end;) {
      std::uint32_t tag = 0;
      if (!pb::read_tag(p, end, tag)) return malformed_request("bad field tag", p);
      if (tag != kResourceSpansTag) {
        if (!pb::skip_value(p, end, tag)) return malformed_request("bad field", p);
        continue;
      }
      ByteView resource_spans;
      if (!pb::read_len(p, end, resource_spans)) return malformed_request("resource_spans passes the end", p);
      if (!walk_resource(resource_spans)) return false;
      ++resource_;
    }
    return true;
  }

  bool malformed_request(const char* what, const char* p) {
    if (result_.ok) {
      result_.ok = false;
      result_.error =
          fmt::format("not an OTLP trace request: {} near byte {} of {}", what, p - request_.data(), request_.size());
    }
    return false;
  }

  bool walk_resource(ByteView resource_spans) {
    scope_ = span_ = 0;
    if (!resource_prefix_.find(resource_spans)) return malformed("bad field in ResourceSpans");
    if (!only_check_) {
      std::fill(resource_words_.begin(), resource_words_.end(), 0);
      context_.resource = resource_spans;
      ask_resource(plan_, resource_spans, resource_attributes_.data(), resource_words_.data());
    }
    const char* p = resource_spans.data();
    const char* const end = p + resource_spans.size();
    while (p < end) {
      std::uint32_t tag = 0;
      ByteView scope_spans;
      if (!pb::read_tag(p, end, tag)) return malformed("bad tag in ResourceSpans");
      if (tag != Prefix::kElementTag) {
        if (!pb::skip_value(p, end, tag)) return malformed("bad field in ResourceSpans");
        continue;
      }
      if (!pb::read_len(p, end, scope_spans)) return malformed("scope_spans passes the end");
      if (!walk_scope(scope_spans)) return false;
      ++scope_;
    }
    return true;
  }

  bool walk_scope(ByteView scope_spans) {
    span_ = 0;
    if (!scope_prefix_.find(scope_spans)) return malformed("bad field in ScopeSpans");
    group_ = kNone;
    context_.scope = scope_spans;
    const char* p = scope_spans.data();
    const char* const end = p + scope_spans.size();
    while (p < end) {
      std::uint32_t tag = 0;
      pb::read_tag(p, end, tag);  // cannot fail: Prefix::find() has read these bytes
      if (tag != Prefix::kElementTag) {
        pb::skip_value(p, end, tag);
        continue;
      }
      ByteView span;
      pb::read_len(p, end, span);
      SpanFields fields;
      if (!scan_span(span, plan_, fields, attributes_.data())) return malformed("malformed span");
      fields.context = &context_;
      ++result_.spans;
      if (!take_span(span, fields)) return false;
      ++span_;
    }
    return true;
  }

  bool bad_id(const char* which, ByteView id, const char* want, bool of_zero = false) {
    ++result_.bad_ids;
    if (result_.first_bad_id.empty()) {
      result_.first_bad_id = fmt::format(
          "resource_spans[{}].scope_spans[{}].spans[{}].{}: expected {}, got {}", resource_, scope_, span_, which, want,
          of_zero ? "only zeros" : fmt::format("{} byte{}", id.size(), id.size() == 1 ? "" : "s"));
    }
    return true;
  }

  bool take_span(ByteView span, const SpanFields& f) {
    if (f.trace_id.size() != 16) return bad_id("trace_id", f.trace_id, "16 bytes");
    if ((word(f.trace_id) | word(f.trace_id.substr(8))) == 0) {
      return bad_id("trace_id", f.trace_id, "16 bytes that are not all zero", true);
    }
    if (f.span_id.size() != 8) return bad_id("span_id", f.span_id, "8 bytes");
    if (word(f.span_id) == 0) return bad_id("span_id", f.span_id, "8 bytes that are not all zero", true);
    if (!f.parent_span_id.empty() && f.parent_span_id.size() != 8) {
      return bad_id("parent_span_id", f.parent_span_id, "0 or 8 bytes");
    }
    if (only_check_) return true;
    if (batch_.spans.size() == kSpansPerSlice && !hand_on()) return false;

    if (group_ == kNone) {
      group_ = static_cast<std::uint32_t>(batch_.groups.size());
      const ByteView resource = resource_prefix_.bytes(batch_.scratch);
      const ByteView scope = scope_prefix_.bytes(batch_.scratch);
      batch_.groups.push_back({resource, scope, hash_bytes(scope, hash_bytes(resource, batch_.hash_seed)),
                               static_cast<std::uint32_t>(resource_)});
    }
    const bool has_parent = f.has_parent();
    const std::uint32_t index = static_cast<std::uint32_t>(batch_.spans.size());
    batch_.spans.push_back({span.data(), static_cast<std::uint32_t>(span.size()), group_, kNone, link_hash(f.span_id),
                            has_parent ? link_hash(f.parent_span_id) : 0});
    const std::uint32_t t = batch_.trace_index(TraceId::from(f.trace_id.data()));
    BatchTrace& trace = batch_.traces[t];
    if (trace.first == kNone) {
      trace.first = index;
    } else {
      batch_.spans[trace.last].next = index;
    }
    trace.last = index;
    TraceFacts& facts = trace.facts;
    facts.take_times(f.start_ns, f.end_ns);
    facts.bytes += span.size();
    facts.spans += 1;
    facts.errors += f.status_code == static_cast<std::int32_t>(StatusCode::kError);
    if (!has_parent && !facts.root_seen) {
      facts.root_seen = true;
      trace.root_name = f.name;
      trace.root_group = group_;
    }
    std::uint64_t* const words = batch_.words_of(t);
    for (std::size_t i = 0; i < resource_words_.size(); ++i) words[i] |= resource_words_[i];
    ask_span(plan_, f, words);
    return true;
  }

  static std::uint64_t word(ByteView bytes) { return load_le<std::uint64_t>(bytes.data()); }

  // Never 0, which says "no parent". 32 bits: two ids of a trace of n spans collide with a chance of n*n/2^33, and then
  // a missing parent may pass for a present one; nothing else rests on it.
  std::uint32_t link_hash(ByteView id) const {
    std::uint64_t h = word(id) ^ batch_.hash_seed;
    h *= 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    return static_cast<std::uint32_t>(h >> 32) | 1;
  }

  bool hand_on() {
    if (!checked_) {
      Scan check(request_, plan_, batch_, on_slice_);
      ScanResult whole = check.run(true);
      if (!whole.ok) {
        result_ = std::move(whole);
        return false;
      }
      checked_ = true;
      spans_in_all_ = whole.spans;
      bad_ids_in_all_ = whole.bad_ids;
    }
    fill_request_bytes(plan_, batch_);
    if (!on_slice_(batch_)) {  // stopped: the counts are those of the whole request all the same
      result_.spans = spans_in_all_;
      result_.bad_ids = bad_ids_in_all_;
      return false;
    }
    // Copies of prefixes live in scratch, which clear() empties: they are made again for the spans to come.
    batch_.clear();
    resource_prefix_.find_again();
    scope_prefix_.find_again();
    group_ = kNone;
    return true;
  }

  const ByteView request_;
  const ScanPlan& plan_;
  SpanBatch& batch_;
  const std::function<bool(SpanBatch&)>& on_slice_;
  ScanResult result_;
  bool only_check_ = false;
  bool checked_ = false;
  std::uint64_t spans_in_all_ = 0, bad_ids_in_all_ = 0;  // once checked
  std::size_t resource_ = 0, scope_ = 0, span_ = 0;      // where we are, for messages
  std::uint32_t group_ = kNone;
  Prefix resource_prefix_, scope_prefix_;
  std::vector<ByteView> attributes_, resource_attributes_;
  std::vector<std::uint64_t> resource_words_;
  SpanContext context_;
};

}  // namespace

ScanResult scan_request(ByteView request, const ScanPlan& plan, SpanBatch& batch,
                        const std::function<bool(SpanBatch&)>& on_slice) {
  batch.words_per_trace = plan.words();
  batch.policy_epoch = plan.epoch;
  ScanResult result = Scan(request, plan, batch, on_slice).run(false);
  fill_request_bytes(plan, batch);
  return result;
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
