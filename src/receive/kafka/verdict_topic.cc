// SPDX-License-Identifier: Apache-2.0
#include "receive/kafka/verdict_topic.h"

#include <fmt/format.h>

#include <memory>
#include <set>

#include "base/clock.h"
#include "codec/hex.h"

namespace tailgate {
namespace {

constexpr int kAskMs = 3'000;  // how long brokers may take to answer
constexpr int kVerdictsPollMs = 100;
constexpr Duration kAgain = std::chrono::seconds(1);
constexpr std::size_t kSentTogether = 1000;
constexpr int kNoTimeout = 0;  // a message is sent until the brokers have it

void* as_opaque(std::uint64_t epoch) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(epoch)); }

std::uint64_t epoch_of(const rd_kafka_message_t& message) {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(message._private));
}

}  // namespace

VerdictTopic::VerdictTopic(Options options, const KafkaLibrary& library, KafkaLookup& lookup)
    : options_(std::move(options)), kafka_(library), lookup_(lookup) {}

VerdictTopic::~VerdictTopic() {
  if (topic_ != nullptr) kafka_.topic_destroy(topic_);
  if (producer_ != nullptr) {
    kafka_.purge(producer_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    kafka_.destroy(producer_);
  }
}

Result<rd_kafka_t*> VerdictTopic::make(rd_kafka_type_t type, const KafkaProperties& properties) {
  KafkaConf conf(kafka_);
  for (const KafkaProperties* const some : {&options_.connection, &properties}) {
    if (Result<void> set = conf.set(*some); !set) return tl::unexpected<Error>(set.error());
  }
  kafka_.conf_set_opaque(conf.get(), this);
  kafka_.conf_set_error_cb(conf.get(), on_error);
  if (kafka_.conf_set_resolve_cb != nullptr) kafka_.conf_set_resolve_cb(conf.get(), on_resolve);
  if (type == RD_KAFKA_PRODUCER) kafka_.conf_set_dr_msg_cb(conf.get(), on_report);
  return conf.make(type);
}

Result<void> VerdictTopic::open() {
  const Result<rd_kafka_t*> made = make(RD_KAFKA_PRODUCER, {{"acks", "all"},
                                                            {"linger.ms", "20"},
                                                            {"compression.codec", "lz4"},
                                                            {"message.timeout.ms", std::to_string(kNoTimeout)},
                                                            {"queue.buffering.max.messages", "1000000"},
                                                            {"queue.buffering.max.kbytes", "262144"}});
  if (!made) return tl::unexpected<Error>(made.error());
  producer_ = *made;
  topic_ = kafka_.topic_new(producer_, options_.topic.c_str(), nullptr);
  if (topic_ == nullptr) {
    return fail(ErrorKind::kConfig,
                fmt::format("kafka: topic {}: {}", options_.topic, kafka_.err2str(kafka_.last_error())));
  }
  return {};
}

// --- writing
void VerdictTopic::write(std::int32_t partition, const TraceId& id, const Verdict& verdict, std::string_view words) {
  const std::size_t begin = bytes_.size();
  append_hex(bytes_, id.view());
  const std::size_t key = bytes_.size() - begin;
  append_verdict_record(bytes_, verdict, words);
  add(partition, key, bytes_.size() - begin - key, epochs_.send());
}

// The last bytes of bytes_ are a message. One call for many of them, since librdkafka reads two clocks for each call.
void VerdictTopic::add(std::int32_t partition, std::size_t key, std::size_t value, std::uint64_t epoch) {
  rd_kafka_message_t& message = written_.emplace_back();
  message.partition = partition;
  message.key_len = key;
  message.len = value;
  message._private = as_opaque(epoch);
  if (written_.size() == kSentTogether) send();
}

void VerdictTopic::send() {
  if (written_.empty()) return;
  char* at = bytes_.data();
  for (rd_kafka_message_t& message : written_) {
    message.key = at;
    message.payload = at + message.key_len;
    at += message.key_len + message.len;
  }
  const int count = static_cast<int>(written_.size());
  const int sent = kafka_.produce_batch(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION,
                                        written_.data(), count);
  if (sent != count) {
    for (const rd_kafka_message_t& message : written_) {
      if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) send_again(message);
    }
  }
  written_.clear();
  bytes_.clear();
}

