// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON against the generated twin: a message written as JSON by the writer below must come back as the same
// message.
#include "wire/otlp/json_read.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "otlp_twin.pb.h"
#include "support/limited_room.h"
#include "support/twin_text.h"

using namespace tailgate;
using test::LimitedRoom;
using test::twin_hex;
using test::twin_quoted;

namespace {

// --- a simple writer, independent of the reader's table
std::string quoted_hex(const std::string& bytes, bool upper = false) { return '"' + twin_hex(bytes, upper) + '"'; }
std::string base64(const std::string& s) {
  static const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < s.size(); i += 3) {
    std::uint32_t v = 0;
    for (std::size_t k = 0; k < 3; ++k) v = v << 8 | (i + k < s.size() ? static_cast<unsigned char>(s[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += i + k > s.size() ? '=' : digits[v >> (18 - 6 * k) & 63];
  }
  return "\"" + out + "\"";
}
template <class List, class Write>
std::string list(const List& items, Write write) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? "," : "") + write(item);
  return out + "]";
}
std::string value(const twin::AnyValue& v);
std::string pair(const twin::KeyValue& kv) {
  return "{\"key\":" + twin_quoted(kv.key()) + (kv.has_value() ? ",\"value\":" + value(kv.value()) : "") + "}";
}
std::string value(const twin::AnyValue& v) {
  switch (v.value_case()) {
    case twin::AnyValue::kStringValue:
      return "{\"stringValue\":" + twin_quoted(v.string_value()) + "}";
    case twin::AnyValue::kBoolValue:
      return fmt::format("{{\"boolValue\":{}}}", v.bool_value());
    case twin::AnyValue::kIntValue: {
      const std::string n = std::to_string(v.int_value());
      return "{\"intValue\":" + (v.int_value() % 2 != 0 ? "\"" + n + "\"" : n) + "}";
    }
    case twin::AnyValue::kDoubleValue:
      if (std::isnan(v.double_value())) return R"({"doubleValue":"NaN"})";
      if (std::isinf(v.double_value()))
        return v.double_value() > 0 ? R"({"doubleValue":"Infinity"})" : R"({"doubleValue":"-Infinity"})";
      return fmt::format("{{\"doubleValue\":{}}}", v.double_value());
    case twin::AnyValue::kArrayValue:
      return "{\"arrayValue\":{\"values\":" + list(v.array_value().values(), value) + "}}";
    case twin::AnyValue::kKvlistValue:
      return "{\"kvlistValue\":{\"values\":" + list(v.kvlist_value().values(), pair) + "}}";
    case twin::AnyValue::kBytesValue:
      return "{\"bytesValue\":" + base64(v.bytes_value()) + "}";
    case twin::AnyValue::VALUE_NOT_SET:
      return "{}";
  }
  return "";
}
std::string span(const twin::Span& s) {
  std::string out = fmt::format(
      R"({{"unknown":[1,{{"a":[null,"x"]}}],"traceId":{},"spanId":{},"parentSpanId":{},"name":{},"kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":{},"traceState":{})",
      quoted_hex(s.trace_id()), quoted_hex(s.span_id(), true), quoted_hex(s.parent_span_id()), twin_quoted(s.name()),
      s.kind(), s.start_time_unix_nano(), s.end_time_unix_nano(), twin_quoted(s.trace_state()));
  out += fmt::format(R"(,"flags":{},"droppedAttributesCount":{},"droppedEventsCount":"{}","droppedLinksCount":{}.0)",
                     s.flags(), s.dropped_attributes_count(), s.dropped_events_count(), s.dropped_links_count());
  out += ",\"attributes\":" + list(s.attributes(), pair);
  out += ",\"events\":" + list(s.events(), [](const twin::Span::Event& e) {
           return fmt::format(R"({{"timeUnixNano":{},"name":{},"attributes":{},"droppedAttributesCount":{}}})",
                              e.time_unix_nano(), twin_quoted(e.name()), list(e.attributes(), pair),
                              e.dropped_attributes_count());
         });
  out += ",\"links\":" + list(s.links(), [](const twin::Span::Link& l) {
           return fmt::format(R"({{"traceId":{},"spanId":{},"flags":{},"attributes":{}}})", quoted_hex(l.trace_id()),
                              quoted_hex(l.span_id()), l.flags(), list(l.attributes(), pair));
         });
  if (s.has_status())
    out += fmt::format(R"(,"status":{{"code":{},"message":{}}})", s.status().code(), twin_quoted(s.status().message()));
  return out + "}";
}
std::string document(const twin::TracesData& d) {
  return " {\"resourceSpans\" : " +
         list(d.resource_spans(),
              [](const twin::ResourceSpans& r) {
                return "{\"resource\":{\"attributes\":" + list(r.resource().attributes(), pair) + "},\"scopeSpans\":" +
                       list(r.scope_spans(),
                            [](const twin::ScopeSpans& s) {
                              return fmt::format(R"({{"scope":{{"name":{},"version":{}}},"spans":{},"schemaUrl":{}}})",
                                                 twin_quoted(s.scope().name()), twin_quoted(s.scope().version()),
                                                 list(s.spans(), span), twin_quoted(s.schema_url()));
                            }) +
                       ",\"schemaUrl\":" + twin_quoted(r.schema_url()) + "}";
              }) +
         "}\n";
}

// --- random messages
struct Maker {
  std::mt19937 random{7};
  std::uint64_t below(std::uint64_t n) { return random() % n; }
  std::string text() {
    std::string out;
    for (std::uint64_t n = below(below(10) == 0 ? 400 : 12); n > 0; --n)
      out += "ab\"\\\n\xC3\xA9z/ "[below(10) == 5 ? 0 : below(4)];
    return out + (below(4) == 0 ? "\xC3\xA9\xE2\x82\xAC" : "");
  }
  std::string bytes(std::size_t n) {
    std::string out;
    while (out.size() < n) out.push_back(static_cast<char>(random()));
    return out;
  }
  void fill(twin::AnyValue& v, int depth) {
    switch (below(depth > 4 ? 6 : 8)) {
      case 0:
        v.set_string_value(text());
        break;
      case 1:
        v.set_bool_value(below(2) == 0);
        break;
      case 2:
        v.set_int_value(static_cast<std::int64_t>(random()) << below(33));
        break;
      case 3:
        v.set_int_value(-static_cast<std::int64_t>(below(1000)));
        break;
      case 4:
        v.set_double_value(below(9) == 0
                               ? INFINITY
                               : std::ldexp(static_cast<double>(random()) - 2e9, static_cast<int>(below(200)) - 100));
        break;
      case 5:
        v.set_bytes_value(bytes(below(9)));
        break;
      case 6:
        v.mutable_array_value();
        for (auto n = below(4); n > 0; --n) fill(*v.mutable_array_value()->add_values(), depth + 1);
        break;
      default:
        v.mutable_kvlist_value();
        for (auto n = below(4); n > 0; --n) fill(*v.mutable_kvlist_value()->add_values(), depth + 1);
    }
  }
  void fill(twin::KeyValue& kv, int depth = 0) {
    kv.set_key(text());
    if (below(9) != 0) fill(*kv.mutable_value(), depth);
  }
  twin::TracesData make() {
    twin::TracesData d;
    for (auto r = below(3); r > 0; --r) {
      auto& rs = *d.add_resource_spans();
      rs.mutable_resource();
      rs.set_schema_url(text());
      for (auto n = below(3); n > 0; --n) fill(*rs.mutable_resource()->add_attributes());
      for (auto n = below(3); n > 0; --n) {
        auto& ss = *rs.add_scope_spans();
        ss.mutable_scope()->set_name(text());
        ss.mutable_scope()->set_version(text());
        for (auto k = below(4); k > 0; --k) fill_span(*ss.add_spans());
      }
    }
    return d;
  }
  void fill_span(twin::Span& s) {
    s.set_trace_id(bytes(16));
    s.set_span_id(bytes(8));
    s.set_parent_span_id(bytes(below(2) * 8));
    s.set_name(text());
    s.set_trace_state(text());
    s.set_kind(static_cast<int>(below(6)));
    s.set_start_time_unix_nano(1'700'000'000'000'000'000ULL + random());
    s.set_end_time_unix_nano(below(3) == 0 ? UINT64_MAX : random());
    s.set_flags(static_cast<std::uint32_t>(random()));
    s.set_dropped_attributes_count(static_cast<std::uint32_t>(below(3)));
    s.set_dropped_events_count(static_cast<std::uint32_t>(below(3)));
    s.set_dropped_links_count(static_cast<std::uint32_t>(below(3)));
    for (auto n = below(5); n > 0; --n) fill(*s.add_attributes());
    for (auto n = below(2); n > 0; --n) {
      auto& e = *s.add_events();
      e.set_time_unix_nano(random());
      e.set_name(text());
      fill(*e.add_attributes());
    }
    for (auto n = below(2); n > 0; --n) {
      auto& l = *s.add_links();
      l.set_trace_id(bytes(16));
      l.set_span_id(bytes(8));
      l.set_flags(static_cast<std::uint32_t>(random()));
    }
    if (below(2) == 0) s.mutable_status()->set_code(static_cast<int>(below(3)));
  }
};

std::string error_of(std::string_view json) {
  const auto r = otlp_json_to_proto(json);
  return r ? "no error" : r.error().text;
}
std::string in_span(std::string_view fields) {
  return fmt::format(R"({{"resourceSpans":[{{"scopeSpans":[{{}},{{"spans":[{{{}}}]}}]}}]}})", fields);
}
std::string in_value(std::string_view v) {
  return in_span(fmt::format(R"("attributes":[{{"key":"k","value":{}}}])", v));
}
twin::AnyValue value_of(std::string_view v) {
  const auto bytes = otlp_json_to_proto(in_value(v));
  INFO((bytes ? std::string() : bytes.error().text));
  REQUIRE(bytes);
  twin::TracesData d;
  REQUIRE(d.ParseFromString(bytes->bytes));
  return d.resource_spans(0).scope_spans(1).spans(0).attributes(0).value();
}
std::string nested_json(int depth) {
  std::string out;
  for (int i = 1; i < depth; ++i) out += R"({"arrayValue":{"values":[)";
  out += R"({"boolValue":true})";
  for (int i = 1; i < depth; ++i) out += "]}}";
  return out;
}

}  // namespace

