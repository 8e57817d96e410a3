// SPDX-License-Identifier: Apache-2.0
// KafkaConsumer: its partitions, and the offsets it commits.
#include <algorithm>
#include <functional>
#include <thread>

#include "receive/kafka/consumer.h"

namespace tailgate {
namespace {

// A partition that is taken away waits so long for verdicts to be acknowledged.
constexpr Duration kVerdictsWait = std::chrono::seconds(3);
constexpr Duration kVerdictsPoll = std::chrono::milliseconds(2);
// So long for the answer to a last commit, which librdkafka would wait for until there is a coordinator.
constexpr Duration kCommitWait = std::chrono::seconds(3);
constexpr int kCommitPollMs = 50;
constexpr int kSeekMs = 3'000;
// And so long for the group to be left.
constexpr Duration kCloseWait = std::chrono::seconds(3);
constexpr int kClosePollMs = 10;

std::string listed(const std::vector<std::int32_t>& numbers) {
  std::string out;
  for (const std::int32_t n : numbers) out += (out.empty() ? "" : ",") + std::to_string(n);
  return out;
}

// Told of a commit that is waited for.
struct Answer {
  bool come = false;
  std::function<void(rd_kafka_resp_err_t, const rd_kafka_topic_partition_list_t*)> take;
};

std::vector<std::int32_t> numbers_of(const rd_kafka_topic_partition_list_t& list) {
  std::vector<std::int32_t> out;
  for (int i = 0; i < list.cnt; ++i) out.push_back(list.elems[i].partition);
  return out;
}

}  // namespace

// --- what is settled
void KafkaConsumer::write_verdicts() {
  verdicts_seen_ = reread_->take_verdicts([this](const Reread::Told& told) {
    verdicts_->write(of_origin_.at(told.origin), told.id, told.verdict, told.words);
  });
  verdicts_->poll(monotonic_now());
}

// Of the traces that decided_ speaks of, the brokers have the verdicts.
bool KafkaConsumer::settled_verdicts() {
  if (verdicts_ == nullptr) return true;
  if (!verdicts_epoch_) {
    if (verdicts_seen_ < decided_->verdicts) return false;  // they were made, and are on their way to us
    verdicts_epoch_ = verdicts_->end_epoch();
  }
  return verdicts_->acknowledged(*verdicts_epoch_);
}

void KafkaConsumer::cycle(TimePoint now) {
  if (!decided_) {
    next_cycle_ = now + options_.commit_interval;
    decided_ = reread_->decided(now);
    verdicts_epoch_.reset();
  }
  if (!settled_verdicts()) return;
  // Asked after decided(): a kept trace is asked about here before it counts as decided there.
  settle(std::min(decided_->before, reread_->delivered_before(monotonic_now())));
  decided_.reset();
  commit(false, nullptr);
  if (!stops() && reread_->should_read_again()) read_again();
}

void KafkaConsumer::settle(TimePoint before) {
  for (auto& [number, partition] : partitions_) partition.offsets.settle(before);
}

void KafkaConsumer::settle_and_commit(const std::vector<std::int32_t>* only) {
  const TimePoint began = monotonic_now();
  decided_ = reread_->decided(began);
  verdicts_epoch_.reset();
  for (;;) {
    if (verdicts_ != nullptr) write_verdicts();
    if (settled_verdicts()) break;
    if (monotonic_now() > began + kVerdictsWait) {
      log_warn("kafka: the last offsets are not committed, because verdicts are not written", {{"receiver", name_}});
      decided_.reset();
      return;
    }
    std::this_thread::sleep_for(kVerdictsPoll);
  }
  settle(std::min(decided_->before, reread_->delivered_before(monotonic_now())));
  decided_.reset();
  commit(true, only);
}

// --- offsets
KafkaConsumer::ListPtr KafkaConsumer::list_of(const std::vector<std::int32_t>& partitions) const {
  ListPtr list(kafka_.list_new(static_cast<int>(partitions.size())), FreeList{kafka_.list_destroy});
  for (const std::int32_t number : partitions) kafka_.list_add(list.get(), options_.topic.c_str(), number);
  return list;
}

std::vector<std::int32_t> KafkaConsumer::numbers() const {
  std::vector<std::int32_t> out;
  for (const auto& [number, partition] : partitions_) out.push_back(number);
  return out;
}

// Of all partitions, or of some. `wait`: at once, and for the brokers' answer; else librdkafka does it when the group
// is in no rebalance.
void KafkaConsumer::commit(bool wait, const std::vector<std::int32_t>* only) {
  if (given_up_) return;
  const ListPtr list(kafka_.list_new(1), FreeList{kafka_.list_destroy});
  for (auto& [number, partition] : partitions_) {
    if (only != nullptr && std::find(only->begin(), only->end(), number) == only->end()) continue;
    const std::optional<std::int64_t> offset = partition.offsets.committable();
    if (!offset || *offset <= partition.committed) continue;
    kafka_.list_add(list.get(), options_.topic.c_str(), number)->offset = *offset;
  }
  if (list->cnt == 0) return;
  if (wait) return commit_and_wait(*list);
  const rd_kafka_resp_err_t code = kafka_.offsets_store(client_, list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) trouble(code, kafka_.err2str(code));
}

void KafkaConsumer::commit_and_wait(const rd_kafka_topic_partition_list_t& list) {
  Answer answer;
  answer.take = [this](rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* of) { committed(code, of); };
  const TimePoint until = monotonic_now() + kCommitWait;
  // Nothing calls on_answer() any more when the queue is gone.
  const std::unique_ptr<rd_kafka_queue_t, decltype(kafka_.queue_destroy)> queue(kafka_.queue_new(client_),
                                                                                kafka_.queue_destroy);
  const rd_kafka_resp_err_t code = kafka_.commit_queue(client_, &list, queue.get(), on_answer, &answer);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return committed(code, &list);
  while (!answer.come && monotonic_now() < until) kafka_.queue_poll_callback(queue.get(), kCommitPollMs);
  if (!answer.come) committed(RD_KAFKA_RESP_ERR__TIMED_OUT, &list);
}

void KafkaConsumer::on_answer(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                              void* opaque) {
  auto* const answer = static_cast<Answer*>(opaque);
  answer->come = true;
  answer->take(code, list);
}

void KafkaConsumer::on_commit(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                              void* opaque) {
  static_cast<KafkaConsumer*>(opaque)->committed(code, list);
}

void KafkaConsumer::committed(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* list) {
  if (code == RD_KAFKA_RESP_ERR__NO_OFFSET || list == nullptr) return;
  bool all = code == RD_KAFKA_RESP_ERR_NO_ERROR;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& one = list->elems[i];
    const auto found = partitions_.find(one.partition);
    if (found == partitions_.end()) continue;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && one.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      found->second.committed = std::max(found->second.committed, one.offset);
    } else {
      all = false;  // what is stored and not committed is sent again
      trouble(code, kafka_.err2str(code != RD_KAFKA_RESP_ERR_NO_ERROR ? code : one.err));
    }
  }
  const MutexLock lock(mutex_);
  ++(all ? stats_.commits : stats_.commits_failed);
}

