// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/query_json.h"

#include <catch2/catch.hpp>

#include "wire/otlp/json_write.h"

using namespace tailgate;

namespace {

std::string otlp_json_of(const std::string& spans, const std::string& processes = "{}") {
  ByteSink out;
  const Result<void> read =
      jaeger_query_json_to_otlp(R"({"data":[{"spans":)" + spans + R"(,"processes":)" + processes + "}]}", out);
  if (!read) return read.error().text;
  std::string json;
  REQUIRE(append_otlp_json(json, out.view()));
  return json;
}

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("tags of Jaeger's query API keep their types, also where old versions write them as texts", "[wire]") {
  const std::string json = otlp_json_of(R"([{"traceID":"1","spanID":"2","tags":[
      {"key":"a","type":"int64","value":7},{"key":"b","type":"int64","value":"9007199254740993"},
      {"key":"c","type":"float64","value":1},{"key":"d","type":"float64","value":"0.5"},
      {"key":"e","type":"bool","value":"true"},{"key":"f","type":"bool","value":false},
      {"key":"g","type":"binary","value":"AQI="},{"key":"h","type":"string","value":"x"},{"key":"i","value":"y"}]}])");
  for (const char* const part :
       {R"("a","value":{"intValue":"7"})", R"("b","value":{"intValue":"9007199254740993"})",
        R"("c","value":{"doubleValue":1)", R"("d","value":{"doubleValue":0.5})", R"("e","value":{"boolValue":true})",
        R"("f","value":{"boolValue":false})", R"("g","value":{"bytesValue":"AQI="})",
        R"("h","value":{"stringValue":"x"})", R"("i","value":{"stringValue":"y"})",
        R"("traceId":"00000000000000000000000000000001")", R"("spanId":"0000000000000002")"}) {
    CHECK(has(json, part));
  }
}

TEST_CASE("what is not what Jaeger's query API gives is named with its place", "[wire]") {
  CHECK(otlp_json_of("7") == "data[0].spans: expected a list");
  CHECK(otlp_json_of("[7]") == "data[0].spans[0]: expected an object");
  ByteSink out;
  CHECK(jaeger_query_json_to_otlp("[]", out).error().text == "the whole: expected an object");
  CHECK_FALSE(jaeger_query_json_to_otlp("{", out));
}
