// SPDX-License-Identifier: Apache-2.0
// kafka: OTLP to a Kafka topic, as the Collector and Jaeger read it (encoding otlp_proto): a message is one
// ExportTraceServiceRequest with the spans of one trace, its key the trace id in 32 lowercase hex digits.
//
// The payloads are views of the queue's own bytes, so librdkafka holds no second copy; a batch stays alive until each
// of its messages was reported. A batch is done when all replicas have all of it. After a failure only the messages
// that failed are sent again.
//
// Threads: the runner's thread makes all calls to librdkafka, whose callbacks come out of poll() in wait().
// librdkafka's own threads write to `events_` when there is something to poll for, as wake() does, and look names up
// with `lookup_`.
#include "export/kafka/kafka.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>

#include "net/kafka/library.h"
#include "net/kafka/lookup.h"
#include "wire/otlp/split.h"

namespace tailgate {
namespace {

// What a message's key and headers may take of max_message_bytes.
constexpr std::size_t kOverhead = 256;

struct KafkaProgress;

struct Message {
  enum class State : std::uint8_t { kOpen, kDelivered, kRejected };

  KafkaProgress* progress;
  std::size_t trace;  // in Batch::traces
  ByteView payload;   // into that trace, or into KafkaProgress::pieces
  std::uint64_t spans;
  State state = State::kOpen;
  bool alone = false;  // goes by the client that sends each message by itself
};

// What is remembered of a batch until it has ended for good.
struct KafkaProgress {
  BatchPtr batch;                 // while messages are out
  bool made = false;              // `pieces` and `messages`
  std::deque<OtlpPiece> pieces;   // of traces too large for one message
  std::vector<Message> messages;  // made at the first attempt and not resized then: librdkafka has their addresses
  std::vector<RejectedTrace> rejected;
  std::optional<SendResult> failure;  // of this attempt, the first
  std::size_t out = 0;                // messages that are not reported
};

// A broker will never take a message that it refused for this.
bool is_permanent(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
      return true;
    default:
      return false;
  }
}

FailReason reason_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return FailReason::kTimeout;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
      return FailReason::kRefused;
    default:
      return FailReason::kUnavailable;
  }
}

class KafkaExporter;

// A producer of librdkafka. A broker refuses a whole request and does not say for which of its messages. So a second
// producer, made when it is needed, sends one message per request.
struct Producer {
  KafkaExporter* owner;
  bool alone;
  rd_kafka_t* handle = nullptr;  // null: not open
  rd_kafka_topic_t* topic = nullptr;
  bool fatal = false;
  std::size_t out = 0;  // messages it has
};

class KafkaExporter final : public Exporter {
 public:
  explicit KafkaExporter(KafkaOptions options) : options_(std::move(options)) {}

  ~KafkaExporter() override {
    lookup_.end();
    for (Producer* client : {&together_, &alone_}) close(*client);  // before the bytes they have views of
    if (events_ >= 0) ::close(events_);
  }

