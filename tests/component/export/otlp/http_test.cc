// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>
#include <zstd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <deque>
#include <fstream>

#include "component/export/canned_backend.h"
#include "component/export/export_fixture.h"
#include "export/http/http_exporter.h"
#include "export/http/retry_after.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {

struct HttpAnswer {
  unsigned status = 200;
  std::string body = "";
  std::string retry_after = "";
  bool hang = false;
  std::string type = "application/x-protobuf";
};

// Each request gets the next answer of the list, then 200.
class HttpBackend : public CannedBackend {
 public:
  explicit HttpBackend(std::deque<HttpAnswer> answers, const std::string& address = "127.0.0.1", std::uint16_t port = 0)
      : CannedBackend(
            [next = in_turn(std::move(answers))](const CannedRequest&) {
              const HttpAnswer answer = next();
              CannedAnswer out{answer.status, answer.body, {}};
              if (!answer.type.empty()) out.headers.emplace_back("content-type", answer.type);
              if (!answer.retry_after.empty()) out.headers.emplace_back("retry-after", answer.retry_after);
              out.hang = answer.hang;
              return out;
            },
            address, port) {}
};

std::string yaml(const HttpBackend& backend, const std::string& more = "compression: none") {
  return "otlphttp:\n  endpoint: " + backend.url() +
         "/base/\n  headers: {X-Scope: prod}\n"
         "  retry_on_failure: {initial_interval: 10ms}\n"
         "  sending_queue: {batch: {flush_timeout: 20ms}}\n  " +
         more + "\n";
}

// An exporter without its thread: each batch is a call.
class Caller final : public HttpExporter {
 public:
  using HttpExporter::HttpExporter;
  void send(BatchPtr batch) override {
    call("POST", "", "text/plain", "x", [this, id = batch->id](const Result<HttpReply>& reply) {
      end(id, reply ? SendResult::done() : failure_of(reply.error()));
    });
  }
  bool answered() {
    auto batch = std::make_shared<Batch>();
    batch->id = ++calls_;
    send(std::move(batch));
    std::vector<Completion> done;
    while (done.empty()) wait(1s, done);
    return done[0].result.kind == SendResult::Kind::kDone;
  }

 private:
  std::uint64_t calls_ = 0;
};

std::string inflate_gzip(const std::string& bytes) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  std::string out(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

}  // namespace

TEST_CASE("otlphttp posts kept traces to /v1/traces below its endpoint, with headers", "[export]") {
  HttpBackend backend({});
  Rig rig(yaml(backend));
  rig.push(kept(1, 3));
  rig.push(kept(2, 4));
  REQUIRE(rig.sent(7));
  const auto requests = backend.requests();
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].method() == http::verb::post);
  CHECK(requests[0].target() == "/base/v1/traces");
  CHECK(requests[0]["x-scope"] == "prod");
  CHECK(requests[0][http::field::content_type] == "application/x-protobuf");
  CHECK(requests[0][http::field::user_agent] == "Tailgate/test");
  CHECK(requests[0][http::field::content_encoding].empty());
  CHECK(requests[0].body() == kept(1, 3)->otlp + kept(2, 4)->otlp);
}

TEST_CASE("otlphttp compresses with gzip unless told otherwise, and can send JSON", "[export]") {
  HttpBackend backend({});
  Rig rig(yaml(backend, "traces_endpoint: " + backend.url() + "/own"));
  rig.push(kept(1, 50));
  REQUIRE(rig.sent(50));
  const CannedRequest request = backend.requests().at(0);
  CHECK(request.target() == "/own");
  CHECK(request[http::field::content_encoding] == "gzip");
  CHECK(inflate_gzip(request.body()) == kept(1, 50)->otlp);

  Rig with_zstd(yaml(backend, "compression: zstd\n  bearer_token: s3cret"));
  with_zstd.push(kept(1, 50));
  REQUIRE(with_zstd.sent(50));
  const CannedRequest second = backend.requests().at(1);
  CHECK(second[http::field::content_encoding] == "zstd");
  CHECK(second[http::field::authorization] == "Bearer s3cret");
  std::string plain(1 << 20, '\0');
  plain.resize(ZSTD_decompress(plain.data(), plain.size(), second.body().data(), second.body().size()));
  CHECK(plain == kept(1, 50)->otlp);

  Rig json(yaml(backend, "encoding: json\n  compression: none"));
  json.push(kept(2, 1));
  REQUIRE(json.sent(1));
  CHECK(backend.requests().at(2)[http::field::content_type] == "application/json");
  CHECK(backend.requests().at(2).body().starts_with("{\"resourceSpans\":[{"));
}

