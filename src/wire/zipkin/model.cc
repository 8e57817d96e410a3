// SPDX-License-Identifier: Apache-2.0
#include "wire/zipkin/model.h"

#include <charconv>

#include "wire/times.h"
#include "wire/zipkin/attribute_names.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

// To Zipkin the tag `error` means that there was one, whatever it says; only "false" is taken back.
ForeignStatus status_of(const CommonTags& s) {
  ForeignStatus out;
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

// Tags with a meaning, and those that go before what an endpoint says. `http_status` is the old name of
// `http_response_status`.
struct ZipkinToOtlp::Special : CommonTags {
  ForeignTag* http_status = nullptr;
  ForeignTag* http_response_status = nullptr;
  ForeignTag* local_address = nullptr;
  ForeignTag* local_port = nullptr;
  ForeignTag* peer_address = nullptr;
  ForeignTag* peer_port = nullptr;
  ForeignTag* peer_name = nullptr;
  ForeignTag* old_local_address = nullptr;
  ForeignTag* old_peer_address = nullptr;
  ForeignTag* old_peer_name = nullptr;

  ForeignTag** place_of(ByteView key) {
    switch (key.size()) {
      case 11:
        if (key == kLocalAddress.before) return &old_local_address;
        return key == kPeerAddress.before ? &old_peer_address : nullptr;
      case 12:
        return key == kPeerName.before ? &old_peer_name : nullptr;
      case 13:
        if (key == kLocalPort.before) return &local_port;
        return key == kPeerPort.before ? &peer_port : nullptr;
      case 16:
        if (key == kHttpStatus.before) return &http_status;
        break;
      case 17:
        if (key == kPeerName.now) return &peer_name;
        break;
      case 20:
        if (key == kPeerAddress.now) return &peer_address;
        break;
      case 21:
        return key == kLocalAddress.now ? &local_address : nullptr;
      case 25:
        return key == kHttpStatus.now ? &http_response_status : nullptr;
      default:
        break;
    }
    return tailgate::place_of(key, static_cast<CommonTags&>(*this));
  }
};

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
void ZipkinToOtlp::attributes(const ZipkinSpan& span, const Special& special) {
  const bool old_names = options_.old_attribute_names;
  const auto write = [&](ByteView key, const AttributeValue& value) {
    build_.attribute(otlp::span::kAttributes, key, value);
  };
  const auto value_of = [&](const ForeignTag& tag) {
    return options_.parse_string_tags ? typed(tag.value) : tag.value;
  };
  for (const ForeignTag& tag : span.tags) {
    if (!tag.gone && (old_names || &tag != special.http_status)) write(tag.key, value_of(tag));
  }
  if (special.http_status != nullptr && special.http_response_status == nullptr) {
    write(kHttpStatus.now, value_of(*special.http_status));
  }
  const auto renamed = [&](ByteView text, const AttributeNames& names, const ForeignTag* tag,
                           const ForeignTag* old_tag) {
    if (text.empty()) return;
    const AttributeValue value{Kind::kString, 0, text};
    if (tag == nullptr) write(names.now, value);
    if (old_names && old_tag == nullptr) write(names.before, value);
  };
  // The Collector's receiver has kept the names that ports had before.
  const auto port = [&](const ZipkinEndpoint& at, const AttributeNames& names, const ForeignTag* tag) {
    if (at.port > 0 && tag == nullptr) write(names.before, {Kind::kInt, static_cast<std::uint64_t>(at.port), {}});
  };
  const auto ip_of = [](const ZipkinEndpoint& at) { return at.ipv4.empty() ? at.ipv6 : at.ipv4; };
  renamed(ip_of(span.local), kLocalAddress, special.local_address, special.old_local_address);
  port(span.local, kLocalPort, special.local_port);
  renamed(span.remote.service_name, kPeerName, special.peer_name, special.old_peer_name);
  renamed(ip_of(span.remote), kPeerAddress, special.peer_address, special.old_peer_address);
  port(span.remote, kPeerPort, special.peer_port);
  if (span.timestamp_us == 0) write("otel.zipkin.absentField.startTime", {Kind::kBool, 1, {}});
}

void ZipkinToOtlp::add(ZipkinSpan& span) {
  drop_repeats(span.tags.data(), span.tags.size(), order_, build_.sink());
  Special special;
  for (ForeignTag& tag : span.tags) {
    if (tag.gone) continue;
    if (ForeignTag** const place = special.place_of(tag.key)) *place = &tag;
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
  const ForeignStatus status = status_of(special);

  const OtlpBuilder::Open out = build_.open(otlp::scope_spans::kSpans, 2);
  build_.span_head(head);
  attributes(span, special);
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
