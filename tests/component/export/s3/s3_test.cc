// SPDX-License-Identifier: Apache-2.0
// The s3 exporter against a store that answers what the test says. Files are written by a stand-in for the module that
// writes Parquet.
#include "export/s3/s3.h"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>

#include "component/export/canned_backend.h"
#include "component/export/export_fixture.h"
#include "export/s3/reply.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

namespace http = boost::beast::http;
using tcp = boost::asio::ip::tcp;

constexpr std::uint64_t kHour = 3'600'000'000'000;

struct S3Answer {
  int status = 200;
  std::string body = "";
};

// Gives each request the next of `answers`, 200 when there is none left, and a connection of its own. An abort of an
// upload goes beside other requests, so its answer is always 204 and none of them.
class S3Store : public CannedBackend {
 public:
  explicit S3Store(std::deque<S3Answer> answers)
      : CannedBackend([next = in_turn(std::move(answers))](const CannedRequest& request) {
          const S3Answer answer = request.method() == http::verb::delete_ ? S3Answer{204} : next();
          return CannedAnswer{static_cast<unsigned>(answer.status),
                              answer.body,
                              {{"etag", "\"" + std::to_string(request.body().size()) + "\""}},
                              true};
        }) {}
  HttpUrl url() const { return {false, "127.0.0.1", std::to_string(port()), "/traces"}; }
};

// The names of its spans, one a line.
struct Names final : SpanTableWriter {
  std::string text;
  const std::size_t piece_bytes;

  explicit Names(std::size_t bytes) : piece_bytes(bytes) {}
  void add(const SpanRow& row) override { text += std::string(row.span->name) + "\n"; }
  Result<void> end_row_group() override { return {}; }
  Result<FilePieces> finish() override {
    FilePieces out;
    for (std::size_t at = 0; at < text.size(); at += piece_bytes) out.push_back(text.substr(at, piece_bytes));
    return out;
  }
};

std::unique_ptr<Exporter> exporter_to(const HttpUrl& url, std::size_t part_bytes = 1 << 20,
                                      const S3CredentialsOptions& credentials = {.given = {"key", "secret"}}) {
  S3Options options;
  options.http.urls = {url};
  options.http.timeout = 10s;
  options.http.compression = Compression::kNone;
  options.prefix = "spans/";
  options.credentials = credentials;
  options.time_range.past = std::chrono::hours(600'000);  // the tests' hours are of 1970
  options.part_bytes = part_bytes;
  options.make_table = [](const SpanTableOptions& table) { return std::make_unique<Names>(table.piece_bytes); };
  auto out = make_s3_exporter(std::move(options));
  REQUIRE(out->start());
  return out;
}

BatchPtr batch(const std::vector<std::uint64_t>& hours, const std::string& name = "n") {
  twin::TracesData data;
  auto* scope = data.add_resource_spans()->add_scope_spans();
  for (const std::uint64_t hour : hours) {
    auto* span = scope->add_spans();
    span->set_start_time_unix_nano(hour * kHour);
    span->set_name(name + std::to_string(hour));
  }
  auto trace = std::make_shared<KeptTrace>();
  trace->otlp = data.SerializeAsString();
  trace->spans = static_cast<std::uint32_t>(hours.size());
  auto out = std::make_shared<Batch>();
  out->id = 1;
  out->traces = {trace};
  out->spans = hours.size();
  return out;
}

std::string line(const CannedRequest& request) {
  return std::string(request.method_string()) + " " + std::string(request.target());
}

const std::string kBegun = "<R><UploadId>up+1</UploadId></R>";
constexpr const char* kCompleted = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";

}  // namespace

