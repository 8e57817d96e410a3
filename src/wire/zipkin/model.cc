// SPDX-License-Identifier: Apache-2.0
#include "wire/zipkin/model.h"

#include <charconv>

#include "wire/times.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

using Special = CommonTags;

struct StatusOf {
  StatusCode code = StatusCode::kUnset;
  ByteView message;
};

// To Zipkin the tag `error` means that there was one, whatever it says; only "false" is taken back.
StatusOf status_of(const Special& s) {
  StatusOf out;
  if (s.status_code != nullptr) {
    ByteView code = s.status_code->value.bytes;
    constexpr ByteView kPrefix = "STATUS_CODE_";
    if (code.starts_with(kPrefix)) code.remove_prefix(kPrefix.size());
    if (same_ignoring_case(code, "ok")) out.code = StatusCode::kOk;
    if (same_ignoring_case(code, "error")) out.code = StatusCode::kError;
    s.status_code->gone = true;
    if (s.status_description != nullptr) {
      out.message = s.status_description->value.bytes;
      s.status_description->gone = true;
    }
  }
  if (s.error == nullptr || same_ignoring_case(s.error->value.bytes, "false")) return out;
  out.code = StatusCode::kError;
  if (same_ignoring_case(s.error->value.bytes, "true")) {
    s.error->gone = true;
  } else if (out.message.empty()) {
    out.message = s.error->value.bytes;
  }
  return out;
}

// A tag as a number or a bool, where it reads as one.
AttributeValue typed(const AttributeValue& value) {
  const ByteView text = value.bytes;
  if (same_ignoring_case(text, "true")) return {Kind::kBool, 1, {}};
  if (same_ignoring_case(text, "false")) return {Kind::kBool, 0, {}};
  if (text.empty() || (text[0] != '-' && (text[0] < '0' || text[0] > '9'))) return value;
  const char* const end = text.data() + text.size();
  std::int64_t number = 0;
  if (const auto [at, ec] = std::from_chars(text.data(), end, number); ec == std::errc() && at == end) {
    return {Kind::kInt, static_cast<std::uint64_t>(number), {}};
  }
  double real = 0;
  if (const auto [at, ec] = std::from_chars(text.data(), end, real); ec == std::errc() && at == end) {
    return {Kind::kDouble, std::bit_cast<std::uint64_t>(real), {}};
  }
  return value;
}

}  // namespace

void ZipkinToOtlp::open_resource(ByteView service_name) {
  if (in_resource_ && service_name == service_name_) return;
  end();
  resource_ = build_.open(otlp::request::kResourceSpans, width_);
  in_resource_ = true;
  service_name_ = service_name;
  if (service_name.empty()) return;
  const OtlpBuilder::Open resource = build_.open(otlp::resource_spans::kResource, 1);
  build_.attribute(otlp::resource::kAttributes, "service.name", service_name);
  build_.close(resource);
}

void ZipkinToOtlp::end() {
  if (!in_resource_) return;
  close_scope();
  build_.close(resource_);
  in_resource_ = false;
}

void ZipkinToOtlp::open_scope(ScopeOf wanted) {
  if (in_scope_ && wanted.name == scope_name_ && wanted.version == scope_version_) return;
  close_scope();
  scope_ = build_.open(otlp::resource_spans::kScopeSpans, width_);
  in_scope_ = true;
  scope_name_ = wanted.name;
  scope_version_ = wanted.version;
  if (wanted.name.empty() && wanted.version.empty()) return;
  const OtlpBuilder::Open scope = build_.open(otlp::scope_spans::kScope, 1);
  build_.text(otlp::scope::kName, wanted.name);
  build_.text(otlp::scope::kVersion, wanted.version);
  build_.close(scope);
}

void ZipkinToOtlp::close_scope() {
  if (in_scope_) build_.close(scope_);
  in_scope_ = false;
}

