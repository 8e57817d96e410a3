// SPDX-License-Identifier: Apache-2.0
// kafka: what the reader of its keys (config.cc) hands to the exporter (kafka.cc).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "export/exporter.h"

namespace tailgate {

struct KafkaOptions {
  std::string topic = "otlp_spans";
  std::size_t max_message_bytes = 1'000'000;
  Duration timeout = std::chrono::seconds(30);
  // librdkafka's own names and values, for every client it makes. A password may be among them: not for logs.
  std::vector<std::pair<std::string, std::string>> properties;
};

std::unique_ptr<Exporter> make_kafka_exporter(KafkaOptions options);

}  // namespace tailgate