  Result<void> start() override {
    Result<KafkaLibrary> loaded = load_kafka_library();
    if (!loaded) return tl::unexpected(loaded.error());
    kafka_ = *loaded;
    events_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events_ < 0) return fail(ErrorKind::kIo, fmt::format("kafka: eventfd: {}", std::strerror(errno)));
    return open(together_);
  }

  void send(BatchPtr batch) override {
    KafkaProgress& progress = progress_.of(batch);
    if (!progress.made) make_messages(*batch, progress);
    progress.made = true;  // stays false when make_messages() throws: a list that is not whole must not be used
    progress.batch = std::move(batch);
    progress.failure.reset();
    progress.out = 1;  // one more until all are handed over, so that a report cannot end the batch in between
    for (Message& m : progress.messages) {
      if (m.state != Message::State::kOpen) continue;
      ++progress.out;
      const rd_kafka_resp_err_t code = produce(m);
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) reported(m, code);
    }
    release(progress);
  }

  void wait(Duration timeout, std::vector<Completion>& done) override {
    if (done_.empty()) {
      pollfd fd{events_, POLLIN, 0};
      const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
      ::poll(&fd, 1, static_cast<int>(std::clamp<std::int64_t>(ms, 0, 60'000)));
    }
    std::uint64_t ignored = 0;
    [[maybe_unused]] const ssize_t n = ::read(events_, &ignored, sizeof ignored);
    for (Producer* client : {&together_, &alone_}) poll(*client);
    for (Completion& c : done_) done.push_back(std::move(c));
    done_.clear();
  }

  void wake() override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(events_, &one, sizeof one);
  }

  void cancel() override {
    for (Producer* client : {&together_, &alone_}) purge(*client);
  }

 private:
  void make_messages(const Batch& batch, KafkaProgress& progress) const {
    progress.messages.clear();
    progress.pieces.clear();
    const std::size_t bytes_max = options_.max_message_bytes - kOverhead;
    std::vector<OtlpPiece> pieces;
    for (std::size_t i = 0; i < batch.traces.size(); ++i) {
      const KeptTrace& trace = *batch.traces[i];
      if (trace.otlp.size() <= bytes_max) {
        progress.messages.push_back({&progress, i, trace.otlp, trace.spans});
        continue;
      }
      pieces.clear();
      split_otlp(trace.otlp, bytes_max, pieces);
      for (OtlpPiece& piece : pieces) {
        const std::uint64_t spans = pieces.size() == 1 ? trace.spans : piece.spans;
        progress.pieces.push_back(std::move(piece));
        progress.messages.push_back({&progress, i, progress.pieces.back().otlp, spans});
      }
    }
  }

  rd_kafka_resp_err_t produce(Message& m) {
    Producer& client = m.alone ? alone_ : together_;
    if (client.handle == nullptr) {
      if (Result<void> opened = open(client); !opened) last_error_ = opened.error().text;
    }
    if (client.handle == nullptr || client.fatal) return RD_KAFKA_RESP_ERR__STATE;
    const std::string key = m.progress->batch->traces[m.trace]->id.hex();
    const int failed = kafka_.produce(client.topic, RD_KAFKA_PARTITION_UA, 0, const_cast<char*>(m.payload.data()),
                                      m.payload.size(), key.data(), key.size(), &m);
    if (failed != 0) return kafka_.last_error();
    ++client.out;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }

  // One message has ended, by a report or because librdkafka did not take it.
  void reported(Message& m, rd_kafka_resp_err_t code) {
    KafkaProgress& progress = *m.progress;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      m.state = Message::State::kDelivered;
      last_error_.clear();
    } else if (is_permanent(code)) {
      m.state = Message::State::kRejected;
      progress.rejected.push_back(
          {m.trace, m.spans, fmt::format("{} ({} bytes)", kafka_.err2str(code), m.payload.size())});
    } else if (!progress.failure) {
      std::string text = code == RD_KAFKA_RESP_ERR__STATE ? "the client is being replaced" : kafka_.err2str(code);
      if (!last_error_.empty()) text += ": " + last_error_;
      progress.failure = SendResult::retry(reason_of(code), std::move(text));
    }
    release(progress);
  }

  void release(KafkaProgress& progress) {
    if (--progress.out != 0) return;
    const std::uint64_t id = progress.batch->id;
    if (progress.failure) {
      progress.failure->settled = settled_traces(progress);
      progress.failure->rejected = merge_rejected(progress.rejected);
      progress.batch.reset();  // the queue has it, for the next attempt
      done_.push_back({id, std::move(*progress.failure)});
      return;
    }
    // Reports come in any order, and for each piece of a trace.
    std::vector<RejectedTrace> rejected = merge_rejected(std::move(progress.rejected));
    const bool all = std::all_of(progress.messages.begin(), progress.messages.end(),
                                 [](const Message& m) { return m.state == Message::State::kRejected; });
    done_.push_back({id, all && !rejected.empty()
                             ? SendResult::permanent(FailReason::kRefused, std::move(rejected.front().why))
                             : SendResult::done_but_for(std::move(rejected))});
    progress_.forget(id);
  }

  static std::vector<std::size_t> settled_traces(const KafkaProgress& progress) {
    std::vector<bool> open(progress.batch->traces.size());
    for (const Message& m : progress.messages) {
      if (m.state == Message::State::kOpen) open[m.trace] = true;
    }
    std::vector<std::size_t> out;
    for (std::size_t t = 0; t < open.size(); ++t) {
      if (!open[t]) out.push_back(t);
    }
    return out;
  }

  void poll(Producer& client) {
    if (client.handle == nullptr) return;
    while (kafka_.poll(client.handle, 0) > 0) {
    }
    if (!client.fatal) return;
    // An idempotent producer that lost its place refuses everything from then on: a new one takes over.
    purge(client);
    while (kafka_.poll(client.handle, 0) > 0) {
    }
    if (client.out == 0) close(client);
  }

  void purge(const Producer& client) {
    if (client.handle == nullptr) return;
    kafka_.purge(client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
  }

  // --- the client
  Result<void> open(Producer& client) {
    KafkaConf conf(kafka_);
    if (client.alone) {
      if (Result<void> set = conf.set("batch.num.messages", "1"); !set) return set;
    }
    if (Result<void> set = conf.set(options_.properties); !set) return set;
    kafka_.conf_set_opaque(conf.get(), &client);
    kafka_.conf_set_dr_msg_cb(conf.get(), on_report);
    kafka_.conf_set_error_cb(conf.get(), on_error);
    if (kafka_.conf_set_resolve_cb != nullptr) kafka_.conf_set_resolve_cb(conf.get(), on_resolve);
    const Result<rd_kafka_t*> made = conf.make(RD_KAFKA_PRODUCER);
    if (!made) return tl::unexpected<Error>(made.error());
    client.handle = *made;
    client.fatal = false;
    client.topic = kafka_.topic_new(client.handle, options_.topic.c_str(), nullptr);
    if (client.topic == nullptr) {
      std::string text = fmt::format("kafka: topic {}: {}", options_.topic, kafka_.err2str(kafka_.last_error()));
      close(client);
      return fail(ErrorKind::kConfig, std::move(text));
    }
    rd_kafka_queue_t* const queue = kafka_.queue_get_main(client.handle);
    static constexpr std::uint64_t kOne = 1;
    kafka_.queue_io_event_enable(queue, events_, &kOne, sizeof kOne);
    kafka_.queue_destroy(queue);
    return {};
  }

  // Does not wait for reports: the caller has none outstanding, or the exporter is ending.
  void close(Producer& client) {
    if (client.topic != nullptr) kafka_.topic_destroy(client.topic);
    if (client.handle != nullptr) kafka_.destroy(client.handle);
    client.topic = nullptr;
    client.handle = nullptr;
    client.out = 0;
  }

  static void on_report(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    auto* const client = static_cast<Producer*>(opaque);
    --client->out;
    Message& m = *static_cast<Message*>(message->_private);
    if (is_permanent(message->err) && !m.alone) return client->owner->again_alone(m);
    client->owner->reported(m, message->err);
  }

  // The broker may have refused its request for another message.
  void again_alone(Message& m) {
    m.alone = true;
    const rd_kafka_resp_err_t code = produce(m);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) reported(m, code);
  }

  static void on_error(rd_kafka_t*, int code, const char* text, void* opaque) {
    auto* const client = static_cast<Producer*>(opaque);
    if (code == RD_KAFKA_RESP_ERR__FATAL) client->fatal = true;
    // "All brokers are down" says less than what came before it.
    std::string& last = client->owner->last_error_;
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || last.empty()) last = text;
  }

  // Called by librdkafka's threads, which are gone before this exporter is.
  static int on_resolve(const char* node, const char* service, const addrinfo* hints, addrinfo** found, void* opaque) {
    if (node != nullptr) return static_cast<Producer*>(opaque)->owner->lookup_.look_up(node, service, hints, found);
    ::freeaddrinfo(*found);
    return 0;
  }

  const KafkaOptions options_;
  KafkaLibrary kafka_;
  KafkaLookup lookup_;
  int events_ = -1;
  Producer together_{this, false}, alone_{this, true};
  std::string last_error_;
  BatchMemory<KafkaProgress> progress_;
  std::vector<Completion> done_;
};

}  // namespace

std::unique_ptr<Exporter> make_kafka_exporter(KafkaOptions options) {
  return std::make_unique<KafkaExporter>(std::move(options));
}

}  // namespace tailgate
