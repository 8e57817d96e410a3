// SPDX-License-Identifier: Apache-2.0
// The keys of the kafka exporter, which are the Collector's, as properties of librdkafka.
//     kafka: {brokers: [kafka:9092], topic: otlp_spans, producer: {compression: zstd}, tls: {ca_file: ca.pem},
//             auth: {sasl: {mechanism: SCRAM-SHA-512, username: tailgate, password_file: /run/secrets/kafka}}}
#include <fmt/format.h>

#include <algorithm>

#include "export/export_config.h"
#include "export/kafka/kafka.h"
#include "export/registry.h"

namespace tailgate {
namespace {

// librdkafka's range of message.max.bytes.
constexpr std::int64_t kMessageMin = 1000, kMessageMax = 1'000'000'000;

struct KafkaKeys {
  const ConfigNode& node;
  KafkaOptions& options;
  Duration linger{};

  void set(std::string name, std::string value) { options.properties.emplace_back(std::move(name), std::move(value)); }

  Duration duration(const ConfigNode& at, const char* key, Duration fallback, Duration least, const char* property) {
    return read_kafka_duration(at, key, fallback, least, property, options.properties);
  }

  void topic() {
    const ConfigNode traces = node.child("traces");
    options.topic = read_kafka_topic(node, traces, options.topic);
    for (const ConfigNode& at : {node, traces}) at.choice("encoding", "otlp_proto", {"otlp_proto"});
    traces.finish();
  }

  void producer() {
    const ConfigNode producer = node.child("producer");
    options.max_message_bytes = static_cast<std::size_t>(
        producer.bytes("max_message_bytes", static_cast<std::uint64_t>(options.max_message_bytes)));
    if (options.max_message_bytes < kMessageMin || options.max_message_bytes > kMessageMax) {
      producer.error("max_message_bytes", fmt::format("expected {} to {}", kMessageMin, kMessageMax));
    }
    set("message.max.bytes", std::to_string(options.max_message_bytes));
    set("compression.codec", producer.choice("compression", "none", {"none", "gzip", "snappy", "lz4", "zstd"}));
    const ConfigNode params = producer.child("compression_params");
    if (params.has("level"))
      set("compression.level", std::to_string(params.integer("level", -1, {.min = -1, .max = 22})));
    params.finish();
    linger = duration(producer, "linger", std::chrono::milliseconds(5), Duration::zero(), "linger.ms");
    const std::string acks = producer.choice("required_acks", "all", {"all", "-1", "0", "1"});
    if (acks != "all" && acks != "-1") {
      producer.child("required_acks").notice("accepted, but a trace counts as sent when all replicas have it");
    }
    producer.without_effect({"flush_max_messages", "allow_auto_topic_creation"});
    producer.finish();
  }
};

}  // namespace

ExporterParts read_kafka_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  KafkaOptions options;
  KafkaKeys read{node, options, {}};
  read_kafka_connection(node, options.properties);
  read.topic();
  read.producer();
  // Sarama's hash, so that a trace of ours and of a Collector's go to one partition; or that of Java's clients.
  read.set("partitioner", node.choice("partitioner", "fnv1a", {"fnv1a", "murmur2"}) + "_random");
  options.timeout = read.duration(node, "timeout", options.timeout, std::chrono::seconds(1), "message.timeout.ms");
  if (read.linger >= options.timeout) node.error("timeout", "expected more than producer.linger");
  const ConfigNode metadata = node.child("metadata");
  read.duration(metadata, "refresh_interval", std::chrono::minutes(10), std::chrono::seconds(1),
                "topic.metadata.refresh.interval.ms");
  metadata.without_effect({"full", "retry"});
  metadata.finish();
  for (const char* key : {"topic_from_attribute", "include_metadata_keys"}) {
    if (node.has(key)) node.child(key).error("expected no such key: it is not supported here");
  }
  if (node.has("partition_traces_by_id") && !node.boolean("partition_traces_by_id", true)) {
    node.child("partition_traces_by_id").notice("accepted, but a message is always one trace under its id");
  }
  node.without_effect({"protocol_version", "resolve_canonical_bootstrap_servers_only", "rack_id", "conn_idle_timeout",
                       "partition_metrics_by_resource_attributes", "partition_logs_by_resource_attributes", "metrics",
                       "logs", "profiles"});
  parts.queue.bytes_max = defaults.queue_bytes_max;
  read_queue(node, parts.queue);
  // librdkafka holds headers and views of what is in flight; the bytes are the queue's.
  read.set("queue.buffering.max.messages", "100000");
  read.set("queue.buffering.max.kbytes",
           std::to_string(std::clamp<std::size_t>(parts.queue.bytes_max >> 10, 1024, 2'000'000'000)));
  read.set("enable.idempotence", "true");
  read.set("acks", "all");
  parts.exporter = make_kafka_exporter(std::move(options));
  return parts;
}

}  // namespace tailgate