TEST_CASE("a batch is an object per hour, named by its content; of a retry only what is missing", "[export][s3]") {
  S3Store store({{}, {503, "<Error><Code>SlowDown</Code></Error>"}, {}});
  const auto exporter = exporter_to(store.url());
  const BatchPtr b = batch({1, 2});
  const SendResult first = sent(*exporter, b);
  CHECK(first.kind == SendResult::Kind::kRetry);
  CHECK(first.reason == FailReason::kRefused);
  CHECK(sent(*exporter, b).kind == SendResult::Kind::kDone);
  const auto requests = store.requests();
  REQUIRE(requests.size() == 3);
  CHECK(line(requests[0]).starts_with("PUT /traces/spans/dt%3D1970-01-01/hour%3D01/spans-"));
  CHECK(line(requests[0]).ends_with(".parquet"));
  CHECK(requests[0].body() == "n1\n");
  CHECK(requests[0]["x-amz-content-sha256"] == sha256_hex("n1\n"));
  CHECK(std::string(requests[0][http::field::authorization]).starts_with("AWS4-HMAC-SHA256 Credential=key/"));
  CHECK(exporter->misdated() == 0);
  CHECK(requests[1].body() == "n2\n");
  CHECK(line(requests[2]) == line(requests[1]));
  REQUIRE(exporter->files_written());
  CHECK(exporter->files_written()->files == 2);
  CHECK(exporter->files_written()->bytes == 6);
}

TEST_CASE("an object is there when the store names it, not when a proxy answers 200", "[export][s3]") {
  CannedBackend store([count = 0](const CannedRequest&) mutable {
    if (count++ != 0) return CannedAnswer{.headers = {{"etag", "\"e\""}}, .close = true};
    return CannedAnswer{.body = "<html>sign in", .headers = {{"content-type", "text/html"}}, .close = true};
  });
  const auto exporter = exporter_to({false, "127.0.0.1", std::to_string(store.port()), "/traces"});
  const BatchPtr b = batch({1});
  const SendResult first = sent(*exporter, b);
  CHECK(first.kind == SendResult::Kind::kRetry);
  CHECK(first.detail == "expected the ETag of the object, got HTTP status 200 with text/html: <html>sign in");
  CHECK(sent(*exporter, b).kind == SendResult::Kind::kDone);
}

TEST_CASE("a large file goes up in parts", "[export][s3]") {
  S3Store store({{200, kBegun}, {}, {}, {200, kCompleted}});
  const auto exporter = exporter_to(store.url(), 4);
  CHECK(sent(*exporter, batch({5}, "abcde")).kind == SendResult::Kind::kDone);
  const auto requests = store.requests();
  REQUIRE(requests.size() == 4);
  CHECK(line(requests[0]).ends_with(".parquet?uploads="));
  CHECK(line(requests[1]).ends_with("?partNumber=1&uploadId=up%2B1"));
  CHECK(requests[1].body() == "abcd");
  CHECK(requests[2].body() == "e5\n");
  CHECK(line(requests[3]).ends_with("?uploadId=up%2B1"));
  CHECK(requests[3].body() == complete_parts({"\"4\"", "\"3\""}));
  CHECK(exporter->files_written()->files == 1);
}

TEST_CASE("an upload in parts that fails is aborted, and begun anew", "[export][s3]") {
  const S3Answer no = {500, "<Error><Code>InternalError</Code></Error>"};
  SECTION("at a part") {
    S3Store store({{200, kBegun}, no, {200, kBegun}, {}, {}, {200, kCompleted}});
    const auto exporter = exporter_to(store.url(), 4);
    const BatchPtr b = batch({5}, "abcde");
    CHECK(sent(*exporter, b).reason == FailReason::kUnavailable);
    CHECK(sent(*exporter, b).kind == SendResult::Kind::kDone);
    std::vector<std::string> methods;
    std::vector<Completion> none;
    for (int i = 0; store.requests().size() < 7 && i < 1000; ++i) exporter->wait(10ms, none);
    for (const CannedRequest& r : store.requests()) methods.emplace_back(r.method_string());
    std::sort(methods.begin(), methods.end());  // the abort and the new attempt go side by side
    CHECK(methods == std::vector<std::string>{"DELETE", "POST", "POST", "POST", "PUT", "PUT", "PUT"});
  }
  SECTION("at its end, where somebody else says 200") {
    S3Store store({{200, kBegun}, {}, {}, {200, "<html>welcome</html>"}});
    const auto exporter = exporter_to(store.url(), 4);
    CHECK(sent(*exporter, batch({5}, "abcde")).kind == SendResult::Kind::kRetry);
    CHECK(exporter->files_written()->files == 0);
  }
  SECTION("at its end, with status 200") {
    S3Store store({{200, kBegun}, {}, {}, {200, "<Error><Code>InternalError</Code></Error>"}});
    const auto exporter = exporter_to(store.url(), 4);
    CHECK(sent(*exporter, batch({5}, "abcde")).reason == FailReason::kUnavailable);
    CHECK(exporter->files_written()->files == 0);
  }
}

