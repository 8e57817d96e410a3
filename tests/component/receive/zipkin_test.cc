// SPDX-License-Identifier: Apache-2.0
// The Zipkin receiver over real sockets: JSON and protobuf, gzip, and what is refused.
#include "receive/zipkin.h"

#include "component/receive/convert_fixture.h"
#include "support/foreign_cases.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

struct ZipkinFixture : ConvertFixture {
  ZipkinFixture() : ConvertFixture(make_zipkin_receiver(config(), "zipkin")) {}
  static ZipkinConfig config() {
    ZipkinConfig out;
    out.http.endpoint = "localhost:0";
    out.http.message_max = 1 << 20;
    return out;
  }
};

constexpr auto kZipkinJson = R"([{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312","name":"get","timestamp":1}])";

}  // namespace

TEST_CASE("Zipkin: JSON and protobuf are taken, with 202 and nothing more", "[receive]") {
  ZipkinFixture f;
  twin::zipkin::ListOfSpans list;
  auto* span = list.add_spans();
  span->set_trace_id("\x46\x3a\xc3\x5c\x9f\x64\x13\xad");
  span->set_id("\xa2\xfb\x4a\x1d\x1a\x96\xd3\x12");
  span->set_name("get");
  span->set_timestamp(1);
  const std::string proto = list.SerializeAsString();
  for (const char* type : {"application/json", "application/json; charset=utf-8", ""}) {
    const std::string text = f.call(0, http("/api/v2/spans", type, kZipkinJson));
    CHECK(text.find("HTTP/1.1 202") == 0);
    CHECK(text.ends_with("\r\n\r\n"));
  }
  CHECK(f.status(0, http("/api/v2/spans", "application/x-protobuf", proto)) == "202");
  CHECK(f.status(0, http("/api/v2/spans", "application/json", gzip(kZipkinJson), "Content-Encoding: gzip\r\n")) ==
        "202");
  CHECK(f.status(0, http("/api/v2/spans", "application/x-protobuf", gzip(proto), "Content-Encoding: gzip\r\n")) ==
        "202");
  CHECK(f.status(0, http("/api/v2/spans", "application/json", "[]")) == "202");
  CHECK(f.by_format == std::map<std::string, int>{{"zipkin_json", 4}, {"zipkin_proto", 2}});
  for (const FlatSpan& s : f.taken) CHECK(s.text() == expected_of(list)[0].text());
  CHECK(f.refused.empty());
}

TEST_CASE("Zipkin: what is refused, and how", "[receive]") {
  ZipkinFixture f;
  for (const char* type : {"application/json", "application/x-thrift"}) {
    const std::string text = f.call(0, http("/api/v1/spans", type, "[]"));
    CHECK(text.find("HTTP/1.1 415") == 0);
    CHECK(text.find("/api/v2/spans") != std::string::npos);
  }
  CHECK(f.status(0, http("/api/v2/spans", "application/x-thrift", "")) == "415");
  CHECK(f.status(0, http("/api/v2/spans", "application/json", "[", "Content-Encoding: br\r\n")) == "415");
  CHECK(f.status(0, http("/api/v2/spans", "application/json", "", "", "GET")) == "405");
  CHECK(f.status(0, http("/zipkin", "application/json", "[]")) == "404");
  const std::string text = f.call(0, http("/api/v2/spans", "application/json", R"([{"name":1}])"));
  CHECK(text.find("HTTP/1.1 400") == 0);
  CHECK(text.ends_with("[0].name: expected a string, got a number\n"));
  CHECK(f.status(0, http("/api/v2/spans", "application/json", std::string(2 << 20, ' '))) == "413");
  CHECK(f.status(0, http("/api/v2/spans", "application/json", gzip(std::string(2 << 20, ' ')),
                         "Content-Encoding: gzip\r\n")) == "413");
  CHECK(f.refused == std::map<std::string, int>{{"limit", 2}, {"malformed", 1}, {"unsupported", 6}});
  f.answer = {IngestResult::Kind::kShuttingDown, 0, "shutting down"};
  CHECK(f.call(0, http("/api/v2/spans", "application/json", kZipkinJson)).find("retry-after: 1\r\n") !=
        std::string::npos);
}