TEST_CASE("random messages come back from JSON as they were", "[wire][json]") {
  Maker maker;
  for (int i = 0; i < 1500; ++i) {
    const twin::TracesData want = maker.make();
    const std::string json = document(want);
    CAPTURE(i, json);
    const auto bytes = otlp_json_to_proto(json);
    INFO((bytes ? std::string() : bytes.error().text));
    REQUIRE(bytes);
    CHECK(bytes->bytes.size() <= json.size());
    twin::TracesData got;
    REQUIRE(got.ParseFromString(bytes->bytes));
    REQUIRE(google::protobuf::util::MessageDifferencer::Equals(got, want));
    CHECK(bytes->bytes.size() == want.ByteSizeLong());  // no longer than the library writes it
  }
}

TEST_CASE("what JSON leaves open is read as OTLP says", "[wire][json]") {
  CHECK(otlp_json_to_proto("{}")->bytes.empty());
  CHECK(otlp_json_to_proto(R"({"resourceSpans":null})")->bytes.empty());
  CHECK(value_of(R"({"intValue":"-9223372036854775808"})").int_value() == INT64_MIN);
  CHECK(value_of(R"({"intValue":1e3})").int_value() == 1000);
  CHECK(value_of(R"({"intValue":0})").has_int_value());
  CHECK(value_of(R"({"stringValue":""})").has_string_value());
  CHECK(value_of(R"({"stringValue":null})").value_case() == twin::AnyValue::VALUE_NOT_SET);
  CHECK(value_of("null").value_case() == twin::AnyValue::VALUE_NOT_SET);
  CHECK(std::isnan(value_of(R"({"doubleValue":"NaN"})").double_value()));
  CHECK(value_of(R"({"doubleValue":"-Infinity"})").double_value() < 0);
  CHECK(value_of(R"({"doubleValue":0.1})").double_value() == 0.1);
  CHECK(value_of(R"({"doubleValue":9007199254740993})").double_value() == 9007199254740992.0);
  CHECK(value_of(R"({"bytesValue":"-_8"})").bytes_value() == "\xFB\xFF");
  CHECK(value_of(R"({"stringValue":"\ud83d\ude00\u0000x"})").string_value() == std::string("\xF0\x9F\x98\x80\0x", 6));
  CHECK(value_of(R"({"arrayValue":{"values":[null,{"intValue":1}]}})").array_value().values_size() == 2);
  CHECK(otlp_json_to_proto(in_value(nested_json(64))));  // deeper than the generated parser reads
}

