// The elasticsearch exporter against a server that answers what the test says.
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <mutex>

#include "component/export/export_fixture.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

namespace http = boost::beast::http;
using tcp = boost::asio::ip::tcp;

// Takes one connection after the other. PUT gets 200; each POST the next of `answers`, and then 503.
class Cluster {
 public:
  explicit Cluster(std::deque<std::string> answers) : answers_(std::move(answers)), thread_([this] { run(); }) {}
  ~Cluster() {
    stopped_ = true;
    boost::asio::io_context io;
    tcp::socket poke(io);
    boost::system::error_code ignored;
    poke.connect(acceptor_.local_endpoint(), ignored);
    poke.close();
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }
  std::vector<http::request<http::string_body>> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void run() {
    while (!stopped_) {
      tcp::socket socket(io_);
      boost::system::error_code ec;
      acceptor_.accept(socket, ec);
      boost::beast::flat_buffer buffer;
      while (!stopped_ && !ec) {
        http::request_parser<http::string_body> parser;
        parser.body_limit(64 << 20);
        http::read(socket, buffer, parser, ec);
        if (ec) break;
        http::request<http::string_body> request = parser.release();
        http::response<http::string_body> response(http::status::ok, 11);
        if (request.method() == http::verb::post) {
          if (answers_.empty()) response.result(503);
          if (!answers_.empty()) {
            response.body() = answers_.front();
            answers_.pop_front();
          }
          if (response.body() == "too large") response.result(http::status::payload_too_large);
          if (response.body() == "ok") {  // to every item
            response.body() = R"({"errors":false,"items":[)";
            for (auto n = std::count(request.body().begin(), request.body().end(), '\n') / 2; n > 0; --n)
              response.body() += std::string(R"({"create":{"status":201}})") + (n > 1 ? "," : "]}");
          }
        }
        {
          const std::lock_guard lock(mutex_);
          requests_.push_back(std::move(request));
        }
        response.keep_alive(false);
        response.prepare_payload();
        http::write(socket, response, ec);
        socket.shutdown(tcp::socket::shutdown_both, ec);
        break;
      }
    }
  }

  boost::asio::io_context io_;
  tcp::acceptor acceptor_{io_, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::vector<http::request<http::string_body>> requests_;
  std::deque<std::string> answers_;
  std::thread thread_;
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
  CHECK(cluster.requests().at(0).body().find("\"prod-jaeger-service-1970-01-01\"") != std::string::npos);
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