TEST_CASE("otlphttp retries what passes, what also names, and nothing else", "[export]") {
  HttpBackend backend({{429}, {502}, {503}, {504}, {500}, {408}, {522}, {403}});
  Rig rig(yaml(backend));
  rig.push(kept(1, 5));
  REQUIRE(rig.settled());
  CHECK(backend.requests().size() == 8);
  CHECK(rig.failures(FailReason::kTimeout) == 1);
  CHECK(rig.failures(FailReason::kRefused) == 1);
  CHECK(rig.failures(FailReason::kUnavailable) == 5);
  CHECK(rig.failed(FailReason::kPermanent) == 5);  // 403

  HttpBackend picky(std::deque<HttpAnswer>{{403}, {404}});
  std::string with_also = yaml(picky);
  with_also.replace(with_also.find("{initial_interval"), 1, "{also: [403, 404], ");
  Rig also(with_also);
  also.push(kept(1, 5));
  REQUIRE(also.sent(5));

  for (const unsigned status : {400u, 401u, 404u, 501u}) {
    CAPTURE(status);
    HttpBackend bad({{status, "", "", false}});
    Rig other(yaml(bad));
    other.push(kept(1, 5));
    REQUIRE(other.settled());
    CHECK(other.failed(FailReason::kPermanent) == 5);
    CHECK(bad.requests().size() == 1);
  }
  // Too large for the backend: the trace goes in pieces.
  HttpBackend large({{413, "", "", false}});
  Rig third(yaml(large));
  third.push(kept(1, 5));
  REQUIRE(third.sent(5));
  CHECK(third.failures(FailReason::kRefused) == 1);
  CHECK(large.requests().size() == 3);
}

TEST_CASE("otlphttp waits as long as Retry-After says", "[export]") {
  HttpBackend backend({{503, "", "1", false}});
  Rig rig(yaml(backend));
  const TimePoint start = monotonic_now();
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  CHECK(monotonic_now() - start >= 1s);
}

TEST_CASE("otlphttp counts the spans of a partial success as failed", "[export]") {
  twin::ExportTraceServiceResponse response;
  response.mutable_partial_success()->set_rejected_spans(2);
  HttpBackend backend({{200, response.SerializeAsString(), "", false}});
  Rig rig(yaml(backend));
  rig.push(kept(1, 5));
  REQUIRE(rig.settled());
  CHECK(rig.exporters->stats_of(0).sent_spans == 3);
  CHECK(rig.failed(FailReason::kPartial) == 2);
}

TEST_CASE("otlphttp reads a partial success in JSON too, and a warning is none", "[export]") {
  const std::string json = "application/json; charset=utf-8";
  HttpBackend backend({{200, R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}})", "", false, json},
                       {200, R"({"partialSuccess":{"errorMessage":"soon too old"}})", "", false, json},
                       {200, "{}", "", false, "text/plain"},
                       {202, "", "", false, ""}});
  Rig rig(yaml(backend));
  for (std::uint64_t sent = 3; sent <= 18; sent += 5) {
    rig.push(kept(1, 5));
    REQUIRE(rig.sent(sent));
  }
  CHECK(rig.failed(FailReason::kPartial) == 2);
  CHECK(backend.requests().size() == 4);
}