TEST_CASE("the names of the .proto files are taken beside those of JSON", "[wire][json]") {
  Maker maker;
  for (int i = 0; i < 300; ++i) {
    const twin::TracesData want = maker.make();
    std::string json = document(want);
    // Only the keys differ, and no text of these messages has such a name in quotes.
    for (const char* name : {"resourceSpans",
                             "scopeSpans",
                             "schemaUrl",
                             "traceId",
                             "spanId",
                             "traceState",
                             "parentSpanId",
                             "startTimeUnixNano",
                             "endTimeUnixNano",
                             "timeUnixNano",
                             "droppedAttributesCount",
                             "droppedEventsCount",
                             "droppedLinksCount",
                             "stringValue",
                             "boolValue",
                             "intValue",
                             "doubleValue",
                             "arrayValue",
                             "kvlistValue",
                             "bytesValue"}) {
      std::string snake;
      for (const char c : std::string_view(name)) {
        snake += c >= 'A' && c <= 'Z' ? std::string("_") + static_cast<char>(c - 'A' + 'a') : std::string(1, c);
      }
      const std::string from = fmt::format("\"{}\":", name), to = fmt::format("\"{}\":", snake);
      for (std::size_t at = 0; (at = json.find(from, at)) != std::string::npos; at += to.size()) {
        json.replace(at, from.size(), to);
      }
    }
    CAPTURE(i, json);
    const auto read = otlp_json_to_proto(json);
    REQUIRE(read);
    twin::TracesData got;
    REQUIRE(got.ParseFromString(read->bytes));
    REQUIRE(google::protobuf::util::MessageDifferencer::Equals(got, want));
  }
  CHECK(otlp_json_to_proto(R"({"resource_Spans":[1],"_resource_spans":[1],"resource_spans_":[1]})")->bytes.empty());
}

