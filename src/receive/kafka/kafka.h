// SPDX-License-Identifier: Apache-2.0
// kafka: what the reader of its keys (config.cc) hands to the receiver (kafka.cc).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/rotation_options.h"
#include "net/kafka/connection.h"
#include "receive/kafka/record_format.h"
#include "receive/receiver.h"

namespace tailgate {

struct KafkaReceiverOptions {
  std::string topic = "otlp_spans";
  std::string group = "tailgate";
  std::string instance_id;  // "": the member has a new name whenever it joins
  RecordFormat format = RecordFormat::kOtlpProto;
  std::size_t record_bytes_max = 16 << 20;
  std::size_t queue_bytes = 16 << 20;  // that librdkafka reads ahead
  Duration commit_interval = std::chrono::seconds(1);
  std::string verdicts_topic;                              // "": none
  Duration verdicts_read_back = std::chrono::minutes(10);  // zero: all that the topic has
  std::string dead_letters;                                // a file; "": poison records are only counted
  RotationOptions rotation;
  KafkaProperties connection;  // of every client
  KafkaProperties consumer;    // of the one that is a member of the group, besides
  std::string config_path;     // "receivers.kafka"
};

std::unique_ptr<Receiver> make_kafka_receiver(KafkaReceiverOptions options, std::string name);

}  // namespace tailgate
