// SPDX-License-Identifier: Apache-2.0
// Jaeger to OTLP: the mapping table row by row, then generated batches against the slow twin, in all three forms.
#include <catch2/catch.hpp>

#include "support/foreign_cases.h"
#include "support/foreign_twin.h"
#include "support/thrift_writer.h"
#include "wire/jaeger/proto.h"
#include "wire/jaeger/thrift.h"
#include "wire/times.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

namespace jaeger = twin::jaeger;

std::vector<FlatSpan> from_proto(const jaeger::Batch& batch) {
  jaeger::PostSpansRequest request;
  *request.mutable_batch() = batch;
  ByteSink out;
  const auto converted = jaeger_proto_to_otlp(request.SerializeAsString(), out);
  INFO((converted ? "" : converted.error().text));
  REQUIRE(converted);
  return flatten(parsed(out));
}

template <class Writer>
std::vector<FlatSpan> from_thrift(const ForeignCases::Jaeger& c, const ThriftExtras& extras, bool message) {
  constexpr auto kProtocol = std::is_same_v<Writer, BinaryWriter> ? ThriftProtocol::kBinary : ThriftProtocol::kCompact;
  ByteSink out;
  const std::string bytes =
      message ? thrift_message<Writer>(c.batch, c.parents, extras) : thrift_batch<Writer>(c.batch, c.parents, extras);
  const auto converted =
      message ? jaeger_message_to_otlp(bytes, kProtocol, out) : jaeger_batch_to_otlp(bytes, kProtocol, out);
  INFO((converted ? "" : converted.error().text));
  REQUIRE(converted);
  CHECK(converted->service_name == c.batch.process().service_name());
  CHECK(converted->seq_no == (extras.seq_no != 0 ? std::optional(extras.seq_no) : std::nullopt));
  CHECK(converted->lost.has_value() == extras.stats);
  if (converted->lost) CHECK(converted->lost->failed_to_emit == 3);
  return flatten(parsed(out));
}

// A batch of one span, to be filled in.
struct One {
  jaeger::Batch batch;
  jaeger::Span& span = *batch.add_spans();
  One() {
    batch.mutable_process()->set_service_name("shop");
    span.set_trace_id(std::string(16, 'T'));
    span.set_span_id("span-001");
    span.set_operation_name("op");
  }
  One& tag(const std::string& key, const std::string& text) {
    auto* t = span.add_tags();
    t->set_key(key);
    t->set_v_str(text);
    return *this;
  }
  One& flag(const std::string& key, bool value) {
    auto* t = span.add_tags();
    t->set_key(key);
    t->set_v_type(1);
    t->set_v_bool(value);
    return *this;
  }
  One& number(const std::string& key, std::int64_t value) {
    auto* t = span.add_tags();
    t->set_key(key);
    t->set_v_type(2);
    t->set_v_int64(value);
    return *this;
  }
  One& ref(int type, const std::string& id, const std::string& trace = std::string(16, 'T')) {
    auto* r = span.add_references();
    r->set_ref_type(type);
    r->set_trace_id(trace);
    r->set_span_id(id);
    return *this;
  }
  // The same from every form.
  FlatSpan out() const {
    const auto flat = from_proto(batch);
    REQUIRE(flat.size() == 1);
    if (span.trace_id().size() == 16) {
      CHECK(flat[0].text() == from_thrift<BinaryWriter>({batch, {}}, {}, false).at(0).text());
      CHECK(flat[0].text() == from_thrift<CompactWriter>({batch, {}}, {}, true).at(0).text());
    }
    return flat[0];
  }
  int code() const { return out().span.status().code(); }
};

std::string key_of(const FlatSpan& flat, int i) { return flat.span.attributes(i).key(); }

}  // namespace

