// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/json_write.h"
#include "codec/json_text.h"

#include <fmt/format.h>

#include <simdjson.h>
#include <catch2/catch.hpp>
#include <random>

#include "otlp_twin.pb.h"
#include "support/twin_text.h"

using namespace tailgate;

namespace {

std::string json(const std::string& otlp, bool ok = true) {
  std::string out;
  CHECK(append_otlp_json(out, otlp) == ok);
  return out;
}

std::string json(const twin::TracesData& data) { return json(data.SerializeAsString()); }

// The JSON of one attribute value, with the message around it taken off.
std::string value_json(const twin::AnyValue& value) {
  twin::TracesData data;
  auto* kv = data.add_resource_spans()->mutable_resource()->add_attributes();
  kv->set_key("k");
  *kv->mutable_value() = value;
  const std::string text = json(data);
  const std::string before = R"({"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":)";
  const std::string after = "}]}}]}";
  REQUIRE(text.starts_with(before));
  REQUIRE(text.ends_with(after));
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

// --- the slow twin: walks generated messages beside a parsed JSON document and compares field by field

using Element = simdjson::dom::element;

std::string text_at(Element e, const char* key) {
  std::string_view v;
  return e[key].get(v) == simdjson::SUCCESS ? std::string(v) : std::string();
}
std::int64_t number_at(Element e, const char* key) {
  std::int64_t v = 0;
  return e[key].get(v) == simdjson::SUCCESS ? v : 0;
}
std::vector<Element> list_of(Element e, const char* key) {
  std::vector<Element> out;
  simdjson::dom::array a;
  if (e[key].get(a) == simdjson::SUCCESS) {
    for (Element item : a) out.push_back(item);
  }
  return out;
}
std::string fixed64(std::uint64_t v) { return v == 0 ? "" : std::to_string(v); }

void same_value(const twin::AnyValue& v, Element e) {
  switch (v.value_case()) {
    case twin::AnyValue::kStringValue:
      REQUIRE(text_at(e, "stringValue") == v.string_value());
      break;
    case twin::AnyValue::kBoolValue:
      REQUIRE(bool(e["boolValue"]) == v.bool_value());
      break;
    case twin::AnyValue::kIntValue:
      REQUIRE(text_at(e, "intValue") == std::to_string(v.int_value()));
      break;
    case twin::AnyValue::kDoubleValue:
      REQUIRE(double(e["doubleValue"]) == v.double_value());
      break;
    case twin::AnyValue::kArrayValue: {
      const auto items = list_of(e["arrayValue"], "values");
      REQUIRE(items.size() == static_cast<std::size_t>(v.array_value().values_size()));
      for (std::size_t i = 0; i < items.size(); ++i) same_value(v.array_value().values(static_cast<int>(i)), items[i]);
      break;
    }
    case twin::AnyValue::kKvlistValue: {
      const auto items = list_of(e["kvlistValue"], "values");
      REQUIRE(items.size() == static_cast<std::size_t>(v.kvlist_value().values_size()));
      for (std::size_t i = 0; i < items.size(); ++i) {
        same_value(v.kvlist_value().values(static_cast<int>(i)).value(), items[i]["value"]);
      }
      break;
    }
    case twin::AnyValue::kBytesValue:
      REQUIRE_FALSE(text_at(e, "bytesValue").empty());
      break;
    case twin::AnyValue::VALUE_NOT_SET:
      REQUIRE(simdjson::dom::object(e).size() == 0);
      break;
  }
}

template <class Repeated>
void same_attributes(const Repeated& attributes, Element e) {
  const auto items = list_of(e, "attributes");
  REQUIRE(items.size() == static_cast<std::size_t>(attributes.size()));
  for (std::size_t i = 0; i < items.size(); ++i) {
    REQUIRE(text_at(items[i], "key") == attributes[static_cast<int>(i)].key());
    same_value(attributes[static_cast<int>(i)].value(), items[i]["value"]);
  }
}

void same_span(const twin::Span& s, Element e) {
  REQUIRE(text_at(e, "traceId") == test::twin_hex(s.trace_id()));
  REQUIRE(text_at(e, "spanId") == test::twin_hex(s.span_id()));
  REQUIRE(text_at(e, "parentSpanId") == test::twin_hex(s.parent_span_id()));
  REQUIRE(text_at(e, "traceState") == s.trace_state());
  REQUIRE(text_at(e, "name") == s.name());
  REQUIRE(number_at(e, "kind") == s.kind());
  REQUIRE(number_at(e, "flags") == s.flags());
  REQUIRE(text_at(e, "startTimeUnixNano") == fixed64(s.start_time_unix_nano()));
  REQUIRE(text_at(e, "endTimeUnixNano") == fixed64(s.end_time_unix_nano()));
  REQUIRE(number_at(e, "droppedAttributesCount") == s.dropped_attributes_count());
  REQUIRE(number_at(e, "droppedEventsCount") == s.dropped_events_count());
  REQUIRE(number_at(e, "droppedLinksCount") == s.dropped_links_count());
  REQUIRE(number_at(e["status"], "code") == s.status().code());
  REQUIRE(text_at(e["status"], "message") == s.status().message());
  same_attributes(s.attributes(), e);
  const auto events = list_of(e, "events");
  REQUIRE(events.size() == static_cast<std::size_t>(s.events_size()));
  for (std::size_t i = 0; i < events.size(); ++i) {
    REQUIRE(text_at(events[i], "name") == s.events(static_cast<int>(i)).name());
    REQUIRE(text_at(events[i], "timeUnixNano") == fixed64(s.events(static_cast<int>(i)).time_unix_nano()));
    same_attributes(s.events(static_cast<int>(i)).attributes(), events[i]);
  }
  const auto links = list_of(e, "links");
  REQUIRE(links.size() == static_cast<std::size_t>(s.links_size()));
  for (std::size_t i = 0; i < links.size(); ++i) {
    REQUIRE(text_at(links[i], "traceId") == test::twin_hex(s.links(static_cast<int>(i)).trace_id()));
    REQUIRE(number_at(links[i], "flags") == s.links(static_cast<int>(i)).flags());
  }
}

void same(const twin::TracesData& data, const std::string& text) {
  simdjson::dom::parser parser;
  Element root;
  REQUIRE(parser.parse(text).get(root) == simdjson::SUCCESS);
  const auto resources = list_of(root, "resourceSpans");
  REQUIRE(resources.size() == static_cast<std::size_t>(data.resource_spans_size()));
  for (std::size_t r = 0; r < resources.size(); ++r) {
    const auto& rs = data.resource_spans(static_cast<int>(r));
    same_attributes(rs.resource().attributes(), resources[r]["resource"]);
    REQUIRE(text_at(resources[r], "schemaUrl") == rs.schema_url());
    const auto scopes = list_of(resources[r], "scopeSpans");
    REQUIRE(scopes.size() == static_cast<std::size_t>(rs.scope_spans_size()));
    for (std::size_t c = 0; c < scopes.size(); ++c) {
      const auto& ss = rs.scope_spans(static_cast<int>(c));
      REQUIRE(text_at(scopes[c]["scope"], "name") == ss.scope().name());
      const auto spans = list_of(scopes[c], "spans");
      REQUIRE(spans.size() == static_cast<std::size_t>(ss.spans_size()));
      for (std::size_t s = 0; s < spans.size(); ++s) same_span(ss.spans(static_cast<int>(s)), spans[s]);
    }
  }
}

struct RandomMessages {
  std::mt19937_64 engine;
  std::uint64_t below(std::uint64_t n) { return engine() % n; }
  std::string bytes(std::size_t n) {
    std::string s;
    for (std::size_t i = 0; i < n; ++i) s += static_cast<char>(engine());
    return s;
  }
  std::string text() {
    static const char* kTexts[] = {
        "", "a", "GET /\"x\"", "tab\tnew\nline", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\x01\x1f\\"};
    return kTexts[below(6)];
  }
  void value(twin::AnyValue* v, int depth) {
    switch (below(depth > 4 ? 5 : 8)) {
      case 0:
        v->set_string_value(text());
        break;
      case 1:
        v->set_bool_value(below(2) == 0);
        break;
      case 2:
        v->set_int_value(static_cast<std::int64_t>(engine()));
        break;
      case 3:
        v->set_double_value(static_cast<double>(static_cast<std::int64_t>(engine())) / 1000.0);
        break;
      case 4:
        break;
      case 5:
        v->mutable_array_value();
        for (std::uint64_t i = below(3); i > 0; --i) value(v->mutable_array_value()->add_values(), depth + 1);
        break;
      case 6:
        v->mutable_kvlist_value();
        for (std::uint64_t i = below(3); i > 0; --i) attribute(v->mutable_kvlist_value()->add_values(), depth + 1);
        break;
      case 7:
        v->set_bytes_value(bytes(1 + below(5)));
        break;
    }
  }
  void attribute(twin::KeyValue* kv, int depth) {
    kv->set_key(text());
    if (below(5) != 0) value(kv->mutable_value(), depth);
  }
  void span(twin::Span* s) {
    s->set_trace_id(bytes(16));
    s->set_span_id(bytes(8));
    if (below(2) == 0) s->set_parent_span_id(bytes(8));
    s->set_trace_state(text());
    s->set_name(text());
    s->set_kind(static_cast<int>(below(6)));
    s->set_start_time_unix_nano(below(3) == 0 ? 0 : engine());
    s->set_end_time_unix_nano(engine());
    s->set_flags(static_cast<std::uint32_t>(below(3) == 0 ? 0 : engine()));
    s->set_dropped_attributes_count(static_cast<std::uint32_t>(below(2) * 4294967295u));
    for (std::uint64_t i = below(4); i > 0; --i) attribute(s->add_attributes(), 0);
    for (std::uint64_t i = below(3); i > 0; --i) {
      auto* e = s->add_events();
      e->set_name(text());
      e->set_time_unix_nano(engine());
      attribute(e->add_attributes(), 0);
    }
    for (std::uint64_t i = below(2); i > 0; --i) {
      s->add_links()->set_trace_id(bytes(16));
      s->mutable_links(0)->set_flags(static_cast<std::uint32_t>(engine()));
    }
    if (below(2) == 0) {
      s->mutable_status()->set_code(static_cast<int>(below(3)));
      s->mutable_status()->set_message(text());
    }
  }
};

}  // namespace

TEST_CASE("a span is written as the Collector writes it", "[wire]") {
  twin::TracesData data;
  auto* rs = data.add_resource_spans();
  auto* kv = rs->mutable_resource()->add_attributes();
  kv->set_key("service.name");
  kv->mutable_value()->set_string_value("shop");
  auto* ss = rs->add_scope_spans();
  auto* s = ss->add_spans();
  s->set_trace_id(std::string("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xff", 16));
  s->set_span_id(std::string("\x11\x22\x33\x44\x55\x66\x77\x88", 8));
  s->set_name("GET");
  s->set_kind(2);
  s->set_start_time_unix_nano(1544712660000000000u);
  s->set_end_time_unix_nano(1544712661000000000u);
  s->mutable_status()->set_code(2);
  CHECK(
      json(data) ==
      R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},)"
      R"("scopeSpans":[{"scope":{},"spans":[{"traceId":"0102030405060708090a0b0c0d0e0fff","spanId":"1122334455667788",)"
      R"("parentSpanId":"","name":"GET","kind":2,"startTimeUnixNano":"1544712660000000000",)"
      R"("endTimeUnixNano":"1544712661000000000","status":{"code":2}}]}]}]})");
  CHECK(json(twin::TracesData()) == R"({"resourceSpans":[]})");
}

