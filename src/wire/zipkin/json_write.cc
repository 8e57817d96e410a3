// SPDX-License-Identifier: Apache-2.0
#include "wire/zipkin/json_write.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <iterator>
#include <map>

#include "codec/hex.h"
#include "codec/json_text.h"
#include "model/span_times.h"
#include "wire/foreign_tag.h"
#include "wire/otlp/attribute_text.h"
#include "wire/otlp/span_view.h"
#include "wire/zipkin/attribute_names.h"

namespace tailgate {
namespace {

using TagMap = std::map<std::string, std::string, std::less<>>;

constexpr std::string_view kNoStart = "otel.zipkin.absentField.startTime";
constexpr std::string_view kServiceNameSource = "otlp.service.name.source";

void add_tags(TagMap& tags, const AttributeViews& attributes) {
  for (const AttributeView& a : attributes) {
    std::string& value = tags[std::string(a.key)];
    value.clear();
    append_attribute_text(value, a.value);
  }
}

// Taken out of the tags; "" when it is not there.
std::string take(TagMap& tags, std::string_view key) {
  const auto found = tags.find(key);
  if (found == tags.end()) return "";
  std::string value = std::move(found->second);
  tags.erase(found);
  return value;
}

std::string take_service(TagMap& tags) {
  for (const std::string_view key : kServiceKeys) {
    if (!tags.contains(key)) continue;
    std::string name = take(tags, key);
    if (key != "service.name") tags[std::string(kServiceNameSource)] = key;
    return name;
  }
  return std::string(kNoServiceName);
}

// Takes out of the tags the first text that `use` can use, and the same text under the other name. A text that `use`
// cannot use stays a tag.
template <class Use>
void take_either(TagMap& tags, const AttributeNames& names, Use use) {
  for (const std::string_view key : {names.now, names.before}) {
    const auto found = tags.find(key);
    if (found == tags.end() || !use(found->second)) continue;
    const std::string text = take(tags, key);
    const auto other = tags.find(key == names.now ? names.before : names.now);
    if (other != tags.end() && other->second == text) tags.erase(other);
    return;
  }
}

struct Endpoint {
  std::string service, ip;  // ip: as in the attribute, when it is an address
  bool v6 = false;
  std::uint16_t port = 0;
};

// What an endpoint has no place for stays a tag.
Endpoint take_endpoint(TagMap& tags, std::string service, const AttributeNames& address, const AttributeNames& port) {
  Endpoint out;
  out.service = std::move(service);
  take_either(tags, address, [&](const std::string& text) {
    std::array<unsigned char, 16> binary{};
    const bool v6 = text.find(':') != std::string::npos;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), binary.data()) != 1) return false;
    out.v6 = v6;
    out.ip = text;
    return true;
  });
  if (out.service.empty() && out.ip.empty()) return out;
  take_either(tags, port, [&](const std::string& text) {
    std::uint16_t number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, ec] = std::from_chars(text.data(), last, number);
    if (ec != std::errc() || end != last || number == 0) return false;
    out.port = number;
    return true;
  });
  return out;
}

void append_endpoint(std::string& out, std::string_view key, const Endpoint& e) {
  if (e.service.empty() && e.ip.empty()) return;
  fmt::format_to(std::back_inserter(out), R"(,"{}":{{)", key);
  const char* comma = "";
  if (!e.service.empty()) {
    out += R"("serviceName":)";
    append_json_string(out, e.service);
    comma = ",";
  }
  if (!e.ip.empty()) {
    fmt::format_to(std::back_inserter(out), R"({}"{}":"{}")", comma, e.v6 ? "ipv6" : "ipv4", e.ip);
    comma = ",";
  }
  if (e.port != 0) fmt::format_to(std::back_inserter(out), R"({}"port":{})", comma, e.port);
  out += '}';
}

std::string_view kind_word(std::uint32_t kind) {
  constexpr std::string_view kWords[] = {"", "", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
  return kind < std::size(kWords) ? kWords[kind] : "";
}

void set_status(TagMap& tags, const SpanView& span) {
  if (span.status_code == 2) {
    tags["error"] = "true";
  } else {
    tags.erase("error");  // to Zipkin any `error` means that there was one
  }
  if (span.status_code != 1 && span.status_code != 2) return;
  tags["otel.status_code"] = span.status_code == 1 ? "STATUS_CODE_OK" : "STATUS_CODE_ERROR";
  if (!span.status_message.empty()) tags["otel.status_description"] = span.status_message;
}

void append_annotations(std::string& out, const SpanView& span) {
  if (span.events.empty()) return;
  out += R"(,"annotations":[)";
  std::string value;
  for (const EventView& event : span.events) {
    value = event.name;
    if (!event.attributes.empty() || event.dropped_attributes != 0) {
      value += '|';
      append_attributes_json(value, event.attributes);
      fmt::format_to(std::back_inserter(value), "|{}", event.dropped_attributes);
    }
    if (out.back() != '[') out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"timestamp":{},"value":)", event.time_ns / 1000);
    append_json_string(out, value);
    out += '}';
  }
  out += ']';
}