TEST_CASE("a page or garbage with status 200 is no delivery, and the spans are sent again", "[export]") {
  const bool zipkin = GENERATE(false, true);
  CAPTURE(zipkin);
  HttpBackend backend({{200, "<html>sign in</html>", "", false, "text/html; charset=utf-8"},
                       {200, "", "", false, "Text/HTML"},
                       {zipkin ? 503u : 200u, "no protobuf"},
                       {zipkin ? 503u : 200u, "{\"partialSuccess\":", "", false, "application/json"},
                       {zipkin ? 503u : 200u, "OK", "", false, "text/plain"}});
  std::string config = yaml(backend);
  if (zipkin) config.replace(0, 8, "zipkin");
  Rig rig(config);
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  CHECK(rig.failures(FailReason::kUnavailable) == 5);
  CHECK(backend.requests().size() == 6);
}

TEST_CASE("a token in a file is read again when the backend refuses it", "[export]") {
  const bool elasticsearch = GENERATE(false, true);
  CAPTURE(elasticsearch);
  TempDir dir;
  std::ofstream(dir.at("token")) << "old\n";
  const CannedBackend backend([&](const CannedRequest& request) {
    if (request[http::field::authorization] == "Bearer new")
      return CannedAnswer{
          200, elasticsearch ? R"({"items":[{"create":{"status":201}},{"create":{"status":201}}]})" : "", {}};
    std::ofstream(dir.at("token")) << "new\n";  // it rotates while the old one is still in use
    return CannedAnswer{401, "", {}};
  });
  Rig rig(std::string(elasticsearch ? "elasticsearch: {create_templates: false" : "otlphttp: {") +
          (elasticsearch ? ", " : "") + "endpoint: '" + backend.url() + "', bearer_token_file: " + dir.at("token") +
          ", compression: none, retry_on_failure: {initial_interval: 10ms}}");
  rig.push(kept(1));
  REQUIRE(rig.sent(1));
  CHECK(backend.requests().size() == 2);
  CHECK(backend.requests().at(0)[http::field::authorization] == "Bearer old");
}

TEST_CASE("what the backend refuses for good goes to the dead letters, with the reason", "[export]") {
  TempDir dir;
  HttpBackend backend({{400, "no \"such\" tenant", "", false}});
  Rig rig(yaml(backend, "dead_letter: {path: " + dir.at("dead.json") + "}"));
  rig.push(kept(1, 3, "GET /refused"));
  REQUIRE(rig.eventually([&] { return rig.exporters->stats_of(0).dead_letter_spans == 3; }));
  rig.push(kept(2));
  REQUIRE(rig.sent(1));
  std::ifstream file(dir.at("dead.json"));
  std::string line, second;
  std::getline(file, line);
  CHECK_FALSE(std::getline(file, second));
  const auto letter = boost::json::parse(line).as_object();
  const auto& why = letter.at("tailgate").as_object();
  CHECK(why.at("exporter") == "otlphttp");
  CHECK(why.at("reason") == "permanent");
  CHECK(std::string(why.at("detail").as_string()).find("400") != std::string::npos);
  CHECK(why.at("policy") == "errors");
  const auto& span = letter.at("resourceSpans").at_pointer("/0/scopeSpans/0/spans/2");
  CHECK(span.at("name") == "GET /refused");
}

TEST_CASE("otlphttp gives up on a hanging call after its timeout and tries again", "[export]") {
  HttpBackend backend({{200, "", "", true}});
  Rig rig(yaml(backend, "timeout: 100ms"));
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  CHECK(rig.failures(FailReason::kTimeout) == 1);
}

TEST_CASE("otlphttp keeps several calls in flight and its drain obeys the deadline", "[export]") {
  HttpBackend backend({{200, "", "", true}, {200, "", "", true}});
  Rig rig(yaml(backend));
  rig.push(kept(1, 5));
  REQUIRE(rig.eventually([&] { return backend.requests().size() == 1; }));
  rig.push(kept(2, 6));
  REQUIRE(rig.eventually([&] { return backend.requests().size() == 2; }));
  rig.push(kept(3, 7));
  REQUIRE(rig.sent(7));
  const TimePoint start = monotonic_now();
  rig.drain(200ms);
  CHECK(monotonic_now() - start < 2s);
  CHECK(rig.dropped(DropReason::kShutdown) == 11);
}

