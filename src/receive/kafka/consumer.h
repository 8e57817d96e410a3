// SPDX-License-Identifier: Apache-2.0
// KafkaConsumer: one member of a consumer group, from the records of its partitions to the spans that it hands in, and
// back to the offsets that it commits.
//
// An offset is committed when every trace that began before its record is settled (receive/reread.h) and the verdicts
// of the decided ones are in the verdicts topic, where there is one. A partition that is taken away is let go of: its
// last settled offset is committed, and its open traces are forgotten. While memory is short all partitions are paused,
// and what is at hand is tried again.
//
//   poll -> take: convert, several records of a partition are one request -> hand_in -> OffsetTracker
//   each second: cycle: what is decided? -> verdicts acknowledged? -> what is delivered? -> commit
//
// Threads: one of its own does all of it, librdkafka's callbacks included, which come out of poll. drain(), finish()
// and stats() are for others.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/byte_budget.h"
#include "base/mutex.h"
#include "net/kafka/library.h"
#include "net/kafka/lookup.h"
#include "receive/budget_room.h"
#include "receive/kafka/kafka.h"
#include "receive/kafka/offsets.h"
#include "receive/kafka/poison_letters.h"
#include "receive/kafka/verdict_topic.h"
#include "receive/reread.h"
#include "telemetry/log.h"

namespace tailgate {

class KafkaConsumer {
 public:
  // `options` and what `context` names outlive it.
  KafkaConsumer(const KafkaReceiverOptions& options, std::string name, const ReceiverContext& context,
                const KafkaLibrary& library);
  ~KafkaConsumer();  // after end()
  KafkaConsumer(const KafkaConsumer&) = delete;
  KafkaConsumer& operator=(const KafkaConsumer&) = delete;

  // Errors: kConfig, kIo. Does not wait for brokers.
  Result<void> start();
  // Hands nothing in any more, and forgets what is open, uncommitted.
  void drain();
  // Waits until that is so. False: it was not within `most`. Nothing is committed then any more: what is open may be
  // decided with what has come of it, and is read again.
  bool wait_drained(Duration most);
  // Commits what is settled by now, leaves the group (unless it is a static member), and ends.
  void finish();
  // Ends without a last commit, if it has not ended.
  void end();
  LogStats stats() const;
  // After end(). librdkafka before 2.3 aborts when a member is destroyed that never had an assignment
  // (https://github.com/confluentinc/librdkafka/issues/4312); and one that has not left its group waits for that. Such
  // a one is to be left as it is.
  bool can_be_destroyed() const { return closed_ && (was_assigned_ || kafka_.version() >= 0x02'03'00'00); }

 private:
  struct FreeMessage {
    decltype(&rd_kafka_message_destroy) call;
    void operator()(rd_kafka_message_t* message) const { call(message); }
  };
  using MessagePtr = std::unique_ptr<rd_kafka_message_t, FreeMessage>;
  struct FreeList {
    decltype(&rd_kafka_topic_partition_list_destroy) call;
    void operator()(rd_kafka_topic_partition_list_t* list) const { call(list); }
  };
  using ListPtr = std::unique_ptr<rd_kafka_topic_partition_list_t, FreeList>;

  struct Partition {
    SpanOrigin origin = 0;
    OffsetTracker offsets;
    std::int64_t committed = -1;  // offset of the last commit that was acknowledged
  };
  // What is to be handed in at once.
  struct Pending {
    std::int32_t partition = -1;
    std::vector<MessagePtr> records;
    ByteSink otlp;
  };

  // --- records (consumer.cc)
  Result<void> open();
  void run();
  void turn(TimePoint now);
  bool next();
  void take(MessagePtr message);
  void put_back(MessagePtr message, bool alone);
  enum class Conversion : std::uint8_t { kDone, kPoison, kLater };
  Conversion convert(const rd_kafka_message_t& message);
  bool hand_in();
  void one_by_one();
  void poison(const rd_kafka_message_t& message, PoisonReason reason, std::string_view detail);
  void drop_pending();
  bool goes_on();
  void pause(bool on);
  void trouble(rd_kafka_resp_err_t code, std::string_view text);
  void thrown_out();

  // --- partitions and offsets (commits.cc)
  void cycle(TimePoint now);
  void write_verdicts();
  bool settled_verdicts();
  void settle(TimePoint before);
  void commit(bool wait, const std::vector<std::int32_t>* only);
  void commit_and_wait(const rd_kafka_topic_partition_list_t& list);
  void settle_and_commit(const std::vector<std::int32_t>* only);
  void assign(rd_kafka_topic_partition_list_t& list);
  void revoke(rd_kafka_topic_partition_list_t& list);
  void close();
  void freeze_and_forget(const std::vector<std::int32_t>& partitions);
  void forget_all();
  void read_again();
  void drop_backlog();
  void committed(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* list);
  void note_stats(TimePoint now);
  ListPtr list_of(const std::vector<std::int32_t>& partitions) const;
  std::vector<std::int32_t> numbers() const;
  bool stops() const { return draining_.load() || ending_.load(); }

  static void on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* opaque);
  static void on_commit(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* opaque);
  static void on_answer(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* opaque);
  static void on_error(rd_kafka_t*, int code, const char* text, void* opaque);
  static int on_resolve(const char* node, const char* service, const addrinfo* hints, addrinfo** found, void* opaque);

  const KafkaReceiverOptions& options_;
  const std::string name_;
  const ReceiverContext& context_;
  const KafkaLibrary& kafka_;
  std::unique_ptr<Reread> reread_;
  SourceId source_ = 0;
  KafkaLookup lookup_;
  Charge queue_charge_;
  rd_kafka_t* client_ = nullptr;
  std::unique_ptr<VerdictTopic> verdicts_;  // null: there is none
  std::unique_ptr<PoisonLetters> letters_;  // null: there are none

  // the thread's
  std::map<std::int32_t, Partition> partitions_;
  std::map<std::int32_t, SpanOrigin> origins_;    // of all partitions it ever had
  std::map<SpanOrigin, std::int32_t> of_origin_;  // and back
  Pending pending_;
  std::deque<MessagePtr> backlog_;  // come, and to be taken before what is polled
  std::size_t alone_ = 0;           // so many of the backlog are handed in one by one
  bool paused_ = false;
  bool pause_asked_ = false;                     // by what goes_on() tries
  bool forgotten_ = false;                       // drain() was heeded
  bool was_assigned_ = false;                    // ever
  bool thrown_out_ = false;                      // by the brokers, for good
  bool closed_ = true;                           // it is in no group
  std::optional<Reread::Decided> decided_;       // of the cycle that is on its way
  std::optional<std::uint64_t> verdicts_epoch_;  // with which its verdicts were sent
  std::uint64_t verdicts_seen_ = 0;              // as take_verdicts() says
  TimePoint next_cycle_{}, next_verdicts_{}, next_stats_{};
  std::unique_ptr<BudgetRoom> room_;
  LogLimiter log_{std::chrono::seconds(10)}, poison_log_{std::chrono::seconds(10)};

  std::atomic<bool> draining_{false}, ending_{false}, last_commit_{false};
  std::atomic<bool> given_up_{false};  // wait_drained() was
  mutable Mutex mutex_;
  CondVar change_;
  bool drained_ TAILGATE_GUARDED_BY(mutex_) = false;
  LogStats stats_ TAILGATE_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tailgate