void VerdictTopic::send_again(const rd_kafka_message_t& message) {
  last_error_ = kafka_.err2str(message.err);
  failed_.push_back({message.partition, std::string(static_cast<const char*>(message.key), message.key_len),
                     std::string(static_cast<const char*>(message.payload), message.len), epoch_of(message)});
}

void VerdictTopic::poll(TimePoint now) {
  send();
  while (kafka_.poll(producer_, 0) > 0) {
  }
  if (failed_.empty() || now < again_) return;
  again_ = now + kAgain;
  if (const auto held = log_.pass(now)) {
    log_warn("verdicts are not written, and no offset is committed before they are",
             {{"topic", options_.topic}, {"why", last_error_}, {"verdicts", failed_.size()}, {"held_back", *held}});
  }
  std::vector<Message> again;
  again.swap(failed_);
  for (const Message& message : again) {
    bytes_ += message.key;
    bytes_ += message.value;
    add(message.partition, message.key.size(), message.value.size(), message.epoch);
  }
  send();
}

void VerdictTopic::on_report(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto* const self = static_cast<VerdictTopic*>(opaque);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    self->stats_.written.fetch_add(1, std::memory_order_relaxed);
    self->epochs_.acknowledge(epoch_of(*message));
    return;
  }
  if (message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) return;
  self->stats_.failed.fetch_add(1, std::memory_order_relaxed);
  self->send_again(*message);
}

void VerdictTopic::on_error(rd_kafka_t*, int, const char* text, void* opaque) {
  static_cast<VerdictTopic*>(opaque)->last_error_ = text;
}

int VerdictTopic::on_resolve(const char* node, const char* service, const addrinfo* hints, addrinfo** found,
                             void* opaque) {
  if (node != nullptr) return static_cast<VerdictTopic*>(opaque)->lookup_.look_up(node, service, hints, found);
  ::freeaddrinfo(*found);
  return 0;
}

// --- reading
Result<std::int32_t> VerdictTopic::partitions_of(rd_kafka_t* client, const std::string& topic) const {
  rd_kafka_topic_t* const handle = kafka_.topic_new(client, topic.c_str(), nullptr);
  if (handle == nullptr) return fail(ErrorKind::kConfig, kafka_.err2str(kafka_.last_error()));
  const rd_kafka_metadata_t* found = nullptr;
  const rd_kafka_resp_err_t code = kafka_.metadata(client, 0, handle, &found, kAskMs);
  kafka_.topic_destroy(handle);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(ErrorKind::kUnavailable, fmt::format("topic {}: {}", topic, kafka_.err2str(code)));
  const std::unique_ptr<const rd_kafka_metadata_t, decltype(kafka_.metadata_destroy)> owned(found,
                                                                                            kafka_.metadata_destroy);
  if (found->topic_cnt != 1 || found->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const rd_kafka_resp_err_t why =
        found->topic_cnt == 1 ? found->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    return fail(ErrorKind::kUnavailable, fmt::format("topic {}: {}", topic, kafka_.err2str(why)));
  }
  return found->topics[0].partition_cnt;
}

bool VerdictTopic::read(std::span<const std::int32_t> partitions, const std::function<bool()>& stop,
                        const std::function<void(const ReadVerdict&)>& take) {
  while (!stop()) {
    const Result<void> done = read_once(partitions, stop, take);
    if (done) return true;
    const TimePoint now = monotonic_now();
    if (const auto held = log_.pass(now)) {
      log_error("the verdicts of new partitions cannot be read, so no span of them is taken",
                {{"topic", options_.topic}, {"why", done.error().text}, {"held_back", *held}});
    }
    for (const TimePoint until = now + kAgain; !stop() && monotonic_now() < until;)
      kafka_.poll(producer_, kVerdictsPollMs);
  }
  return false;
}

