// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include <catch2/catch.hpp>

#include "support/foreign_write_twin.h"
#include "support/random_traces.h"
#include "wire/zipkin/json_write.h"
#include "wire/zipkin/zipkin.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

namespace dom = simdjson::dom;
using TagMap = std::map<std::string, twin::AnyValue>;

std::string text_or(dom::element from, const char* key) {
  dom::element e;
  return from[key].get(e) == simdjson::SUCCESS ? text_of(e) : "";
}
std::uint64_t number_or_0(dom::element from, const char* key) {
  std::uint64_t n = 0;
  return from[key].get(n) == simdjson::SUCCESS ? n : 0;
}

bool is_address(const std::string& text) {
  unsigned char binary[16];
  return inet_pton(text.find(':') == std::string::npos ? AF_INET : AF_INET6, text.c_str(), binary) == 1;
}

// Two values are the same tag when their texts are.
std::string text_shape(const twin::AnyValue& v) {
  if (v.has_string_value()) return v.string_value();
  if (v.has_bytes_value()) return twin_base64(v.bytes_value());
  if (v.has_int_value()) return fmt::format("{}", v.int_value());
  if (v.has_double_value()) return fmt::format("{}", v.double_value());
  return v.value_case() == twin::AnyValue::VALUE_NOT_SET ? "" : shape(v);
}

// What an endpoint takes out of the tags under one of two names: the first value that fits, and an equal one of the
// other.
template <class Fits>
std::optional<twin::AnyValue> take_one_of(TagMap& tags, const std::vector<std::string>& names, Fits fits) {
  for (const std::string& name : names) {
    if (!tags.contains(name) || !fits(tags[name])) continue;
    const twin::AnyValue value = tags[name];
    for (const std::string& each : names) {
      if (tags.contains(each) && text_shape(tags[each]) == text_shape(value)) tags.erase(each);
    }
    return value;
  }
  return std::nullopt;
}

// The values of the generator are short enough to be told by hand.
std::int64_t port_of(const twin::AnyValue& v) {
  std::int64_t port = v.has_int_value() ? v.int_value() : v.string_value() == "7" ? 7 : 0;
  if (v.has_double_value() && v.double_value() == 3) port = 3;
  return port < 0 || port > 65535 ? 0 : port;
}

void check_endpoint(dom::element span, const char* which, const std::string& service, TagMap& tags,
                    const std::vector<std::string>& addresses, const std::vector<std::string>& ports) {
  const auto address =
      take_one_of(tags, addresses, [](const twin::AnyValue& v) { return is_address(v.string_value()); });
  const std::string ip = address ? address->string_value() : "";
  dom::element endpoint;
  const bool there = span[which].get(endpoint) == simdjson::SUCCESS;
  REQUIRE(there == (!service.empty() || !ip.empty()));
  if (!there) return;
  CHECK(text_or(endpoint, "serviceName") == service);
  CHECK(text_or(endpoint, "ipv4") + text_or(endpoint, "ipv6") == ip);
  const auto taken = take_one_of(tags, ports, [](const twin::AnyValue& v) { return port_of(v) != 0; });
  const std::int64_t port = taken ? port_of(*taken) : 0;
  CHECK(static_cast<std::int64_t>(number_or_0(endpoint, "port")) == port);
}