TEST_CASE("Jaeger: the process becomes the resource", "[wire]") {
  One one;
  auto* tag = one.batch.mutable_process()->add_tags();
  tag->set_key("hostname");
  tag->set_v_str("h1");
  tag = one.batch.mutable_process()->add_tags();
  tag->set_key("jaeger.version");
  tag->set_v_str("Go-2.30");
  FlatSpan flat = one.out();
  CHECK(flat.resource.size() == 3);
  CHECK(flat.resource["service.name"].string_value() == "shop");
  CHECK(flat.resource["host.name"].string_value() == "h1");
  CHECK(flat.resource["opencensus.exporterversion"].string_value() == "Jaeger-Go-2.30");
  one.batch.mutable_process()->set_service_name("OTLPResourceNoServiceName");
  CHECK(one.out().resource.size() == 2);
}

TEST_CASE("Jaeger: an id of 8 bytes is the low half", "[wire]") {
  One one;
  one.span.set_trace_id("12345678");
  CHECK(one.out().span.trace_id() == std::string(8, '\0') + "12345678");
}

TEST_CASE("Jaeger: the parent is parentSpanId, else the first CHILD_OF of the trace, else the first FOLLOWS_FROM",
          "[wire]") {
  const std::string other(16, 'U');
  CHECK(One().out().span.parent_span_id().empty());
  CHECK(One()
            .ref(1, "follows1")
            .ref(0, "other001", other)
            .ref(0, "child001")
            .ref(0, "child002")
            .out()
            .span.parent_span_id() == "child001");
  const FlatSpan follows = One().ref(1, "follows1").out();
  CHECK(follows.span.parent_span_id() == "follows1");
  REQUIRE(follows.span.links_size() == 1);  // it stays a link: that it follows is worth knowing
  One one;
  one.ref(0, "child001");
  const auto flat = from_thrift<CompactWriter>({one.batch, {7}}, {}, true);
  CHECK(flat[0].span.parent_span_id() == std::string(7, '\0') + '\7');
  CHECK(flat[0].span.links_size() == 1);
}

TEST_CASE("Jaeger: references other than the parent's become links", "[wire]") {
  const FlatSpan flat = One().ref(0, "parent01").ref(0, "child002").ref(1, "follows1", std::string(16, 'U')).out();
  REQUIRE(flat.span.links_size() == 2);
  CHECK(flat.span.links(0).span_id() == "child002");
  CHECK(flat.span.links(0).attributes(0).key() == "opentracing.ref_type");
  CHECK(flat.span.links(0).attributes(0).value().string_value() == "child_of");
  CHECK(flat.span.links(1).trace_id() == std::string(16, 'U'));
  CHECK(flat.span.links(1).attributes(0).value().string_value() == "follows_from");
}

TEST_CASE("Jaeger: span.kind becomes the kind, a word OTLP does not know stays a tag", "[wire]") {
  for (const auto& [word, kind] :
       std::map<std::string, int>{{"internal", 1}, {"server", 2}, {"client", 3}, {"producer", 4}, {"consumer", 5}}) {
    const FlatSpan flat = One().tag("span.kind", word).out();
    CHECK(flat.span.kind() == kind);
    CHECK(flat.span.attributes_size() == 0);
  }
  CHECK(One().tag("span.kind", "sideways").out().span.attributes_size() == 1);
}

