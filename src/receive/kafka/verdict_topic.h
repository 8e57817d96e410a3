// SPDX-License-Identifier: Apache-2.0
// VerdictTopic: the compacted topic that has the verdicts of the traces of another topic, each in the partition with
// the number of its trace's. Who gets a partition reads its verdicts first; who decides a trace writes its verdict, and
// commits no offset of its spans before the brokers have it.
//
// Threads: the consumer's. librdkafka's own threads only look names up, with `lookup`.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "net/kafka/library.h"
#include "net/kafka/lookup.h"
#include "receive/kafka/epochs.h"
#include "receive/kafka/verdict_record.h"
#include "telemetry/log.h"

namespace tailgate {

class VerdictTopic {
 public:
  struct Options {
    std::string topic, spans_topic, group;
    Duration read_back{};  // zero: all
    KafkaProperties connection;
  };
  struct Stats {
    std::atomic<std::uint64_t> written{0}, failed{0}, read{0}, unreadable{0};
  };

  // `library` and `lookup` outlive it.
  VerdictTopic(Options options, const KafkaLibrary& library, KafkaLookup& lookup);
  ~VerdictTopic();
  VerdictTopic(const VerdictTopic&) = delete;
  VerdictTopic& operator=(const VerdictTopic&) = delete;

  Result<void> open();

  // Reads these partitions up to their present ends. Waits for brokers that do not answer; false: `stop` said so. The
  // log says every ten seconds what it waits for.
  bool read(std::span<const std::int32_t> partitions, const std::function<bool()>& stop,
            const std::function<void(const ReadVerdict&)>& take);

  // Sent with the next poll(), or before.
  void write(std::int32_t partition, const TraceId& id, const Verdict& verdict, std::string_view words);
  // Sends what is written, and again what failed; takes the reports of the brokers.
  void poll(TimePoint now);
  // Of messages written until now, for acknowledged().
  std::uint64_t end_epoch() { return epochs_.end(); }
  bool acknowledged(std::uint64_t epoch) const { return epochs_.acknowledged(epoch); }
  std::uint64_t waiting() const { return epochs_.open(); }
  const Stats& stats() const { return stats_; }

 private:
  struct Message {
    std::int32_t partition;
    std::string key, value;
    std::uint64_t epoch;
  };
  Result<void> read_once(std::span<const std::int32_t> partitions, const std::function<bool()>& stop,
                         const std::function<void(const ReadVerdict&)>& take);
  Result<std::int32_t> partitions_of(rd_kafka_t* client, const std::string& topic) const;
  Result<rd_kafka_t*> make(rd_kafka_type_t type, const KafkaProperties& properties);
  void add(std::int32_t partition, std::size_t key, std::size_t value, std::uint64_t epoch);
  void send();
  void send_again(const rd_kafka_message_t& message);
  void take(const rd_kafka_message_t& message, const std::function<void(const ReadVerdict&)>& take);
  static void on_report(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque);
  static void on_error(rd_kafka_t*, int code, const char* text, void* opaque);
  static int on_resolve(const char* node, const char* service, const addrinfo* hints, addrinfo** found, void* opaque);

  const Options options_;
  const KafkaLibrary& kafka_;
  KafkaLookup& lookup_;
  rd_kafka_t* producer_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
  Epochs epochs_;
  std::vector<rd_kafka_message_t> written_;  // and not sent yet
  std::string bytes_;                        // their keys and values, one behind the other
  std::vector<Message> failed_;              // to be sent again
  TimePoint again_{};
  std::string last_error_;
  LogLimiter log_{std::chrono::seconds(10)};
  Stats stats_;
};

}  // namespace tailgate