void add_links(TagMap& tags, const SpanView& span) {
  for (std::size_t i = 0; i < span.links.size(); ++i) {
    const LinkView& link = span.links[i];
    std::string& value = tags[fmt::format("otlp.link.{}", i)];
    value = fmt::format("{}|{}|{}|", to_hex(link.trace_id), to_hex(link.span_id), link.trace_state);
    append_attributes_json(value, link.attributes);
    fmt::format_to(std::back_inserter(value), "|{}", link.dropped_attributes);
  }
}

void append_span(std::string& out, const std::string& service, TagMap tags, const ScopeView& scope,
                 const SpanView& span) {
  add_tags(tags, scope.attributes);
  // Under both names, as OpenTelemetry's mapping to formats that are not OTLP asks: Jaeger's Zipkin receiver knows the
  // old one only.
  if (!scope.name.empty()) tags["otel.scope.name"] = tags["otel.library.name"] = scope.name;
  if (!scope.version.empty()) tags["otel.scope.version"] = tags["otel.library.version"] = scope.version;
  add_tags(tags, span.attributes);
  if (!span.trace_state.empty()) tags["w3c.tracestate"] = span.trace_state;
  if (span.kind == 1) tags["span.kind"] = "internal";
  // Readers of Zipkin's spans ask for the old name.
  if (const auto code = tags.find(kHttpStatus.now); code != tags.end()) {
    tags.try_emplace(std::string(kHttpStatus.before), code->second);
  }
  const Endpoint local = take_endpoint(tags, service, kLocalAddress, kLocalPort);
  std::string peer;
  take_either(tags, kPeerName, [&](const std::string& text) {
    peer = text;
    return true;
  });
  const Endpoint remote = take_endpoint(tags, std::move(peer), kPeerAddress, kPeerPort);
  set_status(tags, span);
  add_links(tags, span);

  out += R"({"traceId":)";
  append_quoted_hex(out, span.trace_id);
  out += R"(,"id":)";
  append_quoted_hex(out, span.span_id);
  if (span.parent_span_id.find_first_not_of('\0') != ByteView::npos) {
    out += R"(,"parentId":)";
    append_quoted_hex(out, span.parent_span_id);
  }
  out += R"(,"name":)";
  append_json_string(out, span.name);
  if (const std::string_view kind = kind_word(span.kind); !kind.empty()) {
    fmt::format_to(std::back_inserter(out), R"(,"kind":"{}")", kind);
  }
  // Zipkin has neither a time of 0 nor a duration of 0; less than a microsecond is one.
  if (span.start_ns >= 1000) fmt::format_to(std::back_inserter(out), R"(,"timestamp":{})", span.start_ns / 1000);
  // A Zipkin span without a timestamp came with its duration as its end.
  const bool only_duration = span.start_ns == 0 && is_time(span.end_ns) && tags.contains(kNoStart);
  const std::int64_t duration =
      only_duration ? static_cast<std::int64_t>(span.end_ns) : duration_ns(span.start_ns, span.end_ns);
  if (duration > 0) {
    const std::int64_t us = duration / 1000;
    fmt::format_to(std::back_inserter(out), R"(,"duration":{})", us == 0 ? 1 : us);
  }
  append_endpoint(out, "localEndpoint", local);
  append_endpoint(out, "remoteEndpoint", remote);
  append_annotations(out, span);
  if (!tags.empty()) {
    out += R"(,"tags":{)";
    for (const auto& [key, value] : tags) {
      if (out.back() != '{') out += ',';
      append_json_string(out, key);
      out += ':';
      append_json_string(out, value);
    }
    out += '}';
  }
  out += '}';
}

}  // namespace

bool each_zipkin_span(ByteView otlp, const std::function<void(std::string_view)>& take, CutItems* cut,
                      SpanChoice* choice) {
  TagMap of_resource;
  std::string service, json;
  std::uint64_t number = 0;
  const auto write = [&](const ResourceView& resource, const ScopeView& scope, const SpanView& span) {
    if (number != resource.number) {
      number = resource.number;
      of_resource.clear();
      add_tags(of_resource, resource.attributes);
      service = take_service(of_resource);
    }
    json.clear();
    append_span(json, service, of_resource, scope, span);
    take(json);
  };
  return each_span(otlp, write, cut, choice);
}

}  // namespace tailgate
