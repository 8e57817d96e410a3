// SPDX-License-Identifier: Apache-2.0
// The OTLP receiver over real sockets: both endpoints, every form, every refusal.
#include "receive/otlp.h"

#include <zstd.h>

#include <catch2/catch.hpp>
#include <mutex>

#include "otlp_twin.pb.h"
#include "support/gzip.h"
#include "support/raw_client.h"
#include "support/sanitized.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

std::string message(std::string_view payload, char flag = '\0') {
  return std::string(1, flag) + u32(static_cast<std::uint32_t>(payload.size())) + std::string(payload);
}

struct OtlpFixture {
  explicit OtlpFixture(std::size_t budget_bytes = 256 << 20) : budget({budget_bytes, 0, 0, 0}) {
    threads.start();
    OtlpConfig config;
    config.grpc.emplace();
    config.grpc->endpoint = "localhost:0";
    config.http = config.grpc;
    receiver = make_otlp_receiver(config, "otlp");
    ReceiverContext context;
    context.threads = &threads;
    context.budget = &budget;
    context.ingest = [this](SourceId source, ByteView otlp, Client*) {
      const std::lock_guard lock(mutex);
      taken.emplace_back(source, std::string(otlp.substr(0, 1 << 20)));
      return answer;
    };
    context.source = [](std::string_view, std::string_view format) { return SourceId(format == "otlp_json" ? 2 : 1); };
    context.refused = [this](SourceId source, RefusalReason reason) {
      const std::lock_guard lock(mutex);
      ++refused[std::string(reason.name)];
      refused_source = source;
    };
    context.odd = [this](SourceId source, Oddity what, std::uint64_t count) { oddities.add(source, what, count); };
    context.notice = [this](std::string_view) {
      const std::lock_guard lock(mutex);
      ++notices;
    };
    REQUIRE(receiver->start(context));
    for (const auto& e : receiver->endpoints()) {
      ports.push_back(static_cast<std::uint16_t>(std::stoi(e.substr(e.rfind(':') + 1))));
    }
  }
  ~OtlpFixture() { receiver->stop(0ms); }

  Fields grpc(Fields more = {}) const {
    Fields out =
        H2Client::post(std::string(kOtlpTraceExport), {{"content-type", "application/grpc"}, {"te", "trailers"}});
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  std::string call(const std::string& request) const {
    RawClient c(ports[1]);
    c.send(request);
    return c.receive_responses(1);
  }

  ByteBudget budget;
  IoThreads threads{2};
  std::unique_ptr<Receiver> receiver;
  std::vector<std::uint16_t> ports;
  std::mutex mutex;
  std::vector<std::pair<SourceId, std::string>> taken;
  std::map<std::string, int> refused;
  SourceId refused_source = 0;  // of the last one
  int notices = 0;
  Oddities oddities;
  IngestResult answer;
};

std::string some_request() {
  twin::TracesData data;
  auto* span = data.add_resource_spans()->add_scope_spans()->add_spans();
  span->set_name("a");
  span->set_trace_id(std::string(16, 'T'));
  return data.SerializeAsString();
}

constexpr auto kOtlpJson =
    R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"54545454545454545454545454545454","name":"a"}]}]}]})";

}  // namespace

