// SPDX-License-Identifier: Apache-2.0
// kafka: spans out of a topic of Kafka, as the member of a consumer group. docs/kafka.md says what is promised.
#include "receive/kafka/kafka.h"

#include "receive/kafka/consumer.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

class KafkaReceiver final : public Receiver {
 public:
  KafkaReceiver(KafkaReceiverOptions options, std::string name)
      : options_(std::move(options)), name_(std::move(name)) {}

  ~KafkaReceiver() override {
    if (consumer_ == nullptr) return;
    consumer_->end();
    if (!consumer_->can_be_destroyed()) static_cast<void>(consumer_.release());
  }

  const std::string& name() const override { return name_; }
  bool rereads() const override { return true; }
  bool marks_spans() const override {
    return options_.format == RecordFormat::kJaegerProto || options_.format == RecordFormat::kZipkinJson;
  }
  std::size_t tls_connections() const override { return 0; }
  std::vector<std::string> wanted_endpoints() const override { return {}; }

  Result<void> start(const ReceiverContext& context) override {
    Result<KafkaLibrary> loaded = load_kafka_library();
    if (!loaded) return tl::unexpected(loaded.error());
    library_ = *loaded;
    context_ = context;
    consumer_ = std::make_unique<KafkaConsumer>(options_, name_, context_, library_);
    return consumer_->start();
  }
  std::vector<std::string> endpoints() const override { return {}; }
  void drain() override {
    if (consumer_ != nullptr) consumer_->drain();
  }
  void stop(Duration grace) override {
    if (consumer_ == nullptr) return;
    consumer_->drain();
    if (!consumer_->wait_drained(grace) && grace > Duration::zero())
      log_warn("kafka: the brokers hold the end up, so no more offsets are committed", {{"receiver", name_}});
  }
  void finish() override {
    if (consumer_ != nullptr) consumer_->finish();
  }
  ReceiverStats stats() const override {
    ReceiverStats out;
    out.log = consumer_->stats();
    return out;
  }

 private:
  const KafkaReceiverOptions options_;
  const std::string name_;
  ReceiverContext context_;
  KafkaLibrary library_;
  std::unique_ptr<KafkaConsumer> consumer_;
};

}  // namespace

std::unique_ptr<Receiver> make_kafka_receiver(KafkaReceiverOptions options, std::string name) {
  return std::make_unique<KafkaReceiver>(std::move(options), std::move(name));
}

}  // namespace tailgate