Result<void> VerdictTopic::read_once(std::span<const std::int32_t> partitions, const std::function<bool()>& stop,
                                     const std::function<void(const ReadVerdict&)>& take) {
  // Its group is for the protocol's sake: what is assigned by hand makes nobody a member.
  const Result<rd_kafka_t*> made = make(RD_KAFKA_CONSUMER, {{"group.id", options_.group},
                                                            {"enable.auto.commit", "false"},
                                                            {"enable.partition.eof", "true"},
                                                            {"auto.offset.reset", "earliest"},
                                                            {"queued.max.messages.kbytes", "4096"}});
  if (!made) return tl::unexpected<Error>(made.error());
  const std::unique_ptr<rd_kafka_t, decltype(kafka_.destroy)> client(*made, kafka_.destroy);
  const Result<std::int32_t> verdicts = partitions_of(client.get(), options_.topic);
  if (!verdicts) return tl::unexpected<Error>(verdicts.error());
  const Result<std::int32_t> spans = partitions_of(client.get(), options_.spans_topic);
  if (!spans) return tl::unexpected<Error>(spans.error());
  if (*verdicts != *spans) {
    return fail(ErrorKind::kConfig, fmt::format("it has {} partitions and {} has {}: expected as many", *verdicts,
                                                options_.spans_topic, *spans));
  }

  const std::unique_ptr<rd_kafka_topic_partition_list_t, decltype(kafka_.list_destroy)> list(
      kafka_.list_new(static_cast<int>(partitions.size())), kafka_.list_destroy);
  std::set<std::int32_t> left;
  const std::int64_t since_ms = static_cast<std::int64_t>(wall_now_ns() / 1'000'000) -
                                std::chrono::duration_cast<std::chrono::milliseconds>(options_.read_back).count();
  for (const std::int32_t partition : partitions) {
    left.insert(partition);
    kafka_.list_add(list.get(), options_.topic.c_str(), partition)->offset =
        options_.read_back > Duration::zero() ? since_ms : RD_KAFKA_OFFSET_BEGINNING;
  }
  if (options_.read_back > Duration::zero()) {
    const rd_kafka_resp_err_t code = kafka_.offsets_for_times(client.get(), list.get(), kAskMs);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(ErrorKind::kUnavailable, fmt::format("offsets of the time: {}", kafka_.err2str(code)));
  }
  if (const rd_kafka_resp_err_t code = kafka_.assign(client.get(), list.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(ErrorKind::kUnavailable, kafka_.err2str(code));
  TimePoint until = monotonic_now() + std::chrono::milliseconds(kAskMs);
  while (!left.empty()) {
    if (stop()) return fail(ErrorKind::kUnavailable, "it was told to stop");
    if (monotonic_now() > until)
      return fail(ErrorKind::kUnavailable,
                  fmt::format("no answer for 3 s{}{}", last_error_.empty() ? "" : ": ", last_error_));
    const std::unique_ptr<rd_kafka_message_t, decltype(kafka_.message_destroy)> message(
        kafka_.consumer_poll(client.get(), kVerdictsPollMs), kafka_.message_destroy);
    if (message == nullptr) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      this->take(*message, take);
      until = monotonic_now() + std::chrono::milliseconds(kAskMs);
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      left.erase(message->partition);
      until = monotonic_now() + std::chrono::milliseconds(kAskMs);
    } else {
      last_error_ = kafka_.err2str(message->err);
    }
  }
  return {};
}

void VerdictTopic::take(const rd_kafka_message_t& message, const std::function<void(const ReadVerdict&)>& take) {
  if (message.payload == nullptr) return;  // a tombstone
  const std::optional<ReadVerdict> read = read_verdict_record({static_cast<const char*>(message.key), message.key_len},
                                                              {static_cast<const char*>(message.payload), message.len});
  (read ? stats_.read : stats_.unreadable).fetch_add(1, std::memory_order_relaxed);
  if (read) take(*read);
}

}  // namespace tailgate
