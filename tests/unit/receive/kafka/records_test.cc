// SPDX-License-Identifier: Apache-2.0
// What records hold: spans in each encoding, verdicts, and what is written down of records that hold neither.
#include <catch2/catch.hpp>

#include "codec/protobuf.h"
#include "receive/kafka/poison_letters.h"
#include "receive/kafka/record_format.h"
#include "receive/kafka/verdict_record.h"
#include "support/otlp_builder.h"
#include "wire/otlp/scan.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

struct Everything final : ConversionRoom {
  bool grow(std::size_t) override { return true; }
};

struct Converted {
  explicit Converted(RecordFormat format, const std::vector<std::string>& records) {
    Everything room;
    ByteSink out(&room);
    for (const std::string& record : records) {
      const std::size_t before = out.size();
      if (const Result<void> one = append_record(format, record, out, room); !one) {
        out.truncate(before);
        errors.push_back(one.error().text);
      }
    }
    bytes = out.view();
    const ScanPlan plan;
    const ScanResult scan = scan_request(bytes, plan, batch, [](SpanBatch&) { return false; });
    ok = scan.ok;
    for (const BatchTrace& trace : batch.traces) traces.push_back(trace.id.hex());
  }
  std::string bytes;
  SpanBatch batch;
  bool ok = false;
  std::vector<std::string> traces, errors;
};

constexpr const char* kId = "0102030405060708090a0b0c0d0e0f10";

}  // namespace

TEST_CASE("records of OTLP, one behind the other, are one request; one that is cut off is told apart",
          "[receive][kafka]") {
  const std::string a = request({{.trace = 1, .id = 1}}), b = request({{.trace = 2, .id = 1}, {.trace = 2, .id = 2}});
  const Converted both(RecordFormat::kOtlpProto, {"", a, b, ""});
  CHECK(both.ok);
  CHECK(both.bytes == a + b);
  CHECK(both.traces.size() == 2);
  // The length of the first would reach into the second.
  const Converted cut(RecordFormat::kOtlpProto, {a.substr(0, a.size() - 1), b});
  CHECK(cut.ok);
  CHECK(cut.traces.size() == 1);
  REQUIRE(cut.errors.size() == 1);
  CHECK(cut.errors[0].find("cut off") != std::string::npos);
}

TEST_CASE("a record of otlp_json, of zipkin_json and of jaeger_proto gives its spans", "[receive][kafka]") {
  const Converted json(RecordFormat::kOtlpJson,
                       {std::string(R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":")") + kId +
                            R"(","spanId":"0102030405060708","name":"a"}]}]}]})",
                        "{"});
  CHECK(json.traces == std::vector<std::string>{kId});
  CHECK(json.errors.size() == 1);

  const Converted zipkin(RecordFormat::kZipkinJson,
                         {std::string(R"([{"traceId":")") + kId + R"(","id":"0102030405060708","name":"a"}])", "[1]"});
  CHECK(zipkin.traces == std::vector<std::string>{kId});
  CHECK(zipkin.errors.size() == 1);

  std::string span, process;
  pb::append_len(span, 1, ByteView("\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", 16));
  pb::append_len(span, 2, ByteView("\1\2\3\4\5\6\7\10", 8));
  pb::append_len(span, 3, "a");
  pb::append_len(process, 1, "web");
  pb::append_len(span, 10, process);
  const Converted jaeger(RecordFormat::kJaegerProto, {span, "\x0a", span});
  CHECK(jaeger.traces == std::vector<std::string>{kId});
  CHECK(jaeger.batch.spans.size() == 2);
  CHECK(jaeger.errors.size() == 1);
}

TEST_CASE("a verdict is read as it was written; a later version and what is no verdict are passed over",
          "[receive][kafka]") {
  Verdict verdict;
  verdict.decision = Decision::kSampled;
  verdict.reason = CloseReason::kMemory;
  verdict.complete = true;
  verdict.shed = true;
  std::string value = "before";
  append_verdict_record(value, verdict, "errors\0word");
  value.erase(0, 6);
  const auto read = read_verdict_record(kId, value);
  REQUIRE(read.has_value());
  CHECK(read->id.hex() == kId);
  CHECK(read->verdict.decision == Decision::kSampled);
  CHECK(read->verdict.reason == CloseReason::kMemory);
  CHECK(read->verdict.complete);
  CHECK_FALSE(read->verdict.chance);
  CHECK(read->verdict.shed);
  CHECK(read->words == "errors");
  CHECK_FALSE(read_verdict_record("no id", value).has_value());
  CHECK_FALSE(read_verdict_record(kId, "\1").has_value());
  value[1] = 9;
  CHECK_FALSE(read_verdict_record(kId, value).has_value());
  value.clear();
  append_verdict_record(value, verdict, "");
  CHECK(read_verdict_record(kId, value).has_value());
  value[0] = 2;
  CHECK_FALSE(read_verdict_record(kId, value).has_value());
}

TEST_CASE("a poison record is a line of JSON with its place and its bytes", "[receive][kafka]") {
  std::string out;
  append_poison_line(out, {"otlp_spans", 3, 1234, "malformed", "a \"field\"", "k", ByteView("\0\1", 2)}, 99);
  CHECK(out == R"({"topic":"otlp_spans","partition":3,"offset":"1234","reason":"malformed","detail":"a \"field\"",)"
               R"("key":"aw==","value":"AAE=","time_unix_nano":"99"})"
               "\n");
}
