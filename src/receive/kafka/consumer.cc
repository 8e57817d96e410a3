// SPDX-License-Identifier: Apache-2.0
#include "receive/kafka/consumer.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <array>

#include "base/units.h"

namespace tailgate {
namespace {

// Records of a partition that are at hand are handed in together, up to this.
constexpr std::size_t kTogetherBytes = 256 << 10;
constexpr std::size_t kTogetherRecords = 512;
constexpr int kRecordsATurn = 16;  // before somebody looks at the clock
constexpr int kPollMs = 100;
constexpr int kRetryMs = 20;                    // while memory is short
constexpr std::uint64_t kVerdictsMax = 50'000;  // waiting for the brokers; beyond them nothing is taken
constexpr std::size_t kVerdictBytes = 160;      // with what librdkafka needs for a message
constexpr int kStatsMs = 500;
constexpr Duration kVerdictsEvery = std::chrono::milliseconds(10);

}  // namespace

KafkaConsumer::KafkaConsumer(const KafkaReceiverOptions& options, std::string name, const ReceiverContext& context,
                             const KafkaLibrary& library)
    : options_(options), name_(std::move(name)), context_(context), kafka_(library) {}

KafkaConsumer::~KafkaConsumer() {
  end();
  pending_.records.clear();
  backlog_.clear();
  verdicts_.reset();
  if (client_ != nullptr) kafka_.destroy(client_);
}

Result<void> KafkaConsumer::start() {
  if (context_.budget != nullptr) {
    queue_charge_ = Charge(*context_.budget, Holder::kRequests);
    const std::size_t verdicts = options_.verdicts_topic.empty() ? 0 : kVerdictsMax * kVerdictBytes;
    if (!queue_charge_.try_grow(options_.queue_bytes + verdicts)) {
      return fail(ErrorKind::kConfig,
                  fmt::format("{}.queue_bytes: expected that its {}, and {} for what waits for verdicts_topic, fit "
                              "into the {} that sampling.memory_limit leaves for requests",
                              options_.config_path, format_bytes(options_.queue_bytes), format_bytes(verdicts),
                              format_bytes(context_.budget->cap(Holder::kRequests))));
    }
  }
  room_ = std::make_unique<BudgetRoom>(context_.budget);
  pending_.otlp.set_room(room_.get());
  if (!options_.dead_letters.empty()) {
    letters_ = std::make_unique<PoisonLetters>(options_.dead_letters, options_.rotation);
    if (Result<void> opened = letters_->start(); !opened) return opened;
  }
  source_ = context_.source ? context_.source(name_, kRecordFormatNames[static_cast<std::size_t>(options_.format)]) : 0;
  reread_ = context_.reread(!options_.verdicts_topic.empty());
  if (Result<void> opened = open(); !opened) return opened;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "kafka");
  return {};
}