TEST_CASE("spans that cannot be read are rejected, the others stored", "[export][s3]") {
  S3Store store({});
  const auto exporter = exporter_to(store.url());
  auto torn = std::make_shared<KeptTrace>();
  torn->otlp = "\x0a\x05nope";
  torn->spans = 2;
  auto b = std::make_shared<Batch>(*batch({1}));
  b->traces.push_back(torn);
  const SendResult result = sent(*exporter, b);
  CHECK(result.kind == SendResult::Kind::kDone);
  CHECK(result.rejected_spans == 2);
  REQUIRE(result.rejected.size() == 1);
  CHECK(result.rejected[0].index == 1);
  CHECK(store.requests().size() == 1);
}

TEST_CASE("a store or a server of keys that does not answer does not hold up the end", "[export][s3]") {
  boost::asio::io_context io;
  tcp::acceptor silent(io, {boost::asio::ip::make_address("127.0.0.1"), 0});
  const std::string port = std::to_string(silent.local_endpoint().port());
  const HttpUrl store{false, "127.0.0.1", port, "/traces"};
  const bool keys = GENERATE(false, true);
  const auto exporter =
      keys ? exporter_to(store, 1 << 20, {.url = {false, "127.0.0.1", port, "/keys"}}) : exporter_to(store);
  exporter->send(batch({1}));
  std::vector<Completion> done;
  exporter->wait(50ms, done);
  CHECK(done.empty());
  const TimePoint began = monotonic_now();
  exporter->cancel();
  exporter->wait(5s, done);
  REQUIRE(done.size() == 1);
  CHECK(done[0].result.kind == SendResult::Kind::kRetry);
  CHECK(monotonic_now() - began < 2s);
}

TEST_CASE("past the end's deadline no file is begun, and its batch stays", "[export][s3]") {
  S3Store store({});
  const auto exporter = exporter_to(store.url());
  const BatchPtr b = batch({1, 2});
  exporter->end_by(monotonic_now());
  CHECK(sent(*exporter, b).kind == SendResult::Kind::kRetry);
  CHECK(store.requests().empty());
  exporter->end_by(monotonic_now() + 60s);
  CHECK(sent(*exporter, b).kind == SendResult::Kind::kDone);
  CHECK(store.requests().size() == 2);
}

