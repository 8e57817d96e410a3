// SPDX-License-Identifier: Apache-2.0
// What OTLP backends answer, and what it means.
#include <catch2/catch.hpp>

#include "export/otlp/grpc_answer.h"
#include "export/otlp/response.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

using Kind = SendResult::Kind;

PartialSuccess json(std::string_view text) {
  return read_partial_success_json(text).value_or(PartialSuccess{77, "bad"});
}

}  // namespace

TEST_CASE("a partial success is read in protobuf, and what is not one is told apart", "[export]") {
  CHECK(read_partial_success("")->rejected_spans == 0);
  CHECK(read_partial_success(std::string_view("\x0a\x06\x08\x05\x12\x02no", 8))->rejected_spans == 5);
  CHECK(read_partial_success(std::string_view("\x0a\x06\x08\x05\x12\x02no", 8))->message == "no");
  CHECK(read_partial_success("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")->rejected_spans == 0);  // -1
  CHECK(read_partial_success("\x12\x02ok")->rejected_spans == 0);  // a field that is new
  for (const std::string_view bad : {"\x0a\xff\xff", "<html>sign in</html>", "OK", "ok", "\x0a\x02\x08\xff"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_partial_success(bad));
  }
}

TEST_CASE("a partial success is read in JSON, with numbers as texts and in either spelling", "[export]") {
  CHECK(json("{}").rejected_spans == 0);
  CHECK(json(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}})").rejected_spans == 3);
  CHECK(json(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}})").message == "too old");
  CHECK(json(R"({"partialSuccess":{"rejectedSpans":4}})").rejected_spans == 4);
  CHECK(json(R"({"partial_success":{"rejected_spans":"5","error_message":"x"}})").rejected_spans == 5);
  CHECK(json("{\"partialSuccess\":{\"rejectedSpans\":3,\"errorMessage\":\"caf\xC3\"}}").message == "caf\uFFFD");
  CHECK(json(R"({"partialSuccess":{"rejectedSpans":3,"errorMessage":"hi \ud83d"}})").rejected_spans == 3);
  CHECK(json(R"({"partialSuccess":{"rejectedSpans":"-1","errorMessage":"hm"}})").rejected_spans == 0);
  CHECK(json(R"({"partialSuccess":{"rejectedSpans":"many"}})").rejected_spans == 0);
  CHECK(json(R"({"partialSuccess":null})").rejected_spans == 0);
  CHECK(json(R"("OK")").rejected_spans == 0);
  for (const char* bad : {"{", "<html>", "{\"partialSuccess\":{}} x", "\x0a\x02\x08\x05"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_partial_success_json(bad));
  }
}

TEST_CASE("what goes with an error is read whatever it holds", "[export]") {
  CHECK_FALSE(read_status_details("").retry_delay);
  CHECK_FALSE(read_status_details("\x08\x08\x12\x02no").retry_delay);
  CHECK(read_status_details(std::string_view("\x12\x02no", 4)).message == "no");
  const char* const paced =
      R"({"code":8,"message":"slow","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]})";
  CHECK(read_status_details_json(paced).message == "slow");
  CHECK(read_status_details_json(paced).retry_delay == Duration(1500ms));
  CHECK(read_status_details_json("<html>").message.empty());
  CHECK_FALSE(read_status_details_json(R"({"details":{}})").retry_delay);
}

TEST_CASE("the codes that OTLP names are retried as it says, the others where they are named", "[export]") {
  const auto kind = [](int code, GrpcCodes also = 0) { return grpc_failure(code, "why", "", also).kind; };
  for (const int code : {1, 4, 10, 11, 14, 15}) CHECK(kind(code) == Kind::kRetry);
  for (const int code : {2, 3, 5, 6, 7, 8, 9, 12, 13, 16}) {
    CAPTURE(code);
    CHECK(kind(code) == Kind::kPermanent);
    CHECK(kind(code, GrpcCodes{1} << code) == Kind::kRetry);
  }
  CHECK(kind(99) == Kind::kRetry);  // no table names it
  CHECK(grpc_failure(13, "boom", "", 0).detail == "gRPC status 13 INTERNAL: boom");
  CHECK(grpc_failure(8, "slow down", "", GrpcCodes{1} << 8).reason == FailReason::kRefused);
}

TEST_CASE("a request that is larger than a backend takes is final whatever is named", "[export]") {
  const GrpcCodes exhausted = GrpcCodes{1} << 8;
  for (const char* text : {"grpc: received message larger than max (5000000 vs. 4194304)",
                           "gRPC message exceeds maximum size 4194304: 5000000"}) {
    CHECK(grpc_failure(8, text, "", exhausted).kind == Kind::kPermanent);
    CHECK(grpc_failure(8, text, "", exhausted).reason == FailReason::kRefused);
  }
}

TEST_CASE("a status that gRPC makes up for want of an answer is retried", "[export]") {
  CHECK(grpc_failure(13, "Received RST_STREAM with error code 2", "", 0).kind == Kind::kRetry);
  CHECK(grpc_failure(2, "Stream removed", "", 0).kind == Kind::kRetry);
  CHECK(grpc_failure(2, "Received http2 header with status: 500", "", 0).kind == Kind::kRetry);
  CHECK(grpc_failure(2, "Received http2 header with status: 302", "", 0).kind == Kind::kRetry);
  CHECK(grpc_failure(12, "Received http2 header with status: 404", "", 0).kind == Kind::kPermanent);
}

TEST_CASE("a final code says whether it is about all requests, the content or the size", "[export]") {
  using About = SendResult::About;
  CHECK(grpc_failure(3, "invalid UTF-8", {}, 0).about == About::kContent);
  CHECK(grpc_failure(13, "error unmarshalling request", {}, 0).about == About::kContent);
  CHECK(grpc_failure(8, "grpc: received message larger than max (5 vs. 4)", {}, 0).about == About::kSize);
  CHECK(grpc_failure(8, "rate limit", {}, 0).about == About::kAll);
  for (const int code : {5, 7, 12, 16}) CHECK(grpc_failure(code, "", {}, 0).about == About::kAll);
}