Result<void> KafkaConsumer::open() {
  KafkaConf conf(kafka_);
  for (const KafkaProperties* const some : {&options_.connection, &options_.consumer}) {
    if (Result<void> set = conf.set(*some); !set) return set;
  }
  kafka_.conf_set_opaque(conf.get(), this);
  kafka_.conf_set_rebalance_cb(conf.get(), on_rebalance);
  kafka_.conf_set_offset_commit_cb(conf.get(), on_commit);
  kafka_.conf_set_error_cb(conf.get(), on_error);
  if (kafka_.conf_set_resolve_cb != nullptr) kafka_.conf_set_resolve_cb(conf.get(), on_resolve);
  const Result<rd_kafka_t*> made = conf.make(RD_KAFKA_CONSUMER);
  if (!made) return tl::unexpected<Error>(made.error());
  client_ = *made;
  kafka_.poll_set_consumer(client_);
  if (!options_.verdicts_topic.empty()) {
    verdicts_ =
        std::make_unique<VerdictTopic>(VerdictTopic::Options{options_.verdicts_topic, options_.topic, options_.group,
                                                             options_.verdicts_read_back, options_.connection},
                                       kafka_, lookup_);
    if (Result<void> opened = verdicts_->open(); !opened) return opened;
  }
  const ListPtr topics(kafka_.list_new(1), FreeList{kafka_.list_destroy});
  kafka_.list_add(topics.get(), options_.topic.c_str(), RD_KAFKA_PARTITION_UA);
  const rd_kafka_resp_err_t code = kafka_.subscribe(client_, topics.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(ErrorKind::kConfig, fmt::format("kafka: topic {}: {}", options_.topic, kafka_.err2str(code)));
  const MutexLock lock(mutex_);
  stats_.member = true;
  stats_.verdicts = verdicts_ != nullptr;
  return {};
}

void KafkaConsumer::drain() { draining_ = true; }

bool KafkaConsumer::wait_drained(Duration most) {
  const TimePoint until = monotonic_now() + most;
  const MutexLock lock(mutex_);
  while (thread_.joinable() && !drained_) {
    if (change_.wait_until(mutex_, until) || monotonic_now() < until) continue;
    given_up_ = true;
    return false;
  }
  return true;
}

void KafkaConsumer::finish() {
  last_commit_ = true;
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

void KafkaConsumer::end() {
  ending_ = true;
  lookup_.end();
  if (thread_.joinable()) thread_.join();
}

void KafkaConsumer::run() {
  while (!ending_) turn(monotonic_now());
  if (last_commit_) settle_and_commit(nullptr);
  drop_pending();
  drop_backlog();
  lookup_.end();  // nothing is to wait for a name from here on
  close();
  const MutexLock lock(mutex_);
  stats_.member = false;
  stats_.partitions.clear();
  drained_ = true;
  change_.notify_all();
}

void KafkaConsumer::turn(TimePoint now) {
  if (draining_ && !forgotten_) forget_all();
  if (!stops() && paused_ && goes_on()) pause(false);
  for (int i = 0; i < kRecordsATurn && next(); ++i) {
  }
  if (verdicts_ != nullptr && now >= next_verdicts_) {
    next_verdicts_ = now + kVerdictsEvery;
    write_verdicts();
  }
  if (now >= next_cycle_ || decided_) cycle(now);
  if (now >= next_stats_) {
    next_stats_ = now + std::chrono::milliseconds(kStatsMs);
    note_stats(now);
  }
}

// One record. False: it was waited for, or there is none.
bool KafkaConsumer::next() {
  if (!paused_ && !backlog_.empty()) {
    MessagePtr message = std::move(backlog_.front());
    backlog_.pop_front();
    take(std::move(message));
    return true;
  }
  const int wait = paused_ ? kRetryMs : pending_.records.empty() ? kPollMs : 0;
  MessagePtr message(kafka_.consumer_poll(client_, wait), FreeMessage{kafka_.message_destroy});
  if (message == nullptr) {
    if (!paused_) hand_in();
    return false;
  }
  if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
    thrown_out();
  } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    trouble(message->err, kafka_.err2str(message->err));
  } else if (paused_) {
    backlog_.push_back(std::move(message));
  } else {
    take(std::move(message));
  }
  return wait == 0;
}

void KafkaConsumer::take(MessagePtr message) {
  const bool alone = alone_ != 0;
  if (alone) --alone_;
  if (stops() || !partitions_.contains(message->partition)) return;  // whoever has it next reads it
  const bool other = message->partition != pending_.partition;
  const bool full = pending_.otlp.size() + message->len > kTogetherBytes || pending_.records.size() >= kTogetherRecords;
  if (!pending_.records.empty() && (other || full) && !hand_in()) return put_back(std::move(message), alone);
  pending_.partition = message->partition;
  switch (convert(*message)) {
    case Conversion::kDone:
      pending_.records.push_back(std::move(message));
      if (alone) hand_in();
      return;
    case Conversion::kLater:
      return put_back(std::move(message), alone);
    case Conversion::kPoison:
      return;
  }
}

// Offsets are handed in in order: behind the records that go one by one, unless it is the first of them.
void KafkaConsumer::put_back(MessagePtr message, bool alone) {
  if (alone) {
    backlog_.push_front(std::move(message));
    ++alone_;
  } else {
    backlog_.insert(backlog_.begin() + static_cast<std::ptrdiff_t>(alone_), std::move(message));
  }
}