void check_span(dom::element got, const twin::Resource& resource, const twin::InstrumentationScope& scope,
                const twin::Span& span) {
  CHECK(text_of(got["traceId"]) == twin_hex(span.trace_id()));
  CHECK(text_of(got["id"]) == twin_hex(span.span_id()));
  const bool has_parent = span.parent_span_id().find_first_not_of('\0') != std::string::npos;
  CHECK(text_or(got, "parentId") == (has_parent ? twin_hex(span.parent_span_id()) : ""));
  CHECK(text_of(got["name"]) == span.name());
  const std::string kinds[] = {"", "", "SERVER", "CLIENT", "PRODUCER", "CONSUMER", ""};
  CHECK(text_or(got, "kind") == kinds[span.kind()]);
  CHECK(number_or_0(got, "timestamp") == span.start_time_unix_nano() / 1000);
  const std::uint64_t duration = twin_duration(span);
  CHECK(number_or_0(got, "duration") == (duration != 0 ? std::max<std::uint64_t>(duration / 1000, 1) : 0));

  TagMap tags;
  for (const auto& kv : resource.attributes()) tags[kv.key()] = kv.value();
  twin::AnyValue service = text_value("OTLPResourceNoServiceName");
  for (const std::string key : {"service.name", "faas.name"}) {
    if (!tags.contains(key)) continue;
    service = tags[key];
    tags.erase(key);
    if (key != "service.name") tags["otlp.service.name.source"] = text_value(key);
    break;
  }
  for (const std::string prefix : {"otel.scope.", "otel.library."}) {
    if (!scope.name().empty()) tags[prefix + "name"] = text_value(scope.name());
    if (!scope.version().empty()) tags[prefix + "version"] = text_value(scope.version());
  }
  for (const auto& kv : span.attributes()) tags[kv.key()] = kv.value();
  if (!span.trace_state().empty()) tags["w3c.tracestate"] = text_value(span.trace_state());
  if (span.kind() == 1) tags["span.kind"] = text_value("internal");

  if (tags.contains("http.response.status_code")) {
    tags.emplace("http.status_code", tags.at("http.response.status_code"));
  }
  dom::element local;
  const std::string service_text =
      got["localEndpoint"].get(local) == simdjson::SUCCESS ? text_or(local, "serviceName") : "";
  CHECK(same_text(service, service_text));
  check_endpoint(got, "localEndpoint", service_text, tags, {"network.local.address", "net.host.ip"},
                 {"network.local.port", "net.host.port"});
  dom::element remote;
  const std::string peer_text =
      got["remoteEndpoint"].get(remote) == simdjson::SUCCESS ? text_or(remote, "serviceName") : "";
  const auto peer =
      take_one_of(tags, {"service.peer.name", "peer.service"}, [](const twin::AnyValue&) { return true; });
  CHECK((peer ? same_text(*peer, peer_text) : peer_text.empty()));
  check_endpoint(got, "remoteEndpoint", peer_text, tags, {"network.peer.address", "net.peer.ip"},
                 {"network.peer.port", "net.peer.port"});

  tags.erase("error");
  const int code = span.status().code();
  if (code == 2) tags["error"] = text_value("true");
  if (code == 1) tags["otel.status_code"] = text_value("STATUS_CODE_OK");
  if (code == 2) tags["otel.status_code"] = text_value("STATUS_CODE_ERROR");
  if ((code == 1 || code == 2) && !span.status().message().empty()) {
    tags["otel.status_description"] = text_value(span.status().message());
  }
  for (int i = 0; i < span.links_size(); ++i) {
    const auto& link = span.links(i);
    std::string attributes = "{";
    for (const auto& kv : link.attributes()) attributes += '"' + kv.key() + "\":\"" + kv.value().string_value() + '"';
    tags["otlp.link." + std::to_string(i)] =
        text_value(twin_hex(link.trace_id()) + "|" + twin_hex(link.span_id()) + "||" + attributes + "}|0");
  }
  dom::object have;
  std::size_t count = 0;
  if (got["tags"].get(have) == simdjson::SUCCESS) {
    for (const auto& [key, value] : have) {
      CAPTURE(std::string(key));
      REQUIRE(tags.contains(std::string(key)));
      CHECK(same_text(tags[std::string(key)], text_of(value)));
      ++count;
    }
  }
  CHECK(count == tags.size());

  int i = 0;
  dom::array annotations;
  if (got["annotations"].get(annotations) == simdjson::SUCCESS) {
    for (const dom::element a : annotations) {
      REQUIRE(i < span.events_size());
      const auto& event = span.events(i++);
      CHECK(number_or_0(a, "timestamp") == event.time_unix_nano() / 1000);
      const std::string value = text_of(a["value"]);
      if (event.attributes().empty()) {
        CHECK(value == event.name());
        continue;
      }
      twin::AnyValue map;
      *map.mutable_kvlist_value()->mutable_values() = event.attributes();
      REQUIRE(value.starts_with(event.name() + "|{"));
      REQUIRE(value.ends_with("|0"));
      CHECK(same_text(map, value.substr(event.name().size() + 1, value.size() - event.name().size() - 3)));
    }
  }
  CHECK(i == span.events_size());
}

bool append_spans(std::string& out, ByteView otlp) {
  return each_zipkin_span(otlp, [&](std::string_view json) {
    if (!out.ends_with('[')) out += ',';
    out += json;
  });
}

}  // namespace