TEST_CASE("values follow the JSON mapping", "[wire]") {
  twin::AnyValue v;
  CHECK(value_json(v) == "{}");
  v.set_int_value(-9223372036854775807 - 1);
  CHECK(value_json(v) == R"({"intValue":"-9223372036854775808"})");
  v.set_int_value(0);
  CHECK(value_json(v) == R"({"intValue":"0"})");
  v.set_bool_value(false);
  CHECK(value_json(v) == R"({"boolValue":false})");
  v.set_string_value("");
  CHECK(value_json(v) == R"({"stringValue":""})");
  v.set_double_value(0.1);
  CHECK(value_json(v) == R"({"doubleValue":0.1})");
  v.set_double_value(1e300);
  CHECK(value_json(v) == R"({"doubleValue":1e+300})");
  v.set_double_value(std::numeric_limits<double>::quiet_NaN());
  CHECK(value_json(v) == R"({"doubleValue":"NaN"})");
  v.set_double_value(-std::numeric_limits<double>::infinity());
  CHECK(value_json(v) == R"({"doubleValue":"-Infinity"})");
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe\xfd\xfc", "//79/A=="}}) {
    v.set_bytes_value(bytes);
    CHECK(value_json(v) == "{\"bytesValue\":\"" + text + "\"}");
  }
}