TEST_CASE("either endpoint takes gRPC, protobuf and JSON, plain and gzip", "[receive]") {
  OtlpFixture f;
  const std::string request = some_request();
  for (const auto port : f.ports) {
    H2Client h2(port);
    auto reply = h2.call(f.grpc(), message(request));
    CHECK(reply.fields["grpc-status"] == "0");
    CHECK(reply.fields["content-type"] == "application/grpc");
    CHECK(reply.body == std::string(5, '\0'));
    reply = h2.call(f.grpc({{"grpc-encoding", "gzip"}}), message(gzip(request), '\1'));
    CHECK(reply.fields["grpc-status"] == "0");
    reply = h2.call(f.grpc({{"grpc-encoding", "gzip"}}), message(request));  // not compressed although it could be
    CHECK(reply.fields["grpc-status"] == "0");
    reply = h2.call(f.grpc(), message(""));
    CHECK(reply.fields["grpc-status"] == "0");
    reply = h2.call(H2Client::post("/v1/traces", {{"content-type", "application/x-protobuf"}}), request);
    CHECK(reply.fields[":status"] == "200");
    CHECK(reply.fields["content-type"] == "application/x-protobuf");

    RawClient h1(port);
    h1.send(http("/v1/traces", "application/x-protobuf", request));
    CHECK(h1.receive_responses(1).find("HTTP/1.1 200") == 0);
    h1.send(http("/v1/traces", "application/x-protobuf", gzip(request), "Content-Encoding: gzip\r\n"));
    CHECK(h1.receive_responses(1).find("HTTP/1.1 200") == 0);
    h1.send(http("/v1/traces", "application/json; charset=utf-8", kOtlpJson));
    const auto json = h1.receive_responses(1);
    CHECK(json.find("content-type: application/json\r\n") != std::string::npos);
    CHECK(json.ends_with("\r\n\r\n{}"));
    h1.send(http("/v1/traces", "application/json", gzip(kOtlpJson), "Content-Encoding: gzip\r\n"));
    CHECK(h1.receive_responses(1).find("HTTP/1.1 200") == 0);
  }
  CHECK(f.taken.size() == 18);
  for (const auto& [source, bytes] : f.taken) CHECK((bytes == request || bytes.empty()));
  CHECK(f.taken.back().first == 2);
  CHECK(f.refused.empty());
}

TEST_CASE("JSON whose text is not Unicode is taken, and the texts are counted", "[receive]") {
  OtlpFixture f;
  const std::string json = R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"hi \ud83d"},{"name":"caf)"
                           "\xE9"
                           R"("},{"name":"c"}]}]}]})";
  CHECK(f.call(http("/v1/traces", "application/json", json)).ends_with("\r\n\r\n{}"));
  twin::TracesData data;
  REQUIRE(data.ParseFromString(f.taken.at(0).second));
  CHECK(data.resource_spans(0).scope_spans(0).spans(0).name() == "hi \uFFFD");
  CHECK(data.resource_spans(0).scope_spans(0).spans(1).name() == "caf\uFFFD");
  CHECK(f.oddities.snapshot().at(2).repaired_texts == 2);
  CHECK(f.refused.empty());
}

TEST_CASE("a request that holds something but no span is answered so, counted, and noticed once", "[receive]") {
  OtlpFixture f;
  for (const char* empty : {"{}", R"({"resourceSpans":[]})", R"({"resource_spans":null})"}) {
    CHECK(f.call(http("/v1/traces", "application/json", empty)).ends_with("\r\n\r\n{}"));
  }
  CHECK(f.oddities.snapshot().empty());
  for (int i = 0; i < 2; ++i) {
    CHECK(f.call(http("/v1/traces", "application/json", R"({"resourceLogs":[{"scopeLogs":[]}]})"))
              .ends_with(R"({"partialSuccess":{"rejectedSpans":"0","errorMessage":"the request holds no spans; only )"
                         R"(traces are taken here, and its field 'resourceLogs' is not known"}})"));
  }
  f.answer.no_spans = true;
  CHECK(f.call(http("/v1/traces", "application/json",
                    R"({"resourceSpans":[{"resource":{},"instrumentationLibrarySpans":[]}]})"))
            .find("field 'resourceSpans[0].instrumentationLibrarySpans' is not known") != std::string::npos);
  H2Client h2(f.ports[0]);
  twin::ExportTraceServiceResponse response;
  REQUIRE(response.ParseFromString(h2.call(f.grpc(), message("x")).body.substr(5)));
  CHECK(response.partial_success().rejected_spans() == 0);
  CHECK(response.partial_success().error_message() == "the request holds no spans; only traces are taken here");
  CHECK(f.oddities.snapshot().at(2).requests_without_spans == 3);
  CHECK(f.oddities.snapshot().at(1).requests_without_spans == 1);
  CHECK(f.notices == 2);  // one of each endpoint
}

