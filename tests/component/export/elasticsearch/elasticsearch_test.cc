// SPDX-License-Identifier: Apache-2.0
// The elasticsearch exporter against a server that answers what the test says.
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>

#include "component/export/canned_backend.h"
#include "component/export/export_fixture.h"
#include "wire/jaeger/json.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

namespace http = boost::beast::http;

// PUT gets 200; each POST the next of `answers`, and then 503; each a connection of its own.
class Cluster : public CannedBackend {
 public:
  explicit Cluster(std::deque<std::string> answers)
      : CannedBackend(
            [next = in_turn<std::string>(std::move(answers), "no answer left")](const CannedRequest& request) {
              if (request.method() != http::verb::post)
                return CannedAnswer{.body = R"({"acknowledged":true})", .close = true};
              CannedAnswer out{.body = next(), .close = true};
              if (out.body == "no answer left") out.status = 503;
              if (out.body == "too large") out.status = 413;
              if (out.body == "ok") out.body = accepts_all(request.body());
              return out;
            }) {}

 private:
  static std::string accepts_all(const std::string& bulk) {
    std::string out = R"({"errors":false,"items":[)";
    for (auto n = std::count(bulk.begin(), bulk.end(), '\n') / 2; n > 0; --n)
      out += std::string(R"({"create":{"status":201}})") + (n > 1 ? "," : "]}");
    return out;
  }
};

std::string yaml_for(const std::string& url, const std::string& more = "") {
  return "elasticsearch: {endpoint: '" + url +
         "', compression: none, user: me, password: secret, retry_on_failure: {initial_interval: 10ms}, sending_queue: "
         "{num_consumers: 1}" +
         more + "}";
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("only the items the cluster had no room for are sent again", "[export][elasticsearch]") {
  // A service document, then three spans: there already, no room, not to be taken.
  Cluster cluster({R"({"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"v"}}},
                      {"create":{"status":429,"error":{"type":"rejected"}}},
                      {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no"}}}]})",
                   R"({"errors":false,"items":[{"create":{"status":201}}]})"});
  TempDir dir;
  Rig rig(yaml_for(cluster.url(), ", dead_letter: {path: " + dir.at("dead.json") + "}"));
  rig.push(kept(1, 3));
  REQUIRE(rig.settled());
  CHECK(rig.failures(FailReason::kRefused) == 1);
  CHECK(rig.failed(FailReason::kPartial) == 1);
  CHECK(rig.exporters->stats_of(0).sent_spans == 2);
  const auto requests = cluster.requests();
  REQUIRE(requests.size() == 4);
  CHECK(requests[0].target() == "/_index_template/jaeger-span");
  CHECK(requests[1].target() == "/_index_template/jaeger-service");
  CHECK(requests[2].target().starts_with("/_bulk"));
  CHECK(requests[2][http::field::authorization] == "Basic bWU6c2VjcmV0");
  CHECK(requests[2][http::field::content_type] == "application/x-ndjson");
  CHECK(lines(requests[2].body()) == 8);
  CHECK(lines(requests[3].body()) == 2);
  CHECK(requests[2].body().find(requests[3].body()) != std::string::npos);
  rig.drain(1s);
  std::ifstream dead(dir.at("dead.json"));
  const std::string letters{std::istreambuf_iterator<char>(dead), {}};
  CHECK(letters.find("mapper_parsing_exception") != std::string::npos);
}

TEST_CASE("half an answer is tried again, and an item refused whole is final", "[export][elasticsearch]") {
  Cluster cluster({R"({"errors":false,"items":[{"create":{"status":201}}]})", "<html>",
                   R"({"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":"no"}}]})"});
  Rig rig(yaml_for(cluster.url(), ", create_templates: false, index_prefix: prod"));
  rig.push(kept(1));
  REQUIRE(rig.settled());
  CHECK(rig.failures(FailReason::kUnavailable) == 2);
  CHECK(rig.failed(FailReason::kPermanent) == 1);
  CHECK(cluster.requests().at(0).body().find("\"prod-jaeger-service-2") != std::string::npos);
}