TEST_CASE("Jaeger: what makes a status", "[wire]") {
  CHECK(One().code() == 0);
  CHECK(One().flag("error", true).code() == 2);
  CHECK(One().flag("error", true).out().span.attributes_size() == 0);
  CHECK(One().tag("error", "true").code() == 2);  // old clients have no bools
  CHECK(One().tag("error", "TRUE").out().span.attributes_size() == 0);
  CHECK(One().flag("error", false).code() == 0);
  CHECK(key_of(One().tag("error", "no").out(), 0) == "error");
  CHECK(One().flag("error", true).tag("otel.status_code", "OK").code() == 2);
  CHECK(One()
            .flag("error", true)
            .tag("otel.status_description", "why")
            .tag("http.status_message", "no")
            .out()
            .span.status()
            .message() == "why");
  CHECK(One().flag("error", true).tag("http.status_message", "gone").out().span.status().message() == "gone");
  CHECK(One().tag("otel.status_code", "ERROR").tag("otel.status_description", "d").out().span.status().message() ==
        "d");
  CHECK(One().tag("otel.status_code", "ok").code() == 1);
  CHECK(One().tag("otel.status_code", "OK").number("http.status_code", 500).code() == 1);
  CHECK(One().number("http.status_code", 500).code() == 2);
  CHECK(One().tag("http.status_code", "503").code() == 2);
  CHECK(One().tag("http.status_code", "503 no").code() == 0);
  CHECK(One().number("http.status_code", 404).tag("span.kind", "server").code() == 0);
  CHECK(One().number("http.status_code", 404).tag("span.kind", "client").code() == 2);
  CHECK(One().number("http.status_code", 399).code() == 0);
  CHECK(One().number("http.status_code", 500).out().span.attributes_size() == 1);
  CHECK(One().flag("error", false).flag("error", true).code() == 2);  // the last of several tags counts
}

TEST_CASE("Jaeger: w3c.tracestate and the scope's tags", "[wire]") {
  const FlatSpan flat = One()
                            .tag("w3c.tracestate", "ot=th:8")
                            .tag("otel.scope.name", "lib")
                            .tag("otel.scope.version", "1")
                            .tag("otel.library.name", "lib")
                            .tag("otel.library.version", "1")
                            .out();
  CHECK(flat.span.trace_state() == "ot=th:8");
  CHECK(flat.scope_name == "lib");
  CHECK(flat.scope_version == "1");
  CHECK(flat.span.attributes_size() == 0);
  CHECK(One().tag("otel.library.name", "old").out().scope_name == "old");
  CHECK(One().tag("otel.scope.version", "1").out().span.attributes_size() == 1);  // a version of nothing
}