// --- partitions
void KafkaConsumer::on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                                 void* opaque) {
  auto* const self = static_cast<KafkaConsumer*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) return self->assign(*list);
  if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) return self->revoke(*list);
  self->trouble(code, self->kafka_.err2str(code));
  self->drop_pending();
  self->drop_backlog();
  self->freeze_and_forget(self->numbers());
  self->partitions_.clear();
  self->kafka_.assign(client, nullptr);
}

void KafkaConsumer::assign(rd_kafka_topic_partition_list_t& list) {
  was_assigned_ = true;
  const std::vector<std::int32_t> numbers = numbers_of(list);
  if (verdicts_ != nullptr && !numbers.empty()) {
    verdicts_->read(
        numbers, [this] { return stops(); },
        [this](const ReadVerdict& told) { reread_->remember(told.id, told.verdict, told.words); });
  }
  for (int i = 0; i < list.cnt; ++i) list.elems[i].offset = RD_KAFKA_OFFSET_INVALID;  // begin where the group is
  for (const std::int32_t number : numbers) {
    SpanOrigin& origin = origins_[number];
    if (origin == 0) origin = reread_->new_origin();
    if (origin == 0) {
      log_error("kafka: a partition is not read: this process has had too many", {{"partition", number}});
      continue;
    }
    of_origin_[origin] = number;
    partitions_[number].origin = origin;
  }
  if (rd_kafka_error_t* const error = kafka_.incremental_assign(client_, &list)) {
    log_error("kafka: partitions are not taken", {{"receiver", name_}, {"error", kafka_.error_string(error)}});
    kafka_.error_destroy(error);
  }
  if (paused_ || stops()) kafka_.pause_partitions(client_, list_of(numbers).get());
  log_info("kafka: partitions assigned",
           {{"receiver", name_}, {"topic", options_.topic}, {"partitions", listed(numbers)}});
  const MutexLock lock(mutex_);
  stats_.assigned += numbers.size();
}

