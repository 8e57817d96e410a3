// SPDX-License-Identifier: Apache-2.0
// kafka: what the reader of its keys (config.cc) hands to the exporter (kafka.cc).
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "export/exporter.h"
#include "net/kafka/connection.h"

namespace tailgate {

struct KafkaOptions {
  std::string topic = "otlp_spans";
  std::size_t max_message_bytes = 1'000'000;
  Duration timeout = std::chrono::seconds(30);
  KafkaProperties properties;  // of every client it makes
};

std::unique_ptr<Exporter> make_kafka_exporter(KafkaOptions options);

}  // namespace tailgate