TEST_CASE("calls go to each address of a name in turn, past one that has gone, and to one that is new", "[export]") {
  HttpBackend first({});
  auto second = std::make_unique<HttpBackend>(std::deque<HttpAnswer>{}, "127.0.0.2", first.port());
  std::vector<std::string> addresses = {"127.0.0.1", "127.0.0.2"};
  HttpExporterOptions options;
  options.urls = {*parse_http_url("http://localhost:" + std::to_string(first.port()) + "/")};
  options.compression = Compression::kNone;
  options.resolve = [&](const std::string& host, const std::function<void(std::vector<std::string>)>& found) {
    CHECK(host == "localhost");
    found(addresses);
  };
  Caller caller(std::move(options));
  for (int i = 0; i < 21; ++i) REQUIRE(caller.answered());
  CHECK(first.requests().size() == 11);  // the first call did not wait for the addresses
  CHECK(second->requests().size() == 10);
  CHECK(first.requests()[5][http::field::host] == "localhost:" + std::to_string(first.port()));

  second.reset();
  for (int i = 0; i < 10; ++i) REQUIRE(caller.answered());
  CHECK(first.requests().size() == 21);

  const HttpBackend third({}, "127.0.0.3", first.port());
  addresses = {"127.0.0.3", "127.0.0.1"};
  const TimePoint patience = monotonic_now() + 10s;  // a call looks the name up again a second after the failure
  while (third.requests().empty() && monotonic_now() < patience) REQUIRE(caller.answered());
  CHECK(third.requests().size() == 1);
}

TEST_CASE("an address that takes no connection costs a call its connect timeout, and is counted", "[export]") {
  HttpBackend good({});
  // It listens, and its queue of connections is full: the system drops what comes then.
  asio::io_context io;
  tcp::acceptor full(io);
  full.open(tcp::v4());
  full.bind(tcp::endpoint(asio::ip::make_address("127.0.0.2"), good.port()));
  full.listen(0);
  tcp::socket taken(io);
  taken.connect(full.local_endpoint());

  HttpExporterOptions options;
  options.urls = {*parse_http_url("http://localhost:" + std::to_string(good.port()) + "/")};
  options.compression = Compression::kNone;
  options.timeout = 60s;
  options.client.connect_timeout = 100ms;
  options.resolve = [&](const std::string&, const std::function<void(std::vector<std::string>)>& found) {
    found({"127.0.0.2", "127.0.0.1"});
  };
  Caller caller(std::move(options));
  CHECK(caller.failovers() == 0);
  REQUIRE(caller.answered());  // by the name, before its addresses are known
  const TimePoint began = monotonic_now();
  for (int i = 0; i < 4; ++i) REQUIRE(caller.answered());
  CHECK(monotonic_now() - began < 30s);
  CHECK(caller.failovers() == 1);
  CHECK(good.requests().size() == 5);
}

TEST_CASE("a server that does not speak TLS after all holds a call up for the connect timeout", "[export]") {
  asio::io_context io;
  tcp::acceptor silent(io, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
  HttpExporterOptions options;
  options.urls = {*parse_http_url("https://127.0.0.1:" + std::to_string(silent.local_endpoint().port()) + "/")};
  options.timeout = 60s;
  options.client.connect_timeout = 100ms;
  Caller caller(std::move(options));
  auto batch = std::make_shared<Batch>();
  caller.send(batch);
  std::vector<Completion> done;
  const TimePoint began = monotonic_now();
  while (done.empty()) caller.wait(1s, done);
  CHECK(monotonic_now() - began < 30s);
  CHECK(done[0].result.reason == FailReason::kTimeout);
  CHECK(caller.failovers() == 0);
}

TEST_CASE("Retry-After is read as seconds or as a date", "[export]") {
  const std::uint64_t wall = 784'111'777ULL * 1'000'000'000;  // Sun, 06 Nov 1994 08:49:37 GMT
  CHECK(parse_retry_after("120", wall) == Duration(120s));
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", wall) == Duration(60s));
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:40:37 GMT", wall) == Duration(0s));
  CHECK(parse_retry_after("99999999999999999999", wall) == Duration(24h));
  CHECK_FALSE(parse_retry_after("", wall));
  CHECK_FALSE(parse_retry_after("soon", wall));
  CHECK_FALSE(parse_retry_after("-5", wall));
}