void KafkaConsumer::revoke(rd_kafka_topic_partition_list_t& list) {
  const std::vector<std::int32_t> numbers = numbers_of(list);
  const bool lost = kafka_.assignment_lost(client_) != 0;
  const auto goes = [&](std::int32_t number) {
    return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
  };
  if (!pending_.records.empty() && goes(pending_.partition)) drop_pending();
  const auto alone_end = backlog_.begin() + static_cast<std::ptrdiff_t>(alone_);
  alone_ -= static_cast<std::size_t>(
      std::count_if(backlog_.begin(), alone_end, [&](const MessagePtr& one) { return goes(one->partition); }));
  std::erase_if(backlog_, [&](const MessagePtr& message) { return goes(message->partition); });
  // Before the verdicts are counted: what the sweeper decides until then has one that the next owner finds.
  freeze_and_forget(numbers);
  // What was lost may be another member's already. At the end the last commit was sent before.
  if (!lost && !ending_) settle_and_commit(&numbers);
  for (const std::int32_t number : numbers) partitions_.erase(number);
  // What is stored would be committed once more, which waits for brokers that are away. A new list has no offsets.
  kafka_.offsets_store(client_, list_of(numbers).get());
  if (rd_kafka_error_t* const error = kafka_.incremental_unassign(client_, &list)) {
    log_error("kafka: partitions are not given back", {{"receiver", name_}, {"error", kafka_.error_string(error)}});
    kafka_.error_destroy(error);
  }
  log_info(lost ? "kafka: partitions lost" : "kafka: partitions revoked",
           {{"receiver", name_}, {"topic", options_.topic}, {"partitions", listed(numbers)}});
  const MutexLock lock(mutex_);
  (lost ? stats_.lost : stats_.revoked) += numbers.size();
}

// Leaves the group. Without brokers librdkafka would try for as long as a session lasts.
void KafkaConsumer::close() {
  const std::unique_ptr<rd_kafka_queue_t, decltype(kafka_.queue_destroy)> queue(kafka_.queue_new(client_),
                                                                                kafka_.queue_destroy);
  if (rd_kafka_error_t* const error = kafka_.consumer_close_queue(client_, queue.get())) {
    log_error("kafka: the group is not left", {{"receiver", name_}, {"error", kafka_.error_string(error)}});
    kafka_.error_destroy(error);
    return;  // after a fatal error it is in no group
  }
  const TimePoint until = monotonic_now() + kCloseWait;
  while (!(closed_ = kafka_.consumer_closed(client_) != 0) && monotonic_now() < until)
    kafka_.queue_poll_callback(queue.get(), kClosePollMs);
  if (!closed_) {
    log_warn("kafka: the brokers do not answer, so the group learns by session_timeout that this member is gone",
             {{"receiver", name_}});
  }
}

// No record that came after the oldest open trace began is committed from here on.
void KafkaConsumer::freeze_and_forget(const std::vector<std::int32_t>& partitions) {
  const TimePoint open_since = reread_->decided(monotonic_now()).before;
  for (const std::int32_t number : partitions) {
    const auto found = partitions_.find(number);
    if (found == partitions_.end()) continue;
    found->second.offsets.freeze(open_since);
    reread_->forget(found->second.origin);
  }
}