TEST_CASE("a role's keys are asked for once, and again when the store refuses them", "[export][s3]") {
  const std::string keys =
      "<R><AccessKeyId>temp</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
      "<SessionToken>tok</SessionToken></R>";
  S3Store sts({{503}, {200, keys}, {200, keys}});
  S3Store store({{}, {400, "<Error><Code>ExpiredToken</Code></Error>"}, {}});
  TempDir dir;
  std::ofstream(dir.at("token")) << "a+b\n";
  S3CredentialsOptions role{.url = sts.url(), .token_file = dir.at("token"), .web_identity = true};
  role.url.path = "/?Action=AssumeRoleWithWebIdentity";
  const auto exporter = exporter_to(store.url(), 1 << 20, role);
  const BatchPtr b = batch({1, 2});
  const SendResult first = sent(*exporter, b);
  CHECK(first.kind == SendResult::Kind::kRetry);
  CHECK(first.detail.find("no credentials: 127.0.0.1:") != std::string::npos);
  CHECK(store.requests().empty());
  CHECK(sent(*exporter, b).kind == SendResult::Kind::kRetry);
  CHECK(sent(*exporter, b).kind == SendResult::Kind::kDone);
  REQUIRE(store.requests().size() == 3);
  CHECK(store.requests()[0]["x-amz-security-token"] == "tok");
  REQUIRE(sts.requests().size() == 3);
  CHECK(line(sts.requests()[1]) == "POST /");
  CHECK(sts.requests()[1][http::field::content_type] == "application/x-www-form-urlencoded");
  CHECK(sts.requests()[1].body() == "Action=AssumeRoleWithWebIdentity&WebIdentityToken=a%2Bb");
}

TEST_CASE("a container's keys are asked for with its token", "[export][s3]") {
  S3Store agent(
      {{200,
        R"({"AccessKeyId" : "temp", "SecretAccessKey":"s\/x","Token":"tok","Expiration":"2026-01-01T00:00:00Z"})"}});
  S3Store store({});
  S3CredentialsOptions role{.url = agent.url(), .token = "Bearer x"};
  CHECK(sent(*exporter_to(store.url(), 1 << 20, role), batch({1})).kind == SendResult::Kind::kDone);
  REQUIRE(agent.requests().size() == 1);
  CHECK(line(agent.requests()[0]) == "GET /traces");
  CHECK(agent.requests()[0][http::field::authorization] == "Bearer x");
  CHECK(std::string(store.requests().at(0)[http::field::authorization]).find("Credential=temp/") != std::string::npos);
}

TEST_CASE("keys and tokens that would break a header are not used, nor told", "[export][s3]") {
  S3Store store({});
  const auto detail = [&](const S3CredentialsOptions& role) {
    const SendResult result = sent(*exporter_to(store.url(), 1 << 20, role), batch({1}));
    CHECK(result.kind == SendResult::Kind::kRetry);
    CHECK(store.requests().empty());
    CHECK(result.detail.find("hush") == std::string::npos);
    return result.detail;
  };
  S3Store agent({{200, R"({"AccessKeyId":"a","SecretAccessKey":"hush","Token":"hush\nX-Evil: 1"})"}});
  CHECK(detail({.url = agent.url(), .token = "t"}).ends_with("are not printable ASCII"));
  TempDir dir;
  std::ofstream(dir.at("token")) << "hush\r\nX-Evil: 1\n";
  CHECK(detail({.url = agent.url(), .token_file = dir.at("token")}).find("expected a token in") != std::string::npos);
  CHECK(detail({.url = agent.url(), .token_file = dir.at("none"), .web_identity = true}).find("expected a token in") !=
        std::string::npos);
  CHECK(agent.requests().size() == 1);
}

TEST_CASE("a module that is missing is told at the start", "[export][s3]") {
  S3Options options;
  options.http.urls = {{false, "127.0.0.1", "1", "/traces"}};
  options.module = "/nonexistent/libtailgate_parquet.so";
  const Result<void> started = make_s3_exporter(std::move(options))->start();
  REQUIRE_FALSE(started);
  CHECK(started.error().text.find("cannot load /nonexistent/libtailgate_parquet.so") != std::string::npos);
}

TEST_CASE("a module of another build is not taken, however alike it is", "[export][s3]") {
  S3Options options;
  options.http.urls = {{false, "127.0.0.1", "1", "/traces"}};
  options.module = TAILGATE_OTHER_BUILD;
  const Result<void> started = make_s3_exporter(std::move(options))->start();
  REQUIRE_FALSE(started);
  CHECK(started.error().text.ends_with("is of another build than this program"));
}