TEST_CASE("partial success and refusals of ingest, in each form", "[receive]") {
  OtlpFixture f;
  H2Client h2(f.ports[0]);
  f.answer.rejected_spans = 3;
  f.answer.message = "bad \"ids\"";
  auto reply = h2.call(f.grpc(), message("x"));
  twin::ExportTraceServiceResponse response;
  REQUIRE(response.ParseFromString(reply.body.substr(5)));
  CHECK(response.partial_success().rejected_spans() == 3);
  CHECK(response.partial_success().error_message() == "bad \"ids\"");
  CHECK(f.call(http("/v1/traces", "application/json", kOtlpJson))
            .ends_with(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"bad \"ids\""}})"));
  f.answer.all_bad_ids = true;  // of protobuf, the bytes may be another signal's; JSON says so by its keys
  reply = h2.call(f.grpc(), message("x"));
  REQUIRE(response.ParseFromString(reply.body.substr(5)));
  CHECK(response.partial_success().error_message() ==
        "bad \"ids\"; no span in the request has good ids, so it may hold metrics or logs");
  CHECK(f.call(http("/v1/traces", "application/json", kOtlpJson)).ends_with(R"("errorMessage":"bad \"ids\""}})"));

  f.answer = {IngestResult::Kind::kMalformed, 0, "50% wrong at byte 7"};
  reply = h2.call(f.grpc(), message("x"));
  CHECK(reply.fields["grpc-status"] == "3");
  CHECK(reply.fields["grpc-message"] == "50%25 wrong at byte 7");
  CHECK(reply.fields.count("grpc-status-details-bin") == 0);
  auto text = f.call(http("/v1/traces", "application/json", kOtlpJson));
  CHECK(text.find("HTTP/1.1 400") == 0);
  CHECK(text.ends_with(R"({"code":3,"message":"50% wrong at byte 7"})"));
  CHECK(f.call(http("/v1/traces", "application/x-protobuf", "x"))
            .ends_with("\x08\x03\x12\x13"
                       "50% wrong at byte 7"));

  f.answer = {IngestResult::Kind::kNoMemory, 0, "full"};
  reply = h2.call(f.grpc(), message("x"));
  CHECK(reply.fields["grpc-status"] == "14");
  CHECK(reply.fields["grpc-status-details-bin"] ==
        "CA4SBGZ1bGwaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAQ");
  text = f.call(http("/v1/traces", "application/json", kOtlpJson));
  CHECK(text.find("HTTP/1.1 503") == 0);
  CHECK(text.find("retry-after: 1\r\n") != std::string::npos);
  CHECK(text.find(R"("retryDelay":"1s")") != std::string::npos);
  CHECK(f.refused == std::map<std::string, int>{{"malformed", 3}, {"no_memory", 2}});
}

