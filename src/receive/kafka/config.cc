// SPDX-License-Identifier: Apache-2.0
// The keys of the kafka receiver; those that the Collector's has too are named as there.
//     kafka: {brokers: [kafka:9092], topic: otlp_spans, group: tailgate, verdicts_topic: tailgate_verdicts}
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "config/rotation_config.h"
#include "receive/kafka/kafka.h"

namespace tailgate {
namespace {

RecordFormat format_named(const std::string& name) {
  const auto found = std::find(kRecordFormatNames.begin(), kRecordFormatNames.end(), name);
  return static_cast<RecordFormat>(found - kRecordFormatNames.begin());
}

// `name`, or `alias`, which is the Collector's.
std::string either(const ConfigNode& node, const char* name, const char* alias, const std::string& fallback) {
  if (node.has(name) && node.has(alias)) node.error(alias, fmt::format("expected either this or {}", name));
  return node.has(alias) ? node.text(alias) : node.text(name, fallback);
}

std::size_t read_size(const ConfigNode& node, const char* key, std::size_t fallback, std::uint64_t least,
                      std::uint64_t most) {
  const std::uint64_t value = node.bytes(key, fallback);
  if (value < least || value > most) node.error(key, fmt::format("expected {} to {} bytes", least, most));
  return static_cast<std::size_t>(value);
}

void read_dead_letters(const ConfigNode& node, KafkaReceiverOptions& options) {
  if (!node.present()) return;
  options.dead_letters = node.text("path");
  if (options.dead_letters.empty()) node.error("path", "expected the path of a file");
  read_rotation(node, options.rotation);
  node.finish();
}

}  // namespace

KafkaReceiverOptions read_kafka_receiver(const ConfigNode& node) {
  KafkaReceiverOptions out;
  out.config_path = node.path();
  read_kafka_connection(node, out.connection);
  const ConfigNode traces = node.child("traces");
  out.topic = read_kafka_topic(node, traces, out.topic);
  const bool own = traces.has("encoding");
  if (own && node.has("encoding")) node.error("encoding", "expected either this or traces.encoding");
  out.format = format_named(
      (own ? traces : node)
          .choice("encoding", kRecordFormatNames[0], {kRecordFormatNames.begin(), kRecordFormatNames.end()}));
  traces.finish();
  out.group = either(node, "group", "group_id", out.group);
  if (out.group.empty()) node.error("group", "expected the name of a consumer group");
  out.instance_id = either(node, "instance_id", "group_instance_id", "");
  if (!out.instance_id.empty())
    check_kafka_name(node, node.has("instance_id") ? "instance_id" : "group_instance_id", out.instance_id);

  const auto set = [&](const char* name, std::string value) { out.consumer.emplace_back(name, std::move(value)); };
  set("group.id", out.group);
  if (!out.instance_id.empty()) set("group.instance.id", out.instance_id);
  set("auto.offset.reset", node.choice("initial_offset", "earliest", {"earliest", "latest"}));
  const Duration session = read_kafka_duration(node, "session_timeout", std::chrono::seconds(45),
                                               std::chrono::seconds(1), "session.timeout.ms", out.consumer);
  const Duration beat =
      read_kafka_duration(node, "heartbeat_interval", std::min<Duration>(std::chrono::seconds(3), session / 3),
                          std::chrono::milliseconds(100), "heartbeat.interval.ms", out.consumer);
  if (beat * 3 > session) node.error("heartbeat_interval", "expected at most a third of session_timeout");
  out.commit_interval = node.duration("commit_interval", out.commit_interval, std::chrono::milliseconds(100));
  out.record_bytes_max = read_size(node, "max_record_bytes", out.record_bytes_max, 1000, 64 * kMiB);
  out.queue_bytes = read_size(node, "queue_bytes", out.queue_bytes, kMiB, 2048 * kMiB);
  set("queued.max.messages.kbytes", std::to_string(out.queue_bytes >> 10));
  set("fetch.max.bytes", std::to_string(std::clamp<std::size_t>(out.queue_bytes, kMiB, 50 * kMiB)));
  set("partition.assignment.strategy", "cooperative-sticky");
  // What is settled is stored, and librdkafka commits it: it alone knows when the group is not in a rebalance. Before
  // 2.10 a commit that is sent during one costs a member all of its partitions
  // (https://github.com/confluentinc/librdkafka/issues/4059), and with it the others a rebalance more.
  set("enable.auto.commit", "true");
  set("auto.commit.interval.ms", "100");  // it commits what is new only, so commit_interval is what counts
  set("enable.auto.offset.store", "false");

  out.verdicts_topic = node.text("verdicts_topic");
  if (node.has("verdicts_topic")) check_kafka_name(node, "verdicts_topic", out.verdicts_topic);
  if (!out.verdicts_topic.empty() && out.verdicts_topic == out.topic)
    node.error("verdicts_topic", "expected another topic than that of the spans");
  if (node.has("verdicts_read_back") && out.verdicts_topic.empty())
    node.error("verdicts_read_back", "expected `verdicts_topic` next to it");
  out.verdicts_read_back = node.duration("verdicts_read_back", out.verdicts_read_back);
  read_dead_letters(node.child("dead_letters"), out);
  node.without_effect({"autocommit", "message_marking", "error_backoff", "header_extraction", "protocol_version",
                       "resolve_canonical_bootstrap_servers_only", "rack_id", "conn_idle_timeout", "metadata",
                       "min_fetch_size", "default_fetch_size", "max_fetch_size", "max_fetch_wait",
                       "max_partition_fetch_size", "group_rebalance_strategy", "metrics", "logs", "profiles"});
  node.finish();
  return out;
}

std::unique_ptr<Receiver> make_kafka_receiver(const ConfigNode& node, std::string name) {
  return make_kafka_receiver(read_kafka_receiver(node), std::move(name));
}

}  // namespace tailgate