TEST_CASE("text that is no UTF-8 becomes U+FFFD byte by byte, the rest stays", "[wire]") {
  const auto written = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  };
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(written("a\xff\x62") == "\"a" + bad + "b\"");
  CHECK(written("\xC3\xA4") == "\"\xC3\xA4\"");
  CHECK(written("\xC3") == "\"" + bad + "\"");
  CHECK(written("\xC0\xAF") == "\"" + bad + bad + "\"");            // overlong
  CHECK(written("\xED\xA0\x80") == "\"" + bad + bad + bad + "\"");  // surrogate
  CHECK(written("\xF4\x90\x80\x80") == "\"" + bad + bad + bad + bad + "\"");
  CHECK(written("\xF0\x9F\x98\x80") == "\"\xF0\x9F\x98\x80\"");
  CHECK(written(std::string_view("\0\n\r\t\"\\\x1f\x7f", 8)) == "\"\\u0000\\n\\r\\t\\\"\\\\\\u001f\x7f\"");
}

TEST_CASE("any protobuf form of a message is written the same", "[wire]") {
  // Span name twice (the last wins), status in two pieces (merged), fields backwards, an unknown field and a group.
  const std::string span = std::string("\x7a\x02\x18\x02", 4) +
                           "\x2a\x01"
                           "a" +
                           std::string("\x7a\x03\x12\x01m", 5) +
                           "\x2a\x01"
                           "b" +
                           std::string("\xfa\x3f\x01x", 4) + std::string("\xa3\x06\xa4\x06", 4);
  std::string scope_spans = "\x12" + std::string(1, static_cast<char>(span.size())) + span;
  std::string resource_spans = "\x12" + std::string(1, static_cast<char>(scope_spans.size())) + scope_spans;
  const std::string data = "\x0a" + std::string(1, static_cast<char>(resource_spans.size())) + resource_spans;
  CHECK(json(data) ==
        R"({"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"traceId":"","spanId":"",)"
        R"("parentSpanId":"","name":"b","status":{"message":"m","code":2}}]}]}]})");
}

