// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/clock.h"
#include "codec/field_reader.h"
#include "net/http/http.h"
#include "web/jaeger/proto.h"
#include "wire/otlp/attribute_text.h"

namespace tailgate {
namespace {

auto malformed(std::string_view what) { return fail(ErrorKind::kBadInput, fmt::format("{} does not parse", what)); }

// Timestamp and Duration.
struct SecondsAndNanos {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
};

bool read_into(ByteView message, SecondsAndNanos& out) {
  FieldReader fields(message);
  while (fields.next()) {
    if (fields.is_varint(1)) out.seconds = static_cast<std::int64_t>(fields.value);
    if (fields.is_varint(2)) out.nanos = static_cast<std::int32_t>(fields.value);
  }
  return fields.ok();
}

// Nothing for a time that stands for none: Go's zero time is in the year 1.
std::optional<std::uint64_t> unix_ns(const SecondsAndNanos& at) {
  if (at.seconds <= 0) return std::nullopt;
  const auto seconds = static_cast<std::uint64_t>(at.seconds);
  if (seconds >= UINT64_MAX / kNsPerSecond) return UINT64_MAX;
  return seconds * kNsPerSecond + static_cast<std::uint64_t>(std::clamp<std::int32_t>(at.nanos, 0, 999'999'999));
}

Result<std::uint64_t> duration_ns(std::string_view name, const SecondsAndNanos& duration) {
  if (duration.seconds < 0 || duration.nanos < 0) {
    return fail(ErrorKind::kBadInput, fmt::format("{}: expected no negative duration, got {} s and {} ns", name,
                                                  duration.seconds, duration.nanos));
  }
  const auto seconds = static_cast<std::uint64_t>(duration.seconds);
  if (seconds >= UINT64_MAX / kNsPerSecond) return UINT64_MAX;
  return seconds * kNsPerSecond + static_cast<std::uint64_t>(duration.nanos);
}

struct Query {
  TraceQuestion question;
  SecondsAndNanos start_min, start_max, duration_min, duration_max;
  bool filter = false;
};

// TraceQueryParameters
bool read_into(ByteView message, Query& out) {
  SpanConditions& span = out.question.span;
  FieldReader fields(message);
  while (fields.next()) {
    if (fields.is_len(1)) span.service = fields.bytes;
    if (fields.is_len(2)) span.operation = fields.bytes;
    if (fields.is_len(3)) {
      std::string key, value;
      FieldReader pair(fields.bytes);
      while (pair.next()) {
        if (pair.is_len(otlp::key_value::kKey)) key = pair.bytes;
      }
      if (!pair.ok()) return false;
      append_attribute_text(value, attribute_value(fields.bytes));
      span.attributes.emplace_back(std::move(key), std::move(value));
    }
    if (fields.is_len(4) && !read_into(fields.bytes, out.start_min)) return false;
    if (fields.is_len(5) && !read_into(fields.bytes, out.start_max)) return false;
    if (fields.is_len(6) && !read_into(fields.bytes, out.duration_min)) return false;
    if (fields.is_len(7) && !read_into(fields.bytes, out.duration_max)) return false;
    if (fields.is_varint(8)) {
      const auto depth = static_cast<std::int32_t>(fields.value);
      out.question.limit = depth > 0 ? static_cast<std::size_t>(depth) : kJaegerSearchDefault;
    }
    if (fields.number == 9) out.filter = true;
  }
  return fields.ok();
}

}  // namespace

Result<TraceQuestion> read_jaeger_question(ByteView request) {
  Query query;
  query.question.limit = kJaegerSearchDefault;
  FieldReader fields(request);
  while (fields.next()) {
    if (fields.is_len(1) && !read_into(fields.bytes, query)) return malformed("query");
  }
  if (!fields.ok()) return malformed("the request");
  if (query.filter) {
    return fail(ErrorKind::kBadInput,
                "query.filter: expected the plain fields, since structured filters are not supported");
  }
  TraceQuestion& out = query.question;
  out.span.start_min_ns = out.from_ns = unix_ns(query.start_min).value_or(out.from_ns);
  out.span.start_max_ns = out.to_ns = unix_ns(query.start_max).value_or(out.to_ns);
  const Result<std::uint64_t> min = duration_ns("query.duration_min", query.duration_min),
                              max = duration_ns("query.duration_max", query.duration_max);
  if (!min) return tl::unexpected(min.error());
  if (!max) return tl::unexpected(max.error());
  out.span.duration_min_ns = *min;
  if (*max != 0) out.span.duration_max_ns = *max;
  if (out.span.duration_max_ns < out.span.duration_min_ns) {
    return fail(ErrorKind::kBadInput,
                fmt::format("query.duration_max: expected no less than duration_min, got {} ns and {} ns", *max, *min));
  }
  return std::move(out);
}

Result<std::vector<TraceId>> read_jaeger_ids(ByteView request) {
  std::vector<TraceId> out;
  FieldReader fields(request);
  while (fields.next()) {
    if (!fields.is_len(1)) continue;
    ByteView id;
    FieldReader params(fields.bytes);
    while (params.next()) {
      if (params.is_len(1)) id = params.bytes;
    }
    if (!params.ok()) return malformed("query");
    if (id.size() != sizeof(TraceId)) {
      return fail(ErrorKind::kBadInput, fmt::format("query.trace_id: expected 16 bytes, got {}", id.size()));
    }
    if (out.size() == kJaegerIdsMax)
      return fail(ErrorKind::kBadInput, fmt::format("query: expected at most {} traces", kJaegerIdsMax));
    out.push_back(TraceId::from(id.data()));
  }
  if (!fields.ok()) return malformed("the request");
  return out;
}

Result<JaegerOperationsRequest> read_jaeger_operations(ByteView request) {
  JaegerOperationsRequest out;
  FieldReader fields(request);
  while (fields.next()) {
    if (fields.is_len(1)) out.service = fields.bytes;
    if (fields.is_len(2)) out.span_kind = fields.bytes;
  }
  if (!fields.ok()) return malformed("the request");
  return out;
}

Result<JaegerTimes> read_jaeger_times(ByteView request) {
  SecondsAndNanos from, to;
  FieldReader fields(request);
  while (fields.next()) {
    if (fields.is_len(1) && !read_into(fields.bytes, from)) return malformed("start_time");
    if (fields.is_len(2) && !read_into(fields.bytes, to)) return malformed("end_time");
  }
  if (!fields.ok()) return malformed("the request");
  JaegerTimes out;
  out.from_ns = unix_ns(from).value_or(out.from_ns);
  out.to_ns = unix_ns(to).value_or(out.to_ns);
  return out;
}

std::optional<std::uint32_t> jaeger_kind_of(std::string_view word) {
  for (std::uint32_t kind = 0; kind <= 5; ++kind) {
    if (equal_ignoring_case(jaeger_kind(kind), word)) return kind;
  }
  return std::nullopt;
}

}  // namespace tailgate