// Goes back to the first record of each partition that is not settled. What was decided meanwhile is late then, and
// follows its verdict.
void KafkaConsumer::read_again() {
  std::map<std::int32_t, std::int64_t> from;
  const auto at_most = [&](std::int32_t number, std::int64_t offset) {
    const auto [found, fresh] = from.try_emplace(number, offset);
    if (!fresh) found->second = std::min(found->second, offset);
  };
  for (const auto& [number, partition] : partitions_) {
    if (const std::optional<OffsetTracker::Undecided> first = partition.offsets.undecided())
      at_most(number, first->offset);
  }
  for (const MessagePtr& message : pending_.records) at_most(message->partition, message->offset);
  for (const MessagePtr& message : backlog_) at_most(message->partition, message->offset);
  const ListPtr list(kafka_.list_new(1), FreeList{kafka_.list_destroy});
  for (const auto& [number, offset] : from)
    kafka_.list_add(list.get(), options_.topic.c_str(), number)->offset = offset;
  if (list->cnt != 0) {
    if (rd_kafka_error_t* const error = kafka_.seek_partitions(client_, list.get(), kSeekMs)) {
      trouble(RD_KAFKA_RESP_ERR__FAIL, kafka_.error_string(error));
      kafka_.error_destroy(error);
      return;  // until the next cycle nothing is taken, and nothing of it is committed
    }
  }
  bool all = true;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& one = list->elems[i];
    if (one.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      trouble(one.err, kafka_.err2str(one.err));
      all = false;
      continue;
    }
    Partition& partition = partitions_.at(one.partition);
    reread_->forget(partition.origin);
    partition.offsets = {};
    const auto gone = [&](const MessagePtr& message) { return message->partition == one.partition; };
    if (pending_.partition == one.partition) drop_pending();
    alone_ -= static_cast<std::size_t>(
        std::count_if(backlog_.begin(), backlog_.begin() + static_cast<std::ptrdiff_t>(alone_), gone));
    std::erase_if(backlog_, gone);
  }
  log_warn("kafka: a full queue pushed kept traces out, so what is not settled is read again",
           {{"receiver", name_}, {"partitions", from.size()}});
  if (all) reread_->reads_again();
}

void KafkaConsumer::drop_backlog() {
  backlog_.clear();
  alone_ = 0;
}

void KafkaConsumer::forget_all() {
  drop_pending();
  drop_backlog();
  freeze_and_forget(numbers());
  pause(true);
  forgotten_ = true;
  const MutexLock lock(mutex_);
  drained_ = true;
  change_.notify_all();
}

// --- for others
void KafkaConsumer::note_stats(TimePoint now) {
  std::vector<LogStats::Partition> list;
  for (const auto& [number, partition] : partitions_) {
    LogStats::Partition& out = list.emplace_back();
    out.number = number;
    out.committed = partition.committed;
    std::int64_t low = -1, high = -1;
    kafka_.get_watermark_offsets(client_, options_.topic.c_str(), number, &low, &high);
    if (const std::optional<std::int64_t> next = partition.offsets.next(); next && high > *next) out.lag = high - *next;
    if (const std::optional<OffsetTracker::Undecided> undecided = partition.offsets.undecided()) {
      out.undecided = undecided->offset;
      out.undecided_seconds = std::chrono::duration<double>(now - undecided->since).count();
    }
  }
  const MutexLock lock(mutex_);
  stats_.partitions = std::move(list);
}

LogStats KafkaConsumer::stats() const {
  LogStats out;
  {
    const MutexLock lock(mutex_);
    out = stats_;
  }
  if (verdicts_ != nullptr) {
    const VerdictTopic::Stats& v = verdicts_->stats();
    out.verdicts_written = v.written.load(std::memory_order_relaxed);
    out.verdicts_failed = v.failed.load(std::memory_order_relaxed);
    out.verdicts_read = v.read.load(std::memory_order_relaxed);
    out.verdicts_unreadable = v.unreadable.load(std::memory_order_relaxed);
  }
  return out;
}

}  // namespace tailgate