TEST_CASE("what is not OTLP traces is refused by the right name", "[receive]") {
  OtlpFixture f;
  const auto status = [&](const std::string& request) { return f.call(request).substr(9, 3); };
  CHECK(status(http("/v1/traces", "text/plain", "x")) == "415");
  CHECK(status(http("/v1/traces", "application/grpc", "x")) == "415");
  CHECK(status(http("/v1/traces", "application/json", "x", "Content-Encoding: br\r\n")) == "415");
  CHECK(status(http("/v1/traces", "application/json", "", "", "GET")) == "405");
  CHECK(status(http("/", "application/json", "{}")) == "404");
  CHECK(status(http("/v1/traces", "application/json", "{")) == "400");
  CHECK(status(http("/v1/traces", "application/json", "")) == "400");
  CHECK(status(http("/v1/traces", "application/json", "xx", "Content-Encoding: gzip\r\n")) == "400");
  CHECK(status(http("/v1/metrics", "application/json", "{}")) == "404");
  CHECK(status(http("/v1/logs", "application/x-protobuf", "")) == "404");

  H2Client h2(f.ports[0]);
  const auto grpc = [&](Fields fields, const std::string& body) { return h2.call(fields, body).fields; };
  auto unknown = f.grpc();
  unknown[2].second = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
  auto fields = grpc(unknown, message("x"));
  CHECK(fields["grpc-status"] == "12");
  CHECK(fields[":status"] == "200");
  CHECK(f.notices <= 1);
  unknown[2].second = "/a.b/C";
  CHECK(grpc(unknown, message("x"))["grpc-status"] == "12");
  fields = grpc(f.grpc({{"grpc-encoding", "snappy"}}), message("x", '\1'));
  CHECK(fields["grpc-status"] == "12");
  CHECK(fields["grpc-accept-encoding"] == "identity,gzip,deflate,zstd");
  CHECK(fields["grpc-message"] ==
        "grpc-encoding 'snappy' is not supported, expected one of identity,gzip,deflate,zstd");
  CHECK(fields[":status"] == "200");
  CHECK(grpc(f.grpc(), "")["grpc-status"] == "13");
  CHECK(grpc(f.grpc(), "abc")["grpc-status"] == "13");
  CHECK(grpc(f.grpc(), message("x") + "y")["grpc-status"] == "13");
  CHECK(grpc(f.grpc(), message("x", '\1'))["grpc-status"] == "13");
  CHECK(grpc(f.grpc({{"grpc-encoding", "gzip"}}), message("x", '\1'))["grpc-status"] == "13");
  CHECK(grpc(f.grpc(), message("x"))["grpc-status"] == "0");

  f.receiver->drain();
}

TEST_CASE("a refusal speaks the request's own form and is counted under it, whatever is wrong", "[receive]") {
  struct Row {
    const char *method, *path, *type, *status, *body_end;
    SourceId counted;
  };
  const std::string export_path(kOtlpTraceExport);
  const char* const grpc = export_path.c_str();
  const Row rows[] = {
      {"POST", "/x", "application/json", "404", R"({"code":5,"message":"nothing here; traces go to /v1/traces"})", 2},
      {"POST", "/x", "application/x-protobuf", "404", "\x08\x05\x12\x25nothing here; traces go to /v1/traces", 1},
      {"POST", "/x", "text/plain", "404", "\r\n\r\nnothing here; traces go to /v1/traces\n", 1},
      {"GET", "/v1/traces", "application/json", "405", R"({"code":12,"message":"expected POST, got GET"})", 2},
      {"GET", "/v1/traces", "text/plain", "405", "expected POST, got GET\n", 1},
      {"POST", "/v1/traces", "text/plain", "415",
       "expected content-type application/x-protobuf or application/json, got 'text/plain'\n", 1},
      {"GET", grpc, "application/json", "415",
       R"({"code":12,"message":"expected content-type application/grpc over HTTP/2"})", 2},
      {"POST", grpc, "application/grpc", "415", "expected content-type application/grpc over HTTP/2\n", 1},
      {"GET", "/v1/logs", "application/json", "404",
       R"({"code":5,"message":"only traces are taken here, not /v1/logs"})", 2},
  };
  OtlpFixture f;
  for (const Row& row : rows) {
    const std::string text = f.call(http(row.path, row.type, "", "", row.method));
    INFO(text);
    CHECK(text.substr(9, 3) == row.status);
    CHECK(text.ends_with(row.body_end));
    CHECK((text.find("allow: POST") != std::string::npos) == (std::string_view(row.status) == "405"));
    CHECK(f.refused_source == row.counted);
  }
  CHECK(f.refused == std::map<std::string, int>{{"unsupported", 9}});
}

