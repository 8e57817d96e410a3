// SPDX-License-Identifier: Apache-2.0
#include "wire/tempo/proto.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

#include "codec/hex.h"
#include "support/query_fixture.h"
#include "support/random_otlp.h"
#include "support/tempo_twin.h"
#include "wire/otlp/json_read.h"
#include "wire/otlp/json_write.h"
#include "wire/tempo/json.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

std::string completed(const std::string& hex) {
  std::string out, text;
  append_tempo_proto(out, bytes_of_hex(hex));
  append_hex(text, out);
  return text;
}

}  // namespace

TEST_CASE("empty messages are added where Grafana wants a resource, a scope and a status", "[wire]") {
  CHECK(completed("").empty());
  CHECK(completed("0a00") == "0a020a00");                                      // ResourceSpans without a resource
  CHECK(completed("0a020a00") == "0a020a00");                                  // with an empty one
  CHECK(completed("0a021200") == "0a0612020a000a00");                          // ScopeSpans without a scope
  CHECK(completed("0a0412021200") == "0a0a120612027a000a000a00");              // a span without a status
  CHECK(completed("0a07120512032a0161") == "0a0d120912052a01617a000a000a00");  // after its other fields
}

TEST_CASE("what the bytes have besides keeps its place", "[wire]") {
  // A schema URL, an unknown field and a group in a ResourceSpans; a resource in two pieces.
  CHECK(completed("0a091a01730b10010c5001") == "0a0b1a01730b10010c50010a00");
  CHECK(completed("0a040a000a00") == "0a040a000a00");
  CHECK(completed("5000") == "5000");
  // A number where the scope is expected is an unknown field.
  CHECK(completed("0a0412020801") == "0a08120408010a000a00");
}

TEST_CASE("a malformed message stays as it is, the others are completed", "[wire]") {
  CHECK(completed("0a01120a00") == "0a01120a020a00");
  CHECK(completed("0a0312020a0a00") == "0a0312020a0a020a00");
  CHECK(completed("0a000a") == "0a000a");
}

TEST_CASE("the result is what protobuf makes of it", "[wire]") {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const std::string otlp = RandomOtlp(seed).request();
    const auto wanted = tempo_twin(otlp);
    REQUIRE(wanted);
    std::string out;
    append_tempo_proto(out, otlp);
    twin::TracesData have;
    REQUIRE(have.ParseFromString(out));
    INFO("seed " << seed);
    CHECK(same_message(have, *wanted));
    std::string again;
    append_tempo_proto(again, out);
    CHECK(again == out);
  }
}

TEST_CASE("Tempo's JSON of a trace", "[wire]") {
  std::string out;
  CHECK(append_tempo_json(out, fixture_traces()[2], "batches"));
  CHECK(out ==
        R"({"batches":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"worker"}}]},)"
        R"("scopeSpans":[{"scope":{},"spans":[{"traceId":"oAAAAAAAAAAAAAAAAAAAAw==","spanId":"sQAAAAAAAAc=",)"
        R"("parentSpanId":"sQAAAAAAAAk=","name":"orphan","kind":"SPAN_KIND_INTERNAL",)"
        R"("startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000010000000",)"
        R"("attributes":[{"key":"foo","value":{"stringValue":"bar"}},{"key":"my attr","value":{"stringValue":"x"}}],)"
        R"("status":{}}]}]}]})");
  out.clear();
  CHECK(append_tempo_json(out, "", "batches"));
  CHECK(out == "{}");
  // A kind without a name, a status with one, and an attribute without a value.
  out.clear();
  CHECK(append_tempo_json(out, bytes_of_hex("0a0f120d120b300f4a030a01617a021802"), "resourceSpans"));
  CHECK(out == R"({"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"kind":15,)"
               R"("attributes":[{"key":"a","value":{}}],"status":{"code":"STATUS_CODE_ERROR"}}]}]}]})");
}

TEST_CASE("tailgate decide reads the JSON that the query API gives", "[wire]") {
  for (const std::string& otlp : fixture_traces()) {
    std::string json;
    CHECK(append_tempo_json(json, otlp, "batches"));
    const Result<std::string> translated = tempo_json_to_otlp_json(json);
    REQUIRE(translated);
    const auto read = otlp_json_to_proto(*translated);
    REQUIRE(read);
    std::string wanted, have;
    append_otlp_json(wanted, otlp);
    append_otlp_json(have, read->bytes);
    CHECK(have == wanted);
  }
}

TEST_CASE("query_fixture.json, which the end-to-end test sends, has the traces of query_fixture.h", "[wire]") {
  std::ifstream file(TAILGATE_SOURCE_DIR "/tests/support/query_fixture.json");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto read = otlp_json_to_proto(text);
  REQUIRE(read);
  const std::array<std::string, 3> traces = fixture_traces();
  std::string wanted, have;
  append_otlp_json(wanted, traces[0] + traces[1] + traces[2]);
  append_otlp_json(have, read->bytes);
  CHECK(have == wanted);
}
