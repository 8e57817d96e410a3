// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/model.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

struct Special : CommonTags {
  JaegerTag* http_code = nullptr;
  JaegerTag* http_response_code = nullptr;  // its new name
  JaegerTag* http_message = nullptr;
};

JaegerTag** place_of(ByteView key, Special& s) {
  if (key.size() == 16 && key == "http.status_code") return &s.http_code;
  if (key.size() == 25 && key == "http.response.status_code") return &s.http_response_code;
  if (key.size() == 19 && key == "http.status_message") return &s.http_message;
  return place_of(key, static_cast<CommonTags&>(s));
}

std::optional<std::int64_t> integer_of(const JaegerTag& tag) {
  if (tag.value.kind == Kind::kInt) return static_cast<std::int64_t>(tag.value.bits);
  if (tag.value.kind != Kind::kString) return std::nullopt;
  std::int64_t value = 0;
  const ByteView text = tag.value.bytes;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The `error` tag decides; without it otel.status_code, and without that the status of HTTP.
ForeignStatus status_of(const Special& s, std::uint32_t kind) {
  ForeignStatus out;
  bool has_status = false;
  const auto describe = [&] {
    if (s.status_description == nullptr) return false;
    out.message = text_of(s.status_description);
    s.status_description->gone = true;
    return true;
  };
  if (s.error != nullptr && ((s.error->value.kind == Kind::kBool && s.error->value.bits != 0) ||
                             (is_text(s.error) && same_ignoring_case(s.error->value.bytes, "true")))) {
    has_status = true;
    out.code = StatusCode::kError;
    s.error->gone = true;
    if (!describe()) out.message = text_of(s.http_message);
  }
  if (s.status_code != nullptr) {
    if (!has_status) {
      const ByteView text = text_of(s.status_code);
      if (same_ignoring_case(text, "ok")) out.code = StatusCode::kOk;
      if (same_ignoring_case(text, "error")) out.code = StatusCode::kError;
      describe();
    }
    s.status_code->gone = true;
  } else if (const JaegerTag* const http = s.http_code != nullptr ? s.http_code : s.http_response_code;
             !has_status && http != nullptr) {
    if (const auto code = integer_of(*http)) {
      const bool clients_fault = *code >= 400 && *code < 500 && kind == 2;  // of a server: not its error
      if ((*code < 100 || *code >= 400) && !clients_fault) {
        out.code = StatusCode::kError;
        out.message = text_of(s.http_message);
      }
    }
  }
  return out;
}

template <std::size_t N>
bool is_zero(const std::array<char, N>& id) {
  return std::all_of(id.begin(), id.end(), [](char c) { return c == 0; });
}

// The parent of a span without a parent field: the first CHILD_OF in the same trace, else its first FOLLOWS_FROM.
ByteView parent_of(const JaegerSpan& span) {
  const JaegerRef* follows = nullptr;
  for (const JaegerRef& ref : span.refs) {
    if (ByteView(ref.trace_id.data(), 16) != span.trace_id || is_zero(ref.span_id)) continue;
    if (!ref.follows_from) return {ref.span_id.data(), 8};
    if (follows == nullptr) follows = &ref;
  }
  return follows != nullptr ? ByteView(follows->span_id.data(), 8) : ByteView();
}

}  // namespace

void JaegerToOtlp::begin(JaegerProcess& process) {
  end();
  resource_ = build_.open(otlp::request::kResourceSpans, width_);
  in_resource_ = true;
  drop_repeats(process.tags.data(), process.tags.size(), order_, build_.sink());
  const auto find = [&](ByteView key) -> JaegerTag* {
    for (JaegerTag& tag : process.tags) {
      if (!tag.gone && tag.key == key) return &tag;
    }
    return nullptr;
  };
  const OtlpBuilder::Open resource = build_.open(otlp::resource_spans::kResource, 1);
  if (!process.service_name.empty() && process.service_name != kNoServiceName && find("service.name") == nullptr) {
    build_.attribute(otlp::resource::kAttributes, "service.name",
                     AttributeValue{Kind::kString, 0, process.service_name});
  }
  if (JaegerTag* const hostname = find("hostname"); hostname != nullptr && find("host.name") == nullptr) {
    hostname->key = "host.name";
  }
  JaegerTag* const version = find("jaeger.version");
  std::string client;
  if (version != nullptr && find("opencensus.exporterversion") == nullptr) {
    client = "Jaeger-" + std::string(text_of(version));
    *version = {"opencensus.exporterversion", {Kind::kString, 0, client}};
  }
  for (const JaegerTag& tag : process.tags) {
    if (!tag.gone) build_.attribute(otlp::resource::kAttributes, tag.key, tag.value);
  }
  build_.close(resource);
}