TEST_CASE("a client over its spans is told 429 or UNAVAILABLE with the time to wait", "[receive]") {
  OtlpFixture f;
  f.answer = {IngestResult::Kind::kClientSpans, 0, "", 7};
  const auto text = f.call(http("/v1/traces", "application/json", kOtlpJson));
  CHECK(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
  CHECK(text.find("retry-after: 7\r\n") != std::string::npos);
  CHECK(text.find(R"("retryDelay":"7s")") != std::string::npos);
  H2Client h2(f.ports[0]);
  auto reply = h2.call(f.grpc(), message("x"));
  CHECK(reply.fields["grpc-status"] == "14");
  CHECK(reply.fields.count("grpc-status-details-bin") == 1);
  CHECK(f.refused == std::map<std::string, int>{{"client_spans", 2}});
}

TEST_CASE("zstd and deflate are taken over HTTP and gRPC, and bombs of zstd are not", "[receive]") {
  OtlpFixture f;
  const std::string request = some_request();
  const auto zstd = [](std::string_view in) {
    std::string out(ZSTD_compressBound(in.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
    return out;
  };
  H2Client h2(f.ports[0]);
  CHECK(h2.call(f.grpc({{"grpc-encoding", "zstd"}}), message(zstd(request), '\1')).fields["grpc-status"] == "0");
  CHECK(f.call(http("/v1/traces", "application/x-protobuf", zstd(request), "Content-Encoding: zstd\r\n"))
            .starts_with("HTTP/1.1 200"));
  CHECK(f.taken.size() == 2);
  for (const auto& [source, bytes] : f.taken) CHECK((bytes == request));
  const std::string bomb = zstd(std::string(128 << 20, '\0'));
  CHECK(f.call(http("/v1/traces", "application/x-protobuf", bomb, "Content-Encoding: zstd\r\n"))
            .starts_with("HTTP/1.1 413"));
  CHECK(h2.call(f.grpc({{"grpc-encoding", "zstd"}}), message(bomb, '\1')).fields["grpc-status"] == "8");
}

TEST_CASE("while draining every request is answered: try again", "[receive]") {
  OtlpFixture f;
  H2Client h2(f.ports[0]);
  const auto open = h2.open(f.grpc());
  h2.run(50, [] { return false; });
  f.receiver->drain();
  h2.data(open, message("x"), true);
  CHECK(h2.wait(open).fields["grpc-status"] == "0");  // begun before
}

TEST_CASE("gzip bombs, one and eight at once", "[receive][hostile]") {
  OtlpFixture f(128 << 20);
  const std::string bomb = gzip("", std::size_t{1} << 30);
  REQUIRE(bomb.size() < 2 << 20);
  const std::size_t before = rss_bytes();
  std::size_t peak = before;
  const auto text = f.call(http("/v1/traces", "application/x-protobuf", bomb, "Content-Encoding: gzip\r\n"));
  CHECK(text.find("HTTP/1.1 413") == 0);
  CHECK(text.find("retry-after") == std::string::npos);
  std::vector<std::unique_ptr<H2Client>> eight;
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 8; ++i) eight.push_back(std::make_unique<H2Client>(f.ports[0]));
  for (auto& c : eight) ids.push_back(c->request(f.grpc({{"grpc-encoding", "gzip"}}), message(bomb, '\1')));
  peak = std::max(peak, rss_bytes());
  for (std::size_t i = 0; i < eight.size(); ++i) {
    auto reply = eight[i]->wait(ids[i], 20'000);
    CHECK(reply.fields["grpc-status"] == "8");
    CHECK(reply.fields.count("grpc-status-details-bin") == 0);
    peak = std::max(peak, rss_bytes());
  }
  CHECK(f.refused == std::map<std::string, int>{{"limit", 9}});
  WARN("RSS rose by " << (peak - before) / 1024 << " KiB");
  if (!kSanitized) CHECK(peak - before < 80U << 20);
  // Under the ratio guard, but over the cap: 65 MiB of noise that hardly shrinks is refused by its size.
  CHECK(f.budget.used(Holder::kRequests) == 0);
  CHECK(eight[0]->call(f.grpc(), message("x")).fields["grpc-status"] == "0");
}

TEST_CASE("no room in the budget: unavailable, with the time to wait", "[receive][hostile]") {
  OtlpFixture f(256 << 10);
  H2Client h2(f.ports[0]);
  auto reply = h2.call(f.grpc(), message(std::string(1 << 20, 'x')));
  CHECK(reply.fields["grpc-status"] == "14");
  CHECK(reply.fields.count("grpc-status-details-bin") == 1);
  reply = h2.call(f.grpc({{"grpc-encoding", "gzip"}}), message(gzip("", 1 << 20), '\1'));
  CHECK(reply.fields["grpc-status"] == "14");
  CHECK(f.call(http("/v1/traces", "application/x-protobuf", std::string(1 << 20, 'x'))).find("HTTP/1.1 503") == 0);
  CHECK(f.refused == std::map<std::string, int>{{"no_memory", 3}});
  CHECK(h2.call(f.grpc(), message("x")).fields["grpc-status"] == "0");
}

TEST_CASE("media types and codings are read in any case, targets in absolute form too", "[receive]") {
  OtlpFixture f;
  const std::string request = some_request();
  CHECK(f.call(http("/v1/traces", "Application/JSON; Charset=UTF-8", kOtlpJson)).find("HTTP/1.1 200") == 0);
  CHECK(f.call(http("/v1/traces", "APPLICATION/X-Protobuf\t;v=1", request)).find("HTTP/1.1 200") == 0);
  CHECK(f.call(http("/v1/traces", "application/x-protobuf", gzip(request), "Content-Encoding: x-gzip\r\n"))
            .find("HTTP/1.1 200") == 0);
  CHECK(f.call(http("/v1/traces", "application/x-protobuf", gzip(request), "Content-Encoding: GZIP\r\n"))
            .find("HTTP/1.1 200") == 0);
  CHECK(f.call(http("http://collector:4318/v1/traces?a=b", "application/x-protobuf", request)).find("HTTP/1.1 200") ==
        0);
  CHECK(f.call(http("HTTP://collector", "application/x-protobuf", request)).find("HTTP/1.1 404") == 0);
  H2Client h2(f.ports[0]);
  auto reply = h2.call(H2Client::post(std::string(kOtlpTraceExport), {{"content-type", "Application/gRPC+Proto"}}),
                       message(request));
  CHECK(reply.fields["grpc-status"] == "0");
  CHECK(f.taken.size() == 6);
}

TEST_CASE("gRPC's health checks are answered, and a watch ends with the receiver", "[receive]") {
  OtlpFixture f;
  const auto health = [](std::string_view method) {
    return H2Client::post("/grpc.health.v1.Health/" + std::string(method), {{"content-type", "application/grpc"}});
  };
  H2Client h2(f.ports[0]);
  auto reply = h2.call(health("Check"), message(""));
  CHECK(reply.fields["grpc-status"] == "0");
  CHECK(reply.body == message("\x08\x01"));
  const std::string service = "opentelemetry.proto.collector.trace.v1.TraceService";
  reply = h2.call(health("Check"), message("\x0A" + std::string(1, static_cast<char>(service.size())) + service));
  CHECK(reply.body == message("\x08\x01"));
  CHECK(h2.call(health("Check"), message("\x0A\1x")).fields["grpc-status"] == "5");
  CHECK(h2.call(health("Check"), "abc").fields["grpc-status"] == "13");
  CHECK(h2.call(health("Check"), message(std::string(2000, ' '))).fields["grpc-status"] == "8");
  CHECK(h2.call(health("List"), message("")).fields["grpc-status"] == "12");
  const std::uint32_t watch = h2.request(health("Watch"), message(""));
  h2.run(2000, [&] { return h2.replies[watch].body.size() == 7; });
  CHECK(h2.replies[watch].body == message("\x08\x01"));
  CHECK(h2.call(health("Check"), message("")).body == message("\x08\x01"));
  CHECK_FALSE(h2.replies[watch].done);
  f.receiver->drain();
  reply = h2.wait(watch);
  CHECK(reply.done);
  CHECK(reply.body == message("\x08\x01") + message("\x08\x02"));
  CHECK(reply.fields["grpc-status"] == "0");
  CHECK(f.taken.empty());
}