KafkaConsumer::Conversion KafkaConsumer::convert(const rd_kafka_message_t& message) {
  if (message.payload == nullptr) return Conversion::kDone;  // a tombstone
  PoisonReason reason = PoisonReason::kTooLarge;
  std::string detail;
  if (message.len > options_.record_bytes_max) {
    detail = fmt::format("{} bytes, and max_record_bytes is {}", message.len, options_.record_bytes_max);
  } else {
    const std::size_t before = pending_.otlp.size();
    const Result<void> converted =
        append_record(options_.format, {static_cast<const char*>(message.payload), message.len}, pending_.otlp, *room_);
    if (converted) return Conversion::kDone;
    pending_.otlp.truncate(before);
    const bool first = pending_.records.empty();
    const bool refused = converted.error().kind == ErrorKind::kRefused;
    const bool never = first && refused && room_->never(queue_charge_.bytes());
    if (first) drop_pending();  // nobody else gives back what the failure took
    if (refused && !first) return hand_in() ? convert(message) : Conversion::kLater;  // what was before it takes room
    if (refused && !never) {
      pause(true);
      return Conversion::kLater;
    }
    reason = never ? PoisonReason::kTooLarge : PoisonReason::kMalformed;
    detail = never ? "its conversion needs more than the memory for requests" : converted.error().text;
  }
  if (!pending_.records.empty() && !hand_in()) return Conversion::kLater;
  poison(message, reason, detail);
  return Conversion::kPoison;
}

// Hands in what is pending. False: there is no room now, and it stays pending; or one of it cannot be taken, and all of
// it comes again, one by one.
bool KafkaConsumer::hand_in() {
  if (pending_.records.empty()) return true;
  if (reread_->memory_is_short() || (verdicts_ != nullptr && verdicts_->waiting() > kVerdictsMax)) {
    pause(true);
    return false;
  }
  Partition& partition = partitions_.at(pending_.partition);
  const IngestResult result = reread_->ingest(source_, pending_.otlp.view(), partition.origin);
  const bool alone = pending_.records.size() == 1;
  switch (result.kind) {
    case IngestResult::Kind::kAccepted:
      if (context_.odd) context_.odd(source_, Oddity::kRepairedTexts, pending_.otlp.repaired_texts());
      if (result.rejected_spans != 0 && context_.log_refused)
        context_.log_refused(source_, SpanRefusal::kBadId, "",
                             fmt::format("partition {}: {}", pending_.partition, result.message));
      partition.offsets.handed(pending_.records.back()->offset, monotonic_now(), pending_.records.front()->offset);
      {
        const MutexLock lock(mutex_);
        stats_.records += pending_.records.size();
      }
      drop_pending();
      return true;
    case IngestResult::Kind::kMalformed:
      if (!alone) {
        one_by_one();
        return false;
      }
      poison(*pending_.records.front(), PoisonReason::kMalformed, result.message);
      drop_pending();
      return true;
    case IngestResult::Kind::kShuttingDown:
      drop_pending();  // uncommitted
      return true;
    case IngestResult::Kind::kNoMemory:
      if (result.never && !alone) {
        one_by_one();
        return false;
      }
      if (result.never) {
        poison(*pending_.records.front(), PoisonReason::kTooLarge, "it is larger than the memory for traces");
        drop_pending();
        return true;
      }
      pause(true);
      return false;
    case IngestResult::Kind::kClientSpans:
    case IngestResult::Kind::kJournal:
      pause(true);
      return false;
  }
  return true;
}

// One of what is pending cannot be taken. Which one?
void KafkaConsumer::one_by_one() {
  alone_ = pending_.records.size();
  while (!pending_.records.empty()) {
    backlog_.push_front(std::move(pending_.records.back()));
    pending_.records.pop_back();
  }
  drop_pending();
}