TEST_CASE("a sender's clock makes no indices outside the time range, and its spans are counted",
          "[export][elasticsearch]") {
  Cluster cluster({R"({"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},
                      {"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]})"});
  Rig rig(yaml_for(cluster.url(), ", create_templates: false, time_range: {past: 100h}"));
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  const std::uint64_t now = wall_now_ns();
  twin::TracesData data;
  data.ParseFromString(kept(1, 3)->otlp);
  auto& spans = *data.mutable_resource_spans(0)->mutable_scope_spans(0);
  spans.mutable_spans(0)->set_start_time_unix_nano(now - 99 * kHour);
  spans.mutable_spans(1)->set_start_time_unix_nano(now + 70 * 365 * 24 * kHour);  // the third has no time
  const auto trace = std::make_shared<KeptTrace>();
  static_cast<TraceSummary&>(*trace) = *kept(1);
  trace->spans = 3;
  trace->otlp = data.SerializeAsString();
  rig.push(trace);
  REQUIRE(rig.settled());
  const std::string body = cluster.requests().at(0).body();
  const auto has = [&](const std::string& index) { return body.find("\"" + index + "\"") != std::string::npos; };
  CHECK(has("jaeger-span-" + utc_date(now - 99 * kHour)));
  CHECK(has("jaeger-service-" + utc_date(now - 99 * kHour)));
  CHECK((has("jaeger-span-" + utc_date(now)) || has("jaeger-span-" + utc_date(wall_now_ns()))));  // at midnight
  CHECK(body.find("1970") == std::string::npos);
  CHECK_FALSE(has("jaeger-span-" + utc_date(now + 70 * 365 * 24 * kHour)));
  CHECK(rig.exporters->stats_of(0).misdated_spans == 2);
}

TEST_CASE("a proxy's page is not the answer to an index template", "[export][elasticsearch]") {
  CannedBackend cluster([count = 0](const CannedRequest& request) mutable {
    if (request.method() == http::verb::post)
      return CannedAnswer{.body = R"({"items":[{"create":{"status":201}},{"create":{"status":201}}]})"};
    if (count++ == 0) return CannedAnswer{.body = "<html>sign in</html>", .headers = {{"content-type", "text/html"}}};
    return CannedAnswer{.body = R"({"acknowledged":true})"};
  });
  Rig rig(yaml_for(cluster.url()));
  rig.push(kept(1));
  REQUIRE(rig.sent(1));
  CHECK(rig.failures(FailReason::kUnavailable) == 1);
  CHECK(cluster.requests().size() == 4);
}

TEST_CASE("a request the cluster finds too large is cut, down to a document alone", "[export][elasticsearch]") {
  Cluster cluster({"too large", "ok", "ok", "ok", "too large", "too large"});
  Rig rig(yaml_for(cluster.url(), ", create_templates: false"));
  rig.push(kept(1, 8));
  REQUIRE(rig.sent(8));
  const auto cut = cluster.requests();
  REQUIRE(cut.size() >= 3);
  CHECK(lines(cut[0].body()) == 18);  // a service, and the spans
  CHECK(cut[1].body().size() <= cut[0].body().size() / 2);
  CHECK(cut[0].body().starts_with(cut[1].body()));

  Cluster strict({"too large", "too large", "too large"});
  Rig alone(yaml_for(strict.url(), ", create_templates: false"));
  alone.push(kept(1));
  REQUIRE(alone.settled());
  CHECK(alone.failed(FailReason::kPermanent) == 1);
  CHECK(strict.requests().size() == 3);  // both, the service, the span
}

TEST_CASE("what an operator can mend is tried again", "[export][elasticsearch]") {
  Cluster cluster({R"({"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":)"
                   R"("validation_exception","reason":"this action would add [1] shards, but this cluster currently )"
                   R"(has [1000]/[1000] maximum normal shards open"}}}]})",
                   R"({"errors":true,"items":[{"create":{"status":403,"error":{"type":"cluster_block_exception"}}}]})",
                   "ok"});
  Rig rig(yaml_for(cluster.url(), ", create_templates: false"));
  rig.push(kept(1));
  REQUIRE(rig.sent(1));
  CHECK(rig.failures(FailReason::kUnavailable) == 2);
}

TEST_CASE("a batch that its resources make large goes in several requests", "[export][elasticsearch]") {
  const bool zipkin = GENERATE(false, true);
  std::deque<std::string> answers(20, "ok");
  Cluster cluster(answers);
  Rig rig(zipkin ? "zipkin: {endpoint: '" + cluster.url() + "', compression: none, sending_queue: {num_consumers: 1}}"
                 : yaml_for(cluster.url(), ", create_templates: false"));
  twin::TracesData data;
  REQUIRE(data.ParseFromString(kept(1, 400)->otlp));
  auto* attribute = data.mutable_resource_spans(0)->mutable_resource()->add_attributes();
  attribute->set_key("process.command_args");
  attribute->mutable_value()->set_string_value(std::string(50'000, 'c'));
  for (auto& span : *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans())  // large enough for it
    span.add_attributes()->mutable_value()->set_string_value(std::string(3'000, 's'));
  auto trace = std::make_shared<KeptTrace>();
  static_cast<TraceSummary&>(*trace) = *kept(1);
  trace->otlp = data.SerializeAsString();
  trace->spans = 400;
  rig.push(trace);
  REQUIRE(rig.sent(400));
  const auto requests = cluster.requests();
  CHECK(requests.size() >= 3);
  std::size_t spans = 0;
  for (const auto& r : requests) {
    CHECK(r.body().size() < 9 << 20);
    for (std::size_t at = 0; (at = r.body().find("process.command_args", at)) != std::string::npos; ++at) ++spans;
  }
  CHECK(spans == 400);
}