void JaegerToOtlp::end() {
  if (!in_resource_) return;
  close_scope();
  build_.close(resource_);
  in_resource_ = false;
}

void JaegerToOtlp::open_scope(ByteView name, ByteView version) {
  if (in_scope_ && name == scope_name_ && version == scope_version_) return;
  close_scope();
  scope_ = build_.open(otlp::resource_spans::kScopeSpans, width_);
  in_scope_ = true;
  scope_name_ = name;
  scope_version_ = version;
  if (name.empty() && version.empty()) return;
  const OtlpBuilder::Open scope = build_.open(otlp::scope_spans::kScope, 1);
  build_.text(otlp::scope::kName, name);
  build_.text(otlp::scope::kVersion, version);
  build_.close(scope);
}

void JaegerToOtlp::close_scope() {
  if (in_scope_) build_.close(scope_);
  in_scope_ = false;
}

void JaegerToOtlp::add(JaegerSpan& span) {
  drop_repeats(span.tags.data(), span.tags.size(), order_, build_.sink());
  Special special;
  for (JaegerTag& tag : span.tags) {
    if (tag.gone) continue;
    if (JaegerTag** const place = place_of(tag.key, special)) *place = &tag;
  }
  const ScopeOf scope = take_scope(special.scope);
  open_scope(scope.name, scope.version);

  OtlpBuilder::SpanHead head;
  head.trace_id = span.trace_id;
  head.span_id = span.span_id;
  head.parent_span_id = span.parent.empty() ? parent_of(span) : span.parent;
  head.name = span.name;
  head.start_ns = span.start_ns;
  head.end_ns = span.end_ns;
  if (is_text(special.kind)) {
    head.kind = span_kind_of(special.kind->value.bytes);
    special.kind->gone = head.kind != 0;  // a word OTLP has no kind for stays where people can see it
  }
  if (is_text(special.trace_state)) {
    head.trace_state = special.trace_state->value.bytes;
    special.trace_state->gone = true;
  }
  const ForeignStatus status = status_of(special, head.kind);

  const OtlpBuilder::Open out = build_.open(otlp::scope_spans::kSpans, 2);
  build_.span_head(head);
  for (const JaegerTag& tag : span.tags) {
    if (!tag.gone) build_.attribute(otlp::span::kAttributes, tag.key, tag.value);
  }
  for (const JaegerLog& log : span.logs) {
    JaegerTag* const fields = span.log_fields.data() + log.first;
    drop_repeats(fields, log.count, order_, build_.sink());
    const OtlpBuilder::Open event = build_.open(otlp::span::kEvents, 1);
    build_.fixed64(otlp::event::kTime, log.time_ns);
    for (std::size_t i = 0; i < log.count; ++i) {
      if (fields[i].gone || fields[i].key != "event" || !is_text(&fields[i])) continue;
      build_.text(otlp::event::kName, fields[i].value.bytes);
      fields[i].gone = true;
    }
    for (std::size_t i = 0; i < log.count; ++i) {
      if (!fields[i].gone) build_.attribute(otlp::event::kAttributes, fields[i].key, fields[i].value);
    }
    build_.close(event);
  }
  for (const JaegerRef& ref : span.refs) {
    const ByteView id(ref.span_id.data(), 8);
    const ByteView trace(ref.trace_id.data(), 16);
    if (!ref.follows_from && id == head.parent_span_id && trace == span.trace_id) continue;
    if (is_zero(ref.span_id) || is_zero(ref.trace_id)) continue;  // OTLP has no link to nothing
    const OtlpBuilder::Open link = build_.open(otlp::span::kLinks, 1);
    build_.bytes(otlp::link::kTraceId, trace);
    build_.bytes(otlp::link::kSpanId, id);
    build_.attribute(otlp::link::kAttributes, "opentracing.ref_type",
                     ref.follows_from ? ByteView("follows_from") : ByteView("child_of"));
    build_.close(link);
  }
  build_.status(status.code, status.message);
  if ((span.flags & JaegerSpan::kSampled) != 0) build_.fixed32(otlp::span::kFlags, 1);
  if ((span.flags & JaegerSpan::kDebug) != 0) build_.keep_mark();
  build_.close(out);
}

}  // namespace tailgate
