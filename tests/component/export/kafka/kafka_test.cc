// SPDX-License-Identifier: Apache-2.0
// The kafka exporter against librdkafka's own mock broker, which lives in the client.
#include "export/kafka/kafka.h"

#include <future>

#include "component/export/export_fixture.h"
#include "net/kafka/lookup.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<Exporter> exporter_with(std::size_t max_message_bytes, const std::string& brokers = "") {
  KafkaOptions options;
  options.max_message_bytes = max_message_bytes;
  options.properties = {{"message.max.bytes", std::to_string(max_message_bytes)},
                        {"enable.idempotence", "true"},
                        {"acks", "all"},
                        {"message.timeout.ms", brokers.empty() ? "20000" : "300"}};
  if (brokers.empty()) {
    options.properties.emplace_back("test.mock.num.brokers", "1");
  } else {
    options.properties.emplace_back("bootstrap.servers", brokers);
  }
  auto exporter = make_kafka_exporter(options);
  const Result<void> started = exporter->start();
  if (!started) FAIL(started.error().text);
  return exporter;
}

BatchPtr batch_of(std::vector<KeptTracePtr> traces, std::uint64_t id = 7) {
  auto batch = std::make_shared<Batch>();
  batch->id = id;
  for (const KeptTracePtr& t : traces) batch->spans += t->spans;
  batch->traces = std::move(traces);
  return batch;
}

}  // namespace

TEST_CASE("a batch is done when each of its messages is acknowledged", "[export][kafka]") {
  const auto exporter = exporter_with(1'000'000);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    const SendResult result = sent(*exporter, batch_of({kept(1), kept(2, 3), kept(3)}, id));
    CHECK(result.kind == SendResult::Kind::kDone);
    CHECK(result.rejected_spans == 0);
  }
}

TEST_CASE("a trace over the limit of a message goes in several, a span over it is rejected alone", "[export][kafka]") {
  const auto exporter = exporter_with(4000);
  CHECK(sent(*exporter, batch_of({kept(1, 100, std::string(100, 'x'))})).kind == SendResult::Kind::kDone);
  const SendResult some = sent(*exporter, batch_of({kept(1), kept(2, 2, std::string(5000, 'x')), kept(3)}));
  CHECK(some.kind == SendResult::Kind::kDone);
  CHECK(some.rejected_spans == 2);
  REQUIRE(some.rejected.size() == 1);
  CHECK(some.rejected[0].index == 1);
  CHECK(some.rejected[0].spans == 2);
  CHECK(some.rejected[0].why.find("too large") != std::string::npos);
  const SendResult all = sent(*exporter, batch_of({kept(2, 1, std::string(5000, 'x'))}));
  CHECK(all.kind == SendResult::Kind::kPermanent);
  CHECK(all.reason == FailReason::kRefused);
}

TEST_CASE("without a broker a batch comes back to be tried again, and so it does when it is cancelled",
          "[export][kafka]") {
  const auto exporter = exporter_with(1'000'000, "127.0.0.1:1");
  const BatchPtr batch = batch_of({kept(1), kept(2)});
  for (int attempt = 0; attempt < 2; ++attempt) {
    const SendResult result = sent(*exporter, batch);
    CHECK(result.kind == SendResult::Kind::kRetry);
    CHECK(result.reason == FailReason::kTimeout);
    CHECK(result.detail.find("127.0.0.1:1") != std::string::npos);
  }
  exporter->send(batch);
  exporter->cancel();
  std::vector<Completion> done;
  for (int i = 0; i < 100 && done.empty(); ++i) exporter->wait(100ms, done);
  REQUIRE(done.size() == 1);
  CHECK(done[0].result.kind == SendResult::Kind::kRetry);
}

TEST_CASE("a name that nobody answers for does not hold up the end of librdkafka's threads", "[export][kafka]") {
  static std::promise<void> go, left;
  KafkaLookup lookup([](const char*, const char*, const addrinfo*, addrinfo**) {
    go.get_future().wait();
    left.set_value();
    return EAI_FAIL;
  });
  addrinfo* found = nullptr;
  std::future<int> waits = std::async(std::launch::async, [&] { return lookup.look_up("a", "9092", nullptr, &found); });
  CHECK(waits.wait_for(10ms) == std::future_status::timeout);
  lookup.end();
  CHECK(waits.get() == EAI_AGAIN);
  CHECK(lookup.look_up("a", "9092", nullptr, &found) == EAI_AGAIN);
  CHECK(found == nullptr);
  go.set_value();
  left.get_future().wait();

  KafkaLookup system;
  REQUIRE(system.look_up("127.0.0.1", "9092", nullptr, &found) == 0);
  REQUIRE(found != nullptr);
  ::freeaddrinfo(found);
}

TEST_CASE("waking ends a wait, also before it has begun", "[export][kafka]") {
  const auto exporter = exporter_with(1'000'000);
  std::vector<Completion> done;
  exporter->wait(0s, done);
  exporter->wake();
  const TimePoint begun = monotonic_now();
  exporter->wait(20s, done);
  CHECK(monotonic_now() - begun < Duration(10s));
  CHECK(done.empty());
}
