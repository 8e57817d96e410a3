// SPDX-License-Identifier: Apache-2.0
// What the kafka exporter and the kafka receiver read alike from their YAML: brokers, topic, logins, TLS, as properties
// of librdkafka. Keys are the Collector's (configkafka). Threads: as ConfigNode.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/config_node.h"

namespace tailgate {

// librdkafka's own names and values. A password may be among them: not for logs.
using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

// `brokers`, `client_id`, `auth`, `tls`. Problems are recorded with the node.
void read_kafka_connection(const ConfigNode& node, KafkaProperties& properties);

// A duration as the property of that many milliseconds; an error above 15 minutes.
Duration read_kafka_duration(const ConfigNode& at, const char* key, Duration fallback, Duration least,
                             const char* property, KafkaProperties& properties);

// `topic`, or `traces.topic`. An error when it is no name that Kafka takes.
std::string read_kafka_topic(const ConfigNode& node, const ConfigNode& traces, const std::string& fallback);
// Says so at `key` of `node` when it is none.
void check_kafka_name(const ConfigNode& node, std::string_view key, const std::string& name);

}  // namespace tailgate