void KafkaConsumer::poison(const rd_kafka_message_t& message, PoisonReason reason, std::string_view detail) {
  const std::string_view why = kPoisonReasonNames[static_cast<std::size_t>(reason)];
  bool lost = false;
  std::string error;
  if (letters_ != nullptr) {
    const Result<void> written = letters_->write({options_.topic,
                                                  message.partition,
                                                  message.offset,
                                                  why,
                                                  detail,
                                                  {static_cast<const char*>(message.key), message.key_len},
                                                  {static_cast<const char*>(message.payload), message.len}},
                                                 wall_now_ns());
    lost = !written;
    if (lost) error = written.error().text;
  }
  if (const auto held = poison_log_.pass(monotonic_now())) {
    log_warn("a record cannot be taken, and is passed over", {{"receiver", name_},
                                                              {"topic", options_.topic},
                                                              {"partition", message.partition},
                                                              {"offset", message.offset},
                                                              {"reason", why},
                                                              {"detail", detail},
                                                              {"dead_letter", lost                  ? error
                                                                              : letters_ != nullptr ? "written"
                                                                                                    : "none"},
                                                              {"held_back", *held}});
  }
  if (context_.refused && reason == PoisonReason::kMalformed) context_.refused(source_, RequestRefusal::kMalformed);
  partitions_.at(message.partition).offsets.handed(message.offset, monotonic_now());
  const MutexLock lock(mutex_);
  ++stats_.poison[static_cast<std::size_t>(reason)];
  stats_.letters_failed += lost ? 1 : 0;
}

void KafkaConsumer::drop_pending() {
  pending_.records.clear();
  pending_.otlp.clear();
  if (room_ != nullptr) {
    room_ = std::make_unique<BudgetRoom>(context_.budget);  // what the conversion took is given back
    pending_.otlp.set_room(room_.get());
  }
}

// While paused: whether what waits can be taken now. A record that no room was found for is tried here, so that the
// brokers are asked in between, whom a member that only tries would never answer.
bool KafkaConsumer::goes_on() {
  if (!hand_in()) return false;
  if (backlog_.empty()) return true;
  pause_asked_ = false;
  MessagePtr first = std::move(backlog_.front());
  backlog_.pop_front();
  take(std::move(first));
  return !pause_asked_;
}

void KafkaConsumer::pause(bool on) {
  pause_asked_ = pause_asked_ || on;
  if (paused_ == on) return;
  paused_ = on;
  const ListPtr list = list_of(numbers());
  on ? kafka_.pause_partitions(client_, list.get()) : kafka_.resume_partitions(client_, list.get());
  const MutexLock lock(mutex_);
  stats_.paused = on;
}

void KafkaConsumer::trouble(rd_kafka_resp_err_t code, std::string_view text) {
  if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) return;
  if (const auto held = log_.pass(monotonic_now())) {
    log_warn("kafka", {{"receiver", name_}, {"topic", options_.topic}, {"error", text}, {"held_back", *held}});
  }
}

void KafkaConsumer::on_error(rd_kafka_t*, int code, const char* text, void* opaque) {
  auto* const self = static_cast<KafkaConsumer*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__FATAL) return self->thrown_out();
  self->trouble(static_cast<rd_kafka_resp_err_t>(code), text);
}

// librdkafka gives a consumer its fatal error as a record, and other clients as an error.
void KafkaConsumer::thrown_out() {
  if (thrown_out_) return;
  thrown_out_ = true;
  std::array<char, 512> why{};
  kafka_.fatal_error(client_, why.data(), why.size());
  log_error("kafka: this member of the group has ended; another process may have its instance_id",
            {{"receiver", name_}, {"error", std::string_view(why.data())}});
  draining_ = true;  // somebody else reads what is open
  const MutexLock lock(mutex_);
  stats_.member = false;
}

// Called by librdkafka's threads, which are gone before this is.
int KafkaConsumer::on_resolve(const char* node, const char* service, const addrinfo* hints, addrinfo** found,
                              void* opaque) {
  if (node != nullptr) return static_cast<KafkaConsumer*>(opaque)->lookup_.look_up(node, service, hints, found);
  ::freeaddrinfo(*found);
  return 0;
}

}  // namespace tailgate