TEST_CASE("Jaeger: times, and what does not fit", "[wire]") {
  One one;
  one.span.mutable_start_time()->set_seconds(2);
  one.span.mutable_duration()->set_nanos(3000);
  CHECK(one.out().span.start_time_unix_nano() == 2'000'000'000);
  CHECK(one.out().span.end_time_unix_nano() == 2'000'003'000);
  one.span.mutable_duration()->set_seconds(-5);
  CHECK(from_proto(one.batch)[0].span.end_time_unix_nano() == 2'000'000'000);
  one.span.mutable_start_time()->set_seconds(INT64_MAX);
  CHECK(from_proto(one.batch)[0].span.start_time_unix_nano() == UINT64_MAX);
  CHECK(us_to_ns(std::int64_t{-1}) == 0);
  CHECK(us_to_ns(INT64_MAX) == UINT64_MAX);
  CHECK(add_ns(UINT64_MAX, 1) == UINT64_MAX);
  CHECK(seconds_to_ns(-1, 1'500'000'000) == 500'000'000);
  CHECK(seconds_to_ns(1, -1) == 999'999'999);
  CHECK(seconds_to_ns(0, -1) == 0);
}

TEST_CASE("Jaeger: logs become events, the field `event` their name", "[wire]") {
  One one;
  auto* log = one.span.add_logs();
  log->mutable_timestamp()->set_seconds(1);
  auto* field = log->add_fields();
  field->set_key("event");
  field->set_v_str("retry");
  field = log->add_fields();
  field->set_key("message");
  field->set_v_str("m");
  const FlatSpan flat = one.out();
  REQUIRE(flat.span.events_size() == 1);
  CHECK(flat.span.events(0).name() == "retry");
  CHECK(flat.span.events(0).time_unix_nano() == 1'000'000'000);
  CHECK(flat.span.events(0).attributes(0).key() == "message");
}

TEST_CASE("Jaeger: SAMPLED goes to the flags, DEBUG is marked", "[wire]") {
  One one;
  for (const std::uint32_t flags : {0U, 1U, 2U, 3U, 8U}) {
    one.span.set_flags(flags);
    CHECK(one.out().span.flags() == (flags & 1));
    CHECK(one.out().span.keep_mark() == (flags >> 1 & 1));
  }
}

TEST_CASE("Jaeger: text that is not UTF-8 is repaired and counted", "[wire]") {
  One one;
  one.tag("k\xFF", "v\xC0\x80");
  one.span.set_operation_name("op\xED\xA0\x80");
  const FlatSpan flat = one.out();
  CHECK(flat.span.name() == "op\uFFFD\uFFFD\uFFFD");
  CHECK(flat.span.attributes(0).key() == "k\uFFFD");
  CHECK(flat.span.attributes(0).value().string_value() == "v\uFFFD\uFFFD");

  jaeger::PostSpansRequest request;
  *request.mutable_batch()->add_spans() = one.span;
  ByteSink sink;
  REQUIRE(jaeger_proto_to_otlp(request.SerializeAsString(), sink));
  CHECK(sink.repaired_texts() == 3);
  sink.clear();
  CHECK(sink.repaired_texts() == 0);
}

TEST_CASE("Jaeger: a span's own process goes before the batch's, whose bytes are written once", "[wire]") {
  jaeger::Batch batch;
  batch.mutable_process()->set_service_name(std::string(1000, 'b'));
  for (int i = 0; i < 100; ++i) {
    auto* span = batch.add_spans();
    span->set_trace_id(std::string(16, 'T'));
    span->set_span_id("span-001");
    if (i % 2 == 1) span->mutable_process()->set_service_name("own");
  }
  jaeger::PostSpansRequest request;
  *request.mutable_batch() = batch;
  ByteSink out;
  REQUIRE(jaeger_proto_to_otlp(request.SerializeAsString(), out));
  CHECK(out.size() < 8000);
  CHECK(sorted_texts(flatten(parsed(out))) == sorted_texts(expected_of(batch, {})));
}

TEST_CASE("generated Jaeger batches equal the slow twin, field by field, in all forms", "[wire]") {
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    ForeignCases cases(seed);
    const ForeignCases::Jaeger p = cases.jaeger(false);
    INFO("seed " << seed);
    REQUIRE(sorted_texts(from_proto(p.batch)) == sorted_texts(expected_of(p.batch, {})));
    const ForeignCases::Jaeger t = cases.jaeger(true);
    const auto want = sorted_texts(expected_of(t.batch, t.parents));
    const ThriftExtras extras{static_cast<std::int64_t>(seed % 3), seed % 2 == 0, seed % 5 == 0};
    REQUIRE(sorted_texts(from_thrift<BinaryWriter>(t, extras, seed % 7 == 0)) == want);
    REQUIRE(sorted_texts(from_thrift<CompactWriter>(t, extras, seed % 7 != 0)) == want);
  }
}

TEST_CASE("Jaeger: malformed protobuf is refused with its place, cut off at every byte", "[wire]") {
  ForeignCases cases(3);
  jaeger::PostSpansRequest request;
  while (request.batch().spans_size() < 2) *request.mutable_batch() = cases.jaeger(false).batch;
  const std::string bytes = request.SerializeAsString();
  for (std::size_t n = 1; n < bytes.size(); ++n) {
    ByteSink out;
    const auto converted = jaeger_proto_to_otlp(ByteView(bytes).substr(0, n), out);
    REQUIRE_FALSE(converted);
    REQUIRE(converted.error().kind == ErrorKind::kBadInput);
  }
  ByteSink out;
  CHECK(jaeger_proto_to_otlp("", out));
  CHECK(out.view().empty());
  const auto bad = jaeger_proto_to_otlp("\x0A\x04\x0A\x02\x42\x7F", out);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().text == "batch.spans[0] is malformed, before byte 6");
}
