// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/json.h"

#include <catch2/catch.hpp>
#include <vector>

#include "support/foreign_write_twin.h"
#include "support/random_traces.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

namespace dom = simdjson::dom;

std::uint64_t number_of(dom::element e) { return std::uint64_t(e); }

// A tag as it is wanted: name and value.
using Wanted = std::vector<std::pair<std::string, twin::AnyValue>>;

void check_tag(dom::element type, dom::element value, const twin::AnyValue& wanted) {
  const std::map<int, std::string> types = {{twin::AnyValue::kBoolValue, "bool"},
                                            {twin::AnyValue::kIntValue, "int64"},
                                            {twin::AnyValue::kDoubleValue, "float64"},
                                            {twin::AnyValue::kBytesValue, "binary"}};
  const auto named = types.find(wanted.value_case());
  CHECK(text_of(type) == (named == types.end() ? "string" : named->second));
  if (named == types.end()) {
    CHECK(same_text(wanted, text_of(value)));
  } else if (wanted.has_bytes_value()) {
    CHECK(text_of(value) == twin_hex(wanted.bytes_value()));
  } else {
    CHECK(same_json(wanted, value));
  }
}

void check_tags(dom::element list, const Wanted& wanted) {
  std::size_t i = 0;
  for (const dom::element tag : dom::array(list)) {
    REQUIRE(i < wanted.size());
    CHECK(text_of(tag["key"]) == wanted[i].first);
    check_tag(tag["type"], tag["value"], wanted[i].second);
    ++i;
  }
  CHECK(i == wanted.size());
}

// `error` and `span.kind` go to fields of their own, the last of a name.
void check_with_fields(dom::element holder, Wanted wanted) {
  std::map<std::string, twin::AnyValue> fields;
  Wanted rest;
  for (const auto& [key, value] : wanted) {
    if ((key == "error" || key == "span.kind") && !value.has_bytes_value()) {
      fields[key == "error" ? "error" : "span@kind"] = value;
    } else {
      rest.emplace_back(key, value);
    }
  }
  check_tags(holder["tags"], rest);
  dom::object tag;
  std::size_t count = 0;
  if (holder["tag"].get(tag) == simdjson::SUCCESS) {
    for (const auto& [key, value] : tag) {
      const twin::AnyValue& want = fields.at(std::string(key));
      CHECK((value.is_string() ? same_text(want, text_of(value)) : same_json(want, value)));
      ++count;
    }
  }
  CHECK(count == fields.size());
}

Wanted wanted_of(const TwinAttributes& list) {
  Wanted out;
  for (const auto& kv : list) out.emplace_back(kv.key(), kv.value());
  return out;
}

void check_document(dom::element doc, const twin::Resource& resource, const twin::InstrumentationScope& scope,
                    const twin::Span& span) {
  CHECK(text_of(doc["traceID"]) == twin_hex(span.trace_id()));
  CHECK(text_of(doc["spanID"]) == twin_hex(span.span_id()));
  CHECK((doc["flags"].error() != simdjson::SUCCESS ? 0 : number_of(doc["flags"])) == span.flags());
  CHECK(text_of(doc["operationName"]) == span.name());
  CHECK(number_of(doc["startTime"]) == span.start_time_unix_nano() / 1000);
  CHECK(number_of(doc["startTimeMillis"]) == span.start_time_unix_nano() / 1000000);
  CHECK(number_of(doc["duration"]) == twin_duration(span) / 1000);

  Wanted tags;
  if (!scope.name().empty()) tags.emplace_back("otel.scope.name", text_value(scope.name()));
  if (!scope.version().empty()) tags.emplace_back("otel.scope.version", text_value(scope.version()));
  for (const auto& tag : wanted_of(span.attributes())) tags.push_back(tag);
  const std::string kinds[] = {"", "internal", "server", "client", "producer", "consumer", ""};
  if (!kinds[span.kind()].empty()) tags.emplace_back("span.kind", text_value(kinds[span.kind()]));
  if (span.status().code() == 1) tags.emplace_back("otel.status_code", text_value("OK"));
  if (span.status().code() == 2) tags.emplace_back("error", twin::AnyValue()).second.set_bool_value(true);
  if (!span.status().message().empty()) {
    tags.emplace_back("otel.status_description", text_value(span.status().message()));
  }
  if (!span.trace_state().empty()) tags.emplace_back("w3c.tracestate", text_value(span.trace_state()));
  check_with_fields(doc, tags);

  std::vector<std::string> references;
  const bool has_parent = span.parent_span_id().find_first_not_of('\0') != std::string::npos;
  if (has_parent) references.push_back("CHILD_OF " + twin_hex(span.trace_id()) + twin_hex(span.parent_span_id()));
  for (const auto& link : span.links()) {
    bool child = false;
    for (const auto& kv : link.attributes()) child = kv.value().string_value() == "child_of";
    const std::string type = child ? "CHILD_OF " : "FOLLOWS_FROM ";
    const std::string to = twin_hex(link.trace_id()) + twin_hex(link.span_id());
    const bool parent = has_parent && link.trace_id() == span.trace_id() && link.span_id() == span.parent_span_id();
    parent ? void(references[0] = type + to) : references.push_back(type + to);
  }
  std::vector<std::string> got;
  for (const dom::element r : dom::array(doc["references"])) {
    got.push_back(text_of(r["refType"]) + " " + text_of(r["traceID"]) + text_of(r["spanID"]));
  }
  CHECK(got == references);

  int i = 0;
  for (const dom::element log : dom::array(doc["logs"])) {
    REQUIRE(i < span.events_size());
    const auto& event = span.events(i++);
    CHECK(number_of(log["timestamp"]) == event.time_unix_nano() / 1000);
    Wanted fields = wanted_of(event.attributes());
    if (!event.name().empty() && !twin_has(event.attributes(), "event")) {
      fields.insert(fields.begin(), {"event", text_value(event.name())});
    }
    check_tags(log["fields"], fields);
  }
  CHECK(i == span.events_size());

  Wanted process;
  twin::AnyValue service = text_value(resource.attributes().empty() ? "OTLPResourceNoServiceName" : "");
  for (const auto& kv : resource.attributes()) {
    if (kv.key() == "service.name") {
      service = kv.value();
    } else {
      process.emplace_back(kv.key(), kv.value());
    }
  }
  CHECK(same_text(service, text_of(doc["process"]["serviceName"])));
  check_with_fields(doc["process"], process);
}

}  // namespace