TEST_CASE("deep values end in null and do not overflow the stack", "[wire]") {
  twin::AnyValue shallow;
  shallow.mutable_array_value()->add_values()->set_int_value(7);
  CHECK(value_json(shallow) == R"({"arrayValue":{"values":[{"intValue":"7"}]}})");
  twin::AnyValue nested;
  twin::AnyValue* at = &nested;
  for (int i = 0; i < 80; ++i) at = at->mutable_array_value()->add_values();
  const std::string text = value_json(nested);
  CHECK(text.find("[null]") != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '[') == 64);

  // 5,000 levels, more than the generated parser would take.
  const auto wrap = [](char tag, const std::string& inner) {
    std::string out(1, tag);
    for (std::size_t n = inner.size();; n >>= 7) {
      out += static_cast<char>(n < 0x80 ? n : (n & 0x7f) | 0x80);
      if (n < 0x80) break;
    }
    return out + inner;
  };
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep = wrap('\x2a', wrap('\x0a', deep));
  const std::string data = wrap('\x0a', wrap('\x0a', wrap('\x0a', wrap('\x12', deep))));
  CHECK(json(data).find("[null]") != std::string::npos);
}

TEST_CASE("malformed bytes still give valid JSON", "[wire]") {
  RandomMessages random{std::mt19937_64(7)};
  simdjson::dom::parser parser;
  for (int i = 0; i < 3000; ++i) {
    twin::TracesData data;
    random.span(data.add_resource_spans()->add_scope_spans()->add_spans());
    std::string bytes = data.SerializeAsString();
    for (std::uint64_t k = 1 + random.below(4); k > 0; --k)
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    if (random.below(3) == 0) bytes.resize(random.below(bytes.size()));
    std::string out;
    append_otlp_json(out, bytes);
    REQUIRE(parser.parse(out).error() == simdjson::SUCCESS);
  }
}

TEST_CASE("what is written reads back as what the generated parser sees", "[wire]") {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    RandomMessages random{std::mt19937_64(seed)};
    twin::TracesData data;
    for (std::uint64_t r = random.below(3); r > 0; --r) {
      auto* rs = data.add_resource_spans();
      rs->set_schema_url(random.text());
      random.attribute(rs->mutable_resource()->add_attributes(), 0);
      for (std::uint64_t c = random.below(3); c > 0; --c) {
        auto* ss = rs->add_scope_spans();
        ss->mutable_scope()->set_name(random.text());
        for (std::uint64_t s = random.below(4); s > 0; --s) random.span(ss->add_spans());
      }
    }
    same(data, json(data));
  }
}