TEST_CASE("a time keeps all its digits in every form of a number", "[wire][json]") {
  const auto start = [](std::string_view number) {
    const auto read = otlp_json_to_proto(in_span(fmt::format(R"("startTimeUnixNano":{})", number)));
    INFO((read ? std::string() : read.error().text));
    REQUIRE(read);
    twin::TracesData d;
    REQUIRE(d.ParseFromString(read->bytes));
    return d.resource_spans(0).scope_spans(1).spans(0).start_time_unix_nano();
  };
  for (const char* number : {"1700000000000000000", "1.7e18", "1.7E+18", "1700000000000000000.0", "17e17",
                             "170000000000000000000e-2", "1700000000000000000.000e0"}) {
    CHECK(start(number) == 1'700'000'000'000'000'000);
    CHECK(start(fmt::format("\"{}\"", number)) == 1'700'000'000'000'000'000);
  }
  CHECK(start("1700000000123456789.0") == 1'700'000'000'123'456'789);
  CHECK(start("1.700000000123456789e18") == 1'700'000'000'123'456'789);
  CHECK(start("18446744073709551615.0") == UINT64_MAX);
  CHECK(error_of(in_span(R"("startTimeUnixNano":1.5)")).find("expected an unsigned 64-bit integer") !=
        std::string::npos);
}

TEST_CASE("the first field nobody knows is named", "[wire][json]") {
  const auto unknown = [](std::string_view json) { return otlp_json_to_proto(json)->unknown_field; };
  CHECK(unknown(R"({"resourceLogs":[{"scopeLogs":[]}],"x":1})") == "resourceLogs");
  CHECK(unknown(R"({"resourceSpans":[{},{"instrumentationLibrarySpans":[]}]})") ==
        "resourceSpans[1].instrumentationLibrarySpans");
  CHECK(unknown(in_span(R"("name":"a","colour":{"name":1})")) == "resourceSpans[0].scopeSpans[1].spans[0].colour");
  CHECK(unknown(in_span(R"("name":"a")")).empty());
}

TEST_CASE("a text that is not Unicode does not cost the request its spans", "[wire][json]") {
  struct Case {
    std::string json, text;
  };
  for (const Case& c :
       {Case{R"(hi \ud83d)", "hi \uFFFD"}, Case{R"(\ude00 hi)", "\uFFFD hi"},
        Case{R"(\ud83d\ud83d\ude00)", "\uFFFD\xF0\x9F\x98\x80"}, Case{R"(\ud83dx\ude00)", "\uFFFDx\uFFFD"},
        Case{"caf\xE9", "caf\uFFFD"}, Case{"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"}, Case{"a\tb\nc", "a\tb\nc"},
        Case{std::string("a\0b\x01", 4), std::string("a\0b\x01", 4)}, Case{"\xFF\\\"\xFF", "\uFFFD\"\uFFFD"}}) {
    CAPTURE(c.json);
    CHECK(value_of("{\"stringValue\":\"" + c.json + "\"}").string_value() == c.text);
    // Wherever it stands, and how often: the spans around it are there.
    const auto everywhere = otlp_json_to_proto(
        "{\"" + c.json + "\":[{\"x\":\"" + c.json + "\"}],\"resourceSpans\":[{\"schemaUrl\":\"" + c.json +
        "\",\"scopeSpans\":[{\"spans\":[{\"name\":\"one\"},{\"name\":\"" + c.json + "\"},{\"name\":\"three\"}]}]}]}");
    REQUIRE(everywhere);
    CHECK(everywhere->repaired_texts == 4);
    twin::TracesData got;
    REQUIRE(got.ParseFromString(everywhere->bytes));
    REQUIRE(got.resource_spans(0).scope_spans(0).spans_size() == 3);
    CHECK(got.resource_spans(0).scope_spans(0).spans(1).name() == c.text);
  }
  CHECK(value_of(R"({"stringValue":"\ud83d\ude00 \ufffd"})").string_value() == "\xF0\x9F\x98\x80 \uFFFD");
  CHECK(otlp_json_to_proto(R"({"resourceSpans":[]})")->repaired_texts == 0);
}