TEST_CASE("10,000 spans become Zipkin's as a slow twin makes them, and our receiver takes them", "[wire]") {
  std::size_t spans = 0;
  for (std::uint64_t seed = 1; spans < 10'000; ++seed) {
    CAPTURE(seed);
    const twin::TracesData data = RandomTraces(seed).next();
    std::string json = "[";
    REQUIRE(append_spans(json, data.SerializeAsString()));
    json += ']';
    CAPTURE(json);
    simdjson::dom::parser parser;
    std::vector<dom::element> got;
    for (const dom::element e : dom::array(dom::element(parser.parse(json)))) got.push_back(e);
    std::size_t at = 0;
    for (const auto& r : data.resource_spans()) {
      for (const auto& s : r.scope_spans()) {
        for (const auto& span : s.spans()) {
          REQUIRE(at < got.size());
          check_span(got[at++], r.resource(), s.scope(), span);
        }
      }
    }
    CHECK(at == got.size());
    spans += at;

    ByteSink back;
    REQUIRE(zipkin_json_to_otlp(json, {}, back));
    twin::TracesData again;
    REQUIRE(again.ParseFromString(std::string(back.view())));
    std::multiset<std::string> sent, received;
    const auto note = [](const twin::TracesData& d, std::multiset<std::string>& out) {
      for (const auto& r : d.resource_spans()) {
        for (const auto& s : r.scope_spans()) {
          for (const auto& span : s.spans()) {
            const bool has_parent = span.parent_span_id().find_first_not_of('\0') != std::string::npos;
            const bool known = span.kind() < 6;
            out.insert(twin_hex(span.trace_id()) + twin_hex(span.span_id()) +
                       (has_parent ? twin_hex(span.parent_span_id()) : "-") + span.name() + "/" + s.scope().name() +
                       std::to_string(span.start_time_unix_nano() / 1000) + "/" +
                       std::to_string(known ? span.kind() : 0) + "/" + std::to_string(span.status().code() == 2) +
                       span.trace_state());
          }
        }
      }
    };
    twin::TracesData plain = data;  // a tag `span.kind` is read as the kind where there is none
    for (auto& r : *plain.mutable_resource_spans()) {
      for (auto& s : *r.mutable_scope_spans()) {
        for (auto& span : *s.mutable_spans()) {
          if (span.kind() == 6) span.set_kind(0);
        }
      }
    }
    note(plain, sent);
    note(again, received);
    CHECK(sent == received);
  }
}

TEST_CASE("a Zipkin span comes back as it was, whichever names its attributes have", "[wire]") {
  const std::string came =
      R"({"traceId":"00000000000000000000000000000022","id":"0000000000000001","name":"","kind":"SERVER",)"
      R"("duration":20000,"localEndpoint":{"serviceName":"a","ipv4":"10.0.0.1","port":8080},)"
      R"("remoteEndpoint":{"serviceName":"b","ipv6":"::2"})";
  for (const bool old_names : {true, false}) {
    ByteSink otlp;
    REQUIRE(zipkin_json_to_otlp("[" + came + "}]", {.old_attribute_names = old_names}, otlp));
    std::string back = "[";
    REQUIRE(append_spans(back, otlp.view()));
    // Without a timestamp the duration is all that is known, and it stays; the tag says that there was none.
    CHECK(back == "[" + came + R"(,"tags":{"otel.zipkin.absentField.startTime":"true"}})");
  }
}

TEST_CASE("odd protobuf becomes JSON that our receiver takes", "[wire]") {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    CAPTURE(seed);
    std::string json = "[";
    CHECK(append_spans(json, RandomOtlp(seed).request()));
    json += ']';
    ByteSink back;
    CHECK(zipkin_json_to_otlp(json, {}, back));
  }
  std::string broken = "[";
  CHECK_FALSE(append_spans(broken, "\x0a\xff"));
  CHECK(broken == "[");
}

TEST_CASE("an event or link that cannot be read costs neither its span nor those behind it", "[wire]") {
  twin::TracesData data;
  auto* spans = data.add_resource_spans()->add_scope_spans();
  for (char c = 'a'; c < 'd'; ++c) {
    auto* span = spans->add_spans();
    span->set_trace_id(std::string(16, c));
    span->set_span_id(std::string(8, c));
    span->set_name(std::string(1, c));
    span->add_events()->set_name("boom");
    span->add_links()->set_trace_id(std::string(16, 'l'));
  }
  std::string bytes = data.SerializeAsString();
  // Of the second: the name's length in the event, and the id's in the link, reach beyond their message.
  for (const std::string& what : {std::string("\x12\x04"
                                              "boom"),
                                  "\x0a\x10" + std::string(16, 'l')}) {
    std::size_t at = bytes.find(what);
    at = bytes.find(what, at + 1);
    REQUIRE(at != std::string::npos);
    bytes[at + 1] = '\x7f';
  }
  std::string json = "[";
  CHECK(append_spans(json, bytes));
  CHECK(json.find(R"("name":"a")") != std::string::npos);
  CHECK(json.find(R"("name":"b")") != std::string::npos);
  CHECK(json.find(R"("name":"c")") != std::string::npos);
  std::size_t annotations = 0;
  for (std::size_t at = json.find("\"boom"); at != std::string::npos; at = json.find("\"boom", at + 1)) ++annotations;
  CHECK(annotations == 2);
}
