// SPDX-License-Identifier: Apache-2.0
// What becomes of verdicts that librdkafka or the brokers do not take, with a librdkafka of this test's own.
#include "receive/kafka/verdict_topic.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <utility>

#include "support/otlp_builder.h"
#include "support/times.h"

namespace tailgate {
namespace {

struct Taken {
  std::int32_t partition;
  std::string key, value;
  void* opaque;
};

// As much of librdkafka as a producer of verdicts needs. One thread.
struct Broker {
  rd_kafka_resp_err_t (*refuses)(const Taken& one) = nullptr;  // a message when it is produced
  std::vector<std::size_t> calls;                              // of produce_batch: how many each had
  std::vector<Taken> taken, reported;                          // reported: with a good report
  rd_kafka_resp_err_t report = RD_KAFKA_RESP_ERR__WAIT_COORD;  // of the next poll; WAIT_COORD: none
  void (*on_report)(rd_kafka_t*, const rd_kafka_message_t*, void*) = nullptr;
  void* opaque = nullptr;
};
Broker* broker = nullptr;

template <class Handle>
Handle* handle() {
  return reinterpret_cast<Handle*>(broker);
}

int produce_batch(rd_kafka_topic_t*, std::int32_t, int flags, rd_kafka_message_t* messages, int count) {
  CHECK(flags == (RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION));
  broker->calls.push_back(static_cast<std::size_t>(count));
  int good = 0;
  for (int i = 0; i != count; ++i) {
    rd_kafka_message_t& m = messages[i];
    Taken one{m.partition, std::string(static_cast<const char*>(m.key), m.key_len),
              std::string(static_cast<const char*>(m.payload), m.len), m._private};
    m.err = broker->refuses != nullptr ? broker->refuses(one) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (m.err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    broker->taken.push_back(std::move(one));
    ++good;
  }
  return good;
}

int poll(rd_kafka_t*, int) {
  if (broker->report == RD_KAFKA_RESP_ERR__WAIT_COORD) return 0;
  for (Taken& one : std::exchange(broker->taken, {})) {
    rd_kafka_message_t m{};
    m.err = broker->report;
    m.partition = one.partition;
    m.key = one.key.data();
    m.key_len = one.key.size();
    m.payload = one.value.data();
    m.len = one.value.size();
    m._private = one.opaque;
    broker->on_report(nullptr, &m, broker->opaque);
    if (m.err == RD_KAFKA_RESP_ERR_NO_ERROR) broker->reported.push_back(std::move(one));
  }
  return 0;
}

KafkaLibrary library() {
  KafkaLibrary out;
  out.conf_new = [] { return handle<rd_kafka_conf_t>(); };
  out.conf_destroy = [](rd_kafka_conf_t*) {};
  out.conf_set = [](rd_kafka_conf_t*, const char*, const char*, char*, std::size_t) { return RD_KAFKA_CONF_OK; };
  out.conf_set_opaque = [](rd_kafka_conf_t*, void* opaque) { broker->opaque = opaque; };
  out.conf_set_error_cb = [](rd_kafka_conf_t*, void (*)(rd_kafka_t*, int, const char*, void*)) {};
  out.conf_set_log_cb = [](rd_kafka_conf_t*, void (*)(const rd_kafka_t*, int, const char*, const char*)) {};
  out.conf_set_dr_msg_cb = [](rd_kafka_conf_t*, void (*f)(rd_kafka_t*, const rd_kafka_message_t*, void*)) {
    broker->on_report = f;
  };
  out.create = [](rd_kafka_type_t, rd_kafka_conf_t*, char*, std::size_t) { return handle<rd_kafka_t>(); };
  out.destroy = [](rd_kafka_t*) {};
  out.topic_new = [](rd_kafka_t*, const char*, rd_kafka_topic_conf_t*) { return handle<rd_kafka_topic_t>(); };
  out.topic_destroy = [](rd_kafka_topic_t*) {};
  out.err2str = [](rd_kafka_resp_err_t) { return "refused"; };
  out.purge = [](rd_kafka_t*, int) { return RD_KAFKA_RESP_ERR_NO_ERROR; };
  out.poll = poll;
  out.produce_batch = produce_batch;
  return out;
}

struct World {
  Broker fake;
  const KafkaLibrary kafka = library();
  KafkaLookup lookup;
  VerdictTopic topic{{"verdicts", "spans", "group", {}, {}}, kafka, lookup};
  World() {
    broker = &fake;
    REQUIRE(topic.open());
  }
  ~World() { broker = nullptr; }
  void write(std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t n = from; n != to; ++n) {
      Verdict verdict;
      verdict.decision = n % 2 == 0 ? Decision::kSampled : Decision::kNotSampled;
      topic.write(static_cast<std::int32_t>(n % 7), test::id_of_trace(n), verdict, words(n));
    }
  }
  static std::string words(std::uint64_t n) { return std::string(n % 50, 'w') + std::to_string(n); }
  // That the broker has those of 1 to `end` less 1, each once and as it was written.
  void check_all(std::uint64_t end) const {
    std::map<std::string, const Taken*> by_key;
    for (const Taken& one : fake.reported) by_key[one.key] = &one;
    CHECK(by_key.size() == fake.reported.size());
    REQUIRE(by_key.size() == end - 1);
    for (std::uint64_t n = 1; n != end; ++n) {
      INFO("verdict " << n);
      const auto at = by_key.find(test::id_of_trace(n).hex());
      REQUIRE(at != by_key.end());
      CHECK(at->second->partition == static_cast<std::int32_t>(n % 7));
      const auto read = read_verdict_record(at->second->key, at->second->value);
      REQUIRE(read);
      CHECK(read->words == words(n));
      CHECK((read->verdict.decision == Decision::kSampled) == (n % 2 == 0));
    }
  }
};

using test::at;
using namespace std::chrono_literals;

TEST_CASE("verdicts are handed over a thousand at a time, and the rest at the next poll", "[receive]") {
  World world;
  world.write(1, 2501);
  CHECK(world.fake.calls == std::vector<std::size_t>{1000, 1000});
  const std::uint64_t epoch = world.topic.end_epoch();
  world.topic.poll(at(0s));
  CHECK(world.fake.calls == std::vector<std::size_t>{1000, 1000, 500});
  CHECK_FALSE(world.topic.acknowledged(epoch));
  world.fake.report = RD_KAFKA_RESP_ERR_NO_ERROR;
  world.topic.poll(at(0s));
  CHECK(world.topic.acknowledged(epoch));
  CHECK(world.topic.waiting() == 0);
  world.check_all(2501);
}

TEST_CASE("verdicts that librdkafka does not take are sent again, and count as not written until then", "[receive]") {
  World world;
  world.fake.report = RD_KAFKA_RESP_ERR_NO_ERROR;
  world.fake.refuses = [](const Taken& one) {
    return one.partition == 3 ? RD_KAFKA_RESP_ERR__QUEUE_FULL : RD_KAFKA_RESP_ERR_NO_ERROR;
  };
  world.write(1, 2501);
  const std::uint64_t epoch = world.topic.end_epoch();
  world.topic.poll(at(0s));  // sends again what was refused, once
  world.topic.poll(at(500ms));
  CHECK(world.topic.waiting() == 357);
  CHECK_FALSE(world.topic.acknowledged(epoch));
  world.fake.refuses = nullptr;
  world.topic.poll(at(900ms));
  CHECK(world.topic.waiting() == 357);  // a second has not passed
  world.topic.poll(at(1s));
  world.topic.poll(at(1s));
  CHECK(world.topic.acknowledged(epoch));
  world.check_all(2501);
}

TEST_CASE("verdicts that the brokers do not take are sent again", "[receive]") {
  World world;
  world.write(1, 101);
  const std::uint64_t epoch = world.topic.end_epoch();
  world.fake.report = RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
  world.topic.poll(at(0s));
  CHECK(world.topic.stats().failed == 100);
  CHECK_FALSE(world.topic.acknowledged(epoch));
  world.fake.report = RD_KAFKA_RESP_ERR_NO_ERROR;
  world.topic.poll(at(1s));
  CHECK(world.topic.acknowledged(epoch));
  CHECK(world.topic.stats().written == 100);
  world.check_all(101);
}

}  // namespace
}  // namespace tailgate