TEST_CASE("what is not JSON stays an error, repaired texts or not", "[wire][json]") {
  CHECK(error_of("{\"a\":\"\xFF\",}") == "the document: syntax error");
  CHECK(error_of(in_span("\"name\":\"\xFF\",\"kind\":\"SERVER\"")) ==
        "resourceSpans[0].scopeSpans[1].spans[0].kind: expected an integer, got a string 'SERVER'");
  CHECK(error_of(R"({"a":"\x41"})").find("at byte ") == 0);
  CHECK(error_of(R"({"a":"\ud83)").find("at byte ") == 0);
  CHECK(error_of("{\"a\":\"\xFF").find("at byte ") == 0);
}

TEST_CASE("a repair is asked for before it takes memory", "[wire][json]") {
  const std::string json = in_span("\"name\":\"" + std::string(100'000, '\xFF') + "\"");
  LimitedRoom enough(json.size() + 2 * (json.size() + 200'000)), little(json.size() + 300'000);
  CHECK(otlp_json_to_proto(json, &enough)->bytes.size() > 300'000);
  const auto refused = otlp_json_to_proto(json, &little);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kRefused);
}

TEST_CASE("errors name the place", "[wire][json]") {
  CHECK(error_of("") == "at byte 0, the document: incomplete JSON");
  CHECK(error_of("[]") == "the document: expected an object, got an array");
  CHECK(error_of("7") == "the document: expected an object, got a number");
  CHECK(error_of("{} x").find("extra") != std::string::npos);
  CHECK(error_of(in_span(R"("kind":"SERVER")")) ==
        "resourceSpans[0].scopeSpans[1].spans[0].kind: expected an integer, got a string 'SERVER'");
  CHECK(error_of(in_span(R"("traceId":"0g")")).find("spans[0].traceId: expected a string of hex digits") !=
        std::string::npos);
  CHECK(error_of(in_span(R"("traceId":"abc")")).find("hex") != std::string::npos);
  CHECK(error_of(in_span(R"("startTimeUnixNano":-1)")).find("expected an unsigned 64-bit integer") !=
        std::string::npos);
  CHECK(error_of(in_span(R"("startTimeUnixNano":"18446744073709551616")")).find("unsigned") != std::string::npos);
  CHECK(error_of(in_span(R"("flags":4294967296)")).find("4294967295") != std::string::npos);
  CHECK(error_of(in_span(R"("attributes":{})")).find("attributes: expected an array, got an object") !=
        std::string::npos);
  CHECK(error_of(in_span(R"("attributes":[[]])")).find("attributes[0]: expected an object, got an array") !=
        std::string::npos);
  CHECK(error_of(in_span(R"("name":7)")).find("name: expected a string, got a number '7'") != std::string::npos);
  CHECK(error_of(in_span(R"("name":"a)")).find("at byte") == 0);
  CHECK(error_of(in_value(R"({"bytesValue":"a"})")).find("base64") != std::string::npos);
  CHECK(error_of(in_value(R"({"boolValue":1})")).find("true or false") != std::string::npos);
  CHECK(error_of(in_value(R"({"doubleValue":"inf"})")).find("expected a number") != std::string::npos);
  CHECK(error_of(in_value(nested_json(65))).find("65 values inside each other") != std::string::npos);
  CHECK(error_of(std::string(100'000, '[')) != "no error");
  CHECK(error_of(R"({"x":)" + std::string(100'000, '[')).find("too deep") != std::string::npos);
}