// Tags, then what the endpoints add to them: a tag of the same name goes before.
void ZipkinToOtlp::attributes(const ZipkinSpan& span) {
  bool peer_service = false, host_ip = false, host_port = false, peer_ip = false, peer_port = false;
  for (const ForeignTag& tag : span.tags) {
    if (tag.gone) continue;
    build_.attribute(otlp::span::kAttributes, tag.key, options_.parse_string_tags ? typed(tag.value) : tag.value);
    peer_service |= tag.key == "peer.service";
    host_ip |= tag.key == "net.host.ip";
    host_port |= tag.key == "net.host.port";
    peer_ip |= tag.key == "net.peer.ip";
    peer_port |= tag.key == "net.peer.port";
  }
  const auto address = [&](const ZipkinEndpoint& at, ByteView ip_key, bool has_ip, ByteView port_key, bool has_port) {
    const ByteView ip = at.ipv4.empty() ? at.ipv6 : at.ipv4;
    if (!ip.empty() && !has_ip) build_.attribute(otlp::span::kAttributes, ip_key, ip);
    if (at.port > 0 && !has_port) {
      build_.attribute(otlp::span::kAttributes, port_key,
                       AttributeValue{Kind::kInt, static_cast<std::uint64_t>(at.port), {}});
    }
  };
  address(span.local, "net.host.ip", host_ip, "net.host.port", host_port);
  if (!span.remote.service_name.empty() && !peer_service) {
    build_.attribute(otlp::span::kAttributes, "peer.service", span.remote.service_name);
  }
  address(span.remote, "net.peer.ip", peer_ip, "net.peer.port", peer_port);
  if (span.timestamp_us == 0) {
    build_.attribute(otlp::span::kAttributes, "otel.zipkin.absentField.startTime", AttributeValue{Kind::kBool, 1, {}});
  }
}

void ZipkinToOtlp::add(ZipkinSpan& span) {
  drop_repeats(span.tags.data(), span.tags.size(), order_, build_.sink());
  Special special;
  for (ForeignTag& tag : span.tags) {
    if (tag.gone) continue;
    if (ForeignTag** const place = place_of(tag.key, special)) *place = &tag;
  }
  open_resource(span.local.service_name);
  // Exporters of OpenTelemetry write their scope, and some of them say `debug` of every span that is sampled: not a
  // person's wish to see this one trace.
  const bool by_sdk = special.scope.name != nullptr || special.scope.library_name != nullptr;
  open_scope(take_scope(special.scope));

  OtlpBuilder::SpanHead head;
  head.trace_id = span.trace_id;
  head.span_id = span.id;
  if (span.parent != span.id) head.parent_span_id = span.parent;
  head.name = span.name;
  head.kind = span.kind;
  head.start_ns = us_to_ns(span.timestamp_us);
  head.end_ns = add_ns(head.start_ns, us_to_ns(span.duration_us));
  if (head.kind == 0 && special.kind != nullptr) {
    head.kind = span_kind_of(special.kind->value.bytes);
    special.kind->gone = head.kind != 0;
  }
  if (special.trace_state != nullptr) {
    head.trace_state = special.trace_state->value.bytes;
    special.trace_state->gone = true;
  }
  const StatusOf status = status_of(special);

  const OtlpBuilder::Open out = build_.open(otlp::scope_spans::kSpans, 2);
  build_.span_head(head);
  attributes(span);
  for (const ZipkinAnnotation& annotation : span.annotations) {
    const OtlpBuilder::Open event = build_.open(otlp::span::kEvents, 1);
    build_.fixed64(otlp::event::kTime, annotation.time_ns);
    build_.text(otlp::event::kName, annotation.value);
    build_.close(event);
  }
  build_.status(status.code, status.message);
  if (span.debug) {
    build_.fixed32(otlp::span::kFlags, 1);  // debug implies sampled
    if (!by_sdk) build_.keep_mark();
  }
  build_.close(out);
}

}  // namespace tailgate
