// SPDX-License-Identifier: Apache-2.0
#include "net/kafka/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/client/client_config.h"

namespace tailgate {
namespace {

using std::chrono::milliseconds;

constexpr Duration kTimeMax = std::chrono::minutes(15);  // librdkafka's of most times

struct Reader {
  const ConfigNode& node;
  KafkaProperties& properties;

  void set(const char* name, std::string value) { properties.emplace_back(name, std::move(value)); }

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
    const auto own = [&](const std::string& path, const std::string& pem, const char* file, const char* text) {
      if (!pem.empty()) set(path.empty() ? text : file, path.empty() ? pem : path);
    };
    own(at.text("cert_file"), tls.cert_pem, "ssl.certificate.location", "ssl.certificate.pem");
    own(at.text("key_file"), tls.key_pem, "ssl.key.location", "ssl.key.pem");
    if (!tls.server_name_override.empty()) {
      at.error("server_name_override", "expected no such key: brokers are checked by the names they give themselves");
    }
    return true;
  }
};

}  // namespace

void read_kafka_connection(const ConfigNode& node, KafkaProperties& properties) {
  Reader read{node, properties};
  read.brokers();
  read.set("client.id", node.text("client_id", "tailgate"));
  ConfigNode tls = node.child("tls");
  const bool sasl = read.auth(tls);
  const bool encrypted = read.tls(tls);
  read.set("security.protocol", fmt::format("{}{}", sasl ? "sasl_" : "", encrypted ? "ssl" : "plaintext"));
  read.set("socket.keepalive.enable", "true");
}

Duration read_kafka_duration(const ConfigNode& at, const char* key, Duration fallback, Duration least,
                             const char* property, KafkaProperties& properties) {
  const Duration value = at.duration(key, fallback, least);
  if (value > kTimeMax) at.error(key, "expected 15m or less");
  properties.emplace_back(property, std::to_string(std::chrono::ceil<milliseconds>(value).count()));
  return value;
}

void check_kafka_name(const ConfigNode& node, std::string_view key, const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (name.empty() || name.size() > 249 || name == "." || name == ".." ||
      !std::all_of(name.begin(), name.end(), allowed)) {
    node.error(key, "expected a name of at most 249 letters, digits, '.', '_' or '-'");
  }
}

std::string read_kafka_topic(const ConfigNode& node, const ConfigNode& traces, const std::string& fallback) {
  const bool own = traces.has("topic");
  if (own && node.has("topic")) node.error("topic", "expected either this or traces.topic");
  std::string topic = own ? traces.text("topic") : node.text("topic", fallback);
  check_kafka_name(own ? traces : node, "topic", topic);
  return topic;
}

}  // namespace tailgate
