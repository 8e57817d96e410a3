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

using std::chrono::milliseconds;

// librdkafka's ranges of message.max.bytes and of times in milliseconds.
constexpr std::int64_t kMessageMin = 1000, kMessageMax = 1'000'000'000;
constexpr Duration kTimeMax = std::chrono::minutes(15);

struct Reader {
  const ConfigNode& node;
  KafkaOptions& options;
  Duration linger{};

  void set(std::string name, std::string value) { options.properties.emplace_back(std::move(name), std::move(value)); }

  Duration duration(const ConfigNode& at, const char* key, Duration fallback, Duration least, const char* property) {
    const Duration value = at.duration(key, fallback, least);
    if (value > kTimeMax) at.error(key, "expected 15m or less");
    set(property, std::to_string(std::chrono::ceil<milliseconds>(value).count()));
    return value;
  }

  void brokers() {
    std::string list;
    const std::vector<std::string> brokers = node.texts("brokers");
    for (const std::string& broker : brokers) {
      if (!split_host_port(broker))
        node.error("brokers", fmt::format("expected a list of host:port, not '{}'", broker));
      list += (list.empty() ? "" : ",") + broker;
    }
    if (brokers.empty()) node.error("brokers", "expected a list of host:port");
    set("bootstrap.servers", list);
  }

  void topic() {
    const ConfigNode traces = node.child("traces");
    const bool own = traces.has("topic");
    if (own && node.has("topic")) node.error("topic", "expected either this or traces.topic");
    const std::string topic = own ? traces.text("topic") : node.text("topic", options.topic);
    const auto allowed = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
             c == '-';
    };
    if (topic.empty() || topic.size() > 249 || topic == "." || topic == ".." ||
        !std::all_of(topic.begin(), topic.end(), allowed)) {
      (own ? traces : node).error("topic", "expected a name of at most 249 letters, digits, '.', '_' or '-'");
    }
    options.topic = topic;
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
    linger = duration(producer, "linger", milliseconds(5), Duration::zero(), "linger.ms");
    const std::string acks = producer.choice("required_acks", "all", {"all", "-1", "0", "1"});
    if (acks != "all" && acks != "-1") {
      producer.child("required_acks").notice("accepted, but a trace counts as sent when all replicas have it");
    }
    producer.without_effect({"flush_max_messages", "allow_auto_topic_creation"});
    producer.finish();
  }

  // True: the client logs in.
  bool auth(ConfigNode& tls) {
    const ConfigNode auth = node.child("auth");
    for (const char* key : {"kerberos", "plain_text"}) {
      if (auth.has(key)) auth.child(key).error("expected `sasl` instead, it is not supported here");
    }
    if (auth.has("tls")) {
      if (tls.present()) auth.child("tls").error("expected either this or `tls` next to `auth`");
      tls = auth.child("tls");
    }
    const ConfigNode sasl = auth.child("sasl");
    const bool used = sasl.present();
    if (used) {
      set("sasl.mechanisms", sasl.choice("mechanism", "PLAIN", {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}));
      const std::string user = sasl.text("username");
      const std::string password = read_secret(sasl, "password");
      if (user.empty()) sasl.error("username", "expected the name to log in with");
      if (password.empty()) sasl.error("expected a password, or a password_file with one in it");
      set("sasl.username", user);
      set("sasl.password", password);
      sasl.without_effect({"version"});
      sasl.finish();
    }
    auth.finish();
    return used;
  }

  // True: TLS.
  bool tls(const ConfigNode& at) {
    const TlsConfig tls = read_tls_block(at);
    if (!at.present() || tls.insecure) return false;
    if (tls.insecure_skip_verify) set("enable.ssl.certificate.verification", "false");
    // Off by default before librdkafka 2.0.
    set("ssl.endpoint.identification.algorithm", tls.insecure_skip_verify ? "none" : "https");
    if (!tls.ca_pem.empty()) set("ssl.ca.pem", tls.ca_pem);
    // Files are handed on as files, because of a PEM text librdkafka sends the first certificate only and not its
    // chain.
    const auto own = [&](const std::string& path, const std::string& pem, const std::string& property) {
      if (!pem.empty()) set(property + (path.empty() ? ".pem" : ".location"), path.empty() ? pem : path);
    };
    own(at.text("cert_file"), tls.cert_pem, "ssl.certificate");
    own(at.text("key_file"), tls.key_pem, "ssl.key");
    if (!tls.server_name_override.empty()) {
      at.error("server_name_override", "expected no such key: brokers are checked by the names they give themselves");
    }
    return true;
  }
};

}  // namespace

ExporterParts read_kafka_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  KafkaOptions options;
  Reader read{node, options, {}};
  read.brokers();
  read.topic();
  read.producer();
  read.set("client.id", node.text("client_id", "tailgate"));
  // Sarama's hash, so that a trace of ours and of a Collector's go to one partition; or that of Java's clients.
  read.set("partitioner", node.choice("partitioner", "fnv1a", {"fnv1a", "murmur2"}) + "_random");
  options.timeout = read.duration(node, "timeout", options.timeout, std::chrono::seconds(1), "message.timeout.ms");
  if (read.linger >= options.timeout) node.error("timeout", "expected more than producer.linger");
  const ConfigNode metadata = node.child("metadata");
  read.duration(metadata, "refresh_interval", std::chrono::minutes(10), std::chrono::seconds(1),
                "topic.metadata.refresh.interval.ms");
  metadata.without_effect({"full", "retry"});
  metadata.finish();
  ConfigNode tls = node.child("tls");
  const bool sasl = read.auth(tls);
  const bool encrypted = read.tls(tls);
  read.set("security.protocol", fmt::format("{}{}", sasl ? "sasl_" : "", encrypted ? "ssl" : "plaintext"));
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
  read.set("socket.keepalive.enable", "true");
  parts.exporter = make_kafka_exporter(std::move(options));
  return parts;
}

}  // namespace tailgate