TEST_CASE("10,000 spans become Jaeger's documents as a slow twin makes them", "[wire]") {
  std::size_t spans = 0;
  for (std::uint64_t seed = 1; spans < 10'000; ++seed) {
    CAPTURE(seed);
    const twin::TracesData data = RandomTraces(seed).next();
    std::vector<JaegerDocument> docs;
    REQUIRE(each_jaeger_document(data.SerializeAsString(), [&](const JaegerDocument& d) { docs.push_back(d); }));
    std::size_t at = 0;
    simdjson::dom::parser parser;
    for (const auto& r : data.resource_spans()) {
      for (const auto& s : r.scope_spans()) {
        for (const auto& span : s.spans()) {
          REQUIRE(at < docs.size());
          const JaegerDocument& doc = docs[at++];
          CAPTURE(doc.body);
          check_document(parser.parse(doc.body), r.resource(), s.scope(), span);
          CHECK(doc.start_ns == span.start_time_unix_nano());
          CHECK(doc.operation == span.name());
          CHECK(doc.id.starts_with(twin_hex(span.trace_id()) + "_" + twin_hex(span.span_id()) + "_"));
        }
      }
    }
    CHECK(at == docs.size());
    spans += at;
  }
}

TEST_CASE("odd protobuf makes documents that are JSON, one for each span", "[wire]") {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    CAPTURE(seed);
    const std::string otlp = RandomOtlp(seed).request();
    twin::TracesData data;
    REQUIRE(data.ParseFromString(otlp));
    std::size_t wanted = 0, got = 0;
    for (const auto& r : data.resource_spans()) {
      for (const auto& s : r.scope_spans()) wanted += static_cast<std::size_t>(s.spans_size());
    }
    simdjson::dom::parser parser;
    CHECK(each_jaeger_document(otlp, [&](const JaegerDocument& d) {
      simdjson::dom::element e;
      CHECK(parser.parse(d.body).get(e) == simdjson::SUCCESS);
      CHECK(d.body.find('\n') == std::string::npos);
      ++got;
    }));
    CHECK(got == wanted);
  }
}

TEST_CASE("the same span has the same id, another one with its ids another", "[wire]") {
  const auto id_of = [](const std::string& name) {
    twin::TracesData data;
    auto* span = data.add_resource_spans()->add_scope_spans()->add_spans();
    span->set_trace_id(std::string(16, 'a'));
    span->set_span_id(std::string(8, 'b'));
    span->set_name(name);
    std::string id;
    each_jaeger_document(data.SerializeAsString(), [&](const JaegerDocument& d) { id = d.id; });
    return id;
  };
  CHECK(id_of("a") == id_of("a"));
  CHECK(id_of("a") != id_of("b"));
  CHECK(id_of("a").starts_with("61616161616161616161616161616161_6262626262626262_"));
}

TEST_CASE("indices are by the day in UTC, services by the hash of both names", "[wire]") {
  CHECK(utc_date(0) == "1970-01-01");
  CHECK(utc_date(951'782'400'000'000'000ULL - 1) == "2000-02-28");
  CHECK(utc_date(951'782'400'000'000'000ULL) == "2000-02-29");
  CHECK(utc_date(UINT64_MAX) == "2554-07-21");
  CHECK(jaeger_service_document("a\"b", "GET /") == R"({"serviceName":"a\"b","operationName":"GET /"})");
  CHECK(jaeger_service_id("", "") == "cbf29ce484222325");
  CHECK(jaeger_service_id("a", "b") == jaeger_service_id("ab", ""));
}
