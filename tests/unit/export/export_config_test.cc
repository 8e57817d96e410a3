// SPDX-License-Identifier: Apache-2.0
#include "export/export_config.h"

#include <catch2/catch.hpp>

#include "config/config_file.h"
#include "export/exporters.h"
#include "export/otlp/response.h"
#include "export/registry.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

ConfigIssues issues_of(const std::string& yaml) {
  ByteBudget budget({0, 0, 1 << 20, 0});
  const auto doc = load_config_text(yaml, "t.yaml");
  REQUIRE(doc);
  (void)Exporters::make(doc->root, budget, {});
  return *doc->issues;
}

}  // namespace

TEST_CASE("a text from a variable is a text, whatever it would be as YAML", "[export]") {
  for (const char* token : {"x:", "a: b", "- x", "[]", "{}", "[a", "~", "5", "'q'"}) {
    LoadOptions options;
    options.environment = [&](const std::string&) { return std::optional<std::string>(token); };
    const auto doc = load_config_text(R"(
otlp: {endpoint: "b:4317", headers: {authorization: "${env:TOK}"}}
otlphttp:
  endpoint: http://b:4318
  headers:
    key: ${env:TOK}
kafka: {brokers: ["a:9092"], auth: {sasl: {username: u, password: "${env:TOK}", mechanism: PLAIN}}}
zipkin: {endpoint: "http://b:9411", headers: [{name: key, value: "${env:TOK}"}]}
debug: {services: ["${env:TOK}"]}
)",
                                      "t.yaml", options);
    REQUIRE(doc);
    ByteBudget budget({0, 0, 1 << 20, 0});
    (void)Exporters::make(doc->root, budget, {});
    INFO(token);
    CHECK(messages(doc->issues->errors) == std::vector<std::string>());
  }
}

TEST_CASE("the Collector's exporter blocks are accepted", "[export]") {
  const ConfigIssues issues = issues_of(R"(
otlp:
  endpoint: https://tempo.example:4317
  compression: none
  timeout: 10s
  headers: {authorization: "Bearer abc"}
  tls: {min_version: "1.2"}
  keepalive: {time: 30s, timeout: 5s, permit_without_stream: true}
  balancer_name: pick_first
  write_buffer_size: 524288
  sending_queue: {enabled: true, num_consumers: 4, queue_size: 1000, storage: x, batch: {flush_timeout: 1s, min_size: 8192}}
  retry_on_failure: {enabled: true, initial_interval: 1s, max_interval: 10s, max_elapsed_time: 60s, multiplier: 2, randomization_factor: 0}
otlp_grpc/b: {endpoint: "dns:///b:4317", tls: {insecure: true}}
otlphttp: {endpoint: http://b:4318, headers: [{name: a, value: b}], max_idle_conns: 5}
otlp_http/x: {traces_endpoint: "https://b:4318/own/path", tls: {insecure_skip_verify: true}}
kafka:
  brokers: ["a:9092", "b:9092"]
  protocol_version: 3.9.0
  traces: {topic: spans, encoding: otlp_proto}
  producer: {max_message_bytes: 2000000, required_acks: 1, compression: zstd, compression_params: {level: 3}}
  auth: {sasl: {username: u, password: p, mechanism: SCRAM-SHA-512}, tls: {insecure_skip_verify: true}}
  metadata: {full: true, refresh_interval: 5m}
elasticsearch:
  endpoints: ["http://a:9200", "https://b/es"]
  user: u
  password: p
  index_prefix: prod
  shards: 1
  replicas: 0
  compression: none
zipkin: {endpoint: "http://zipkin:9411/api/v2/spans", format: json}
file: {path: x.json, rotation: {max_megabytes: 10, max_days: 3, max_backups: 3, localtime: true}, format: json}
debug:
debug/two: {verbosity: basic, sampling_initial: 2}
)");
  CHECK(issues.errors.empty());
  CHECK(issues.notices.size() == 10);
}

TEST_CASE("every bad exporter key is an error with its place", "[export]") {
  const std::pair<const char*, const char*> rows[] = {
      {"oltp: {endpoint: x}",
       "t.yaml:1:7: oltp: expected an exporter named TYPE or TYPE/NAME, TYPE one of debug, "
       "elasticsearch, file, kafka, otlp, otlphttp, s3, store, zipkin, got a map"},
      {"otlp: {endpoint: tempo}", "t.yaml:1:18: otlp.endpoint: expected host:port, got 'tempo'"},
      {"otlp: {}", "t.yaml:1:7: otlp.endpoint: expected host:port, got nothing"},
      {"otlp: {endpoint: 'a:1', compression: zstd}",
       "t.yaml:1:38: otlp.compression: expected one of gzip, none, got 'zstd'"},
      {"otlp: {endpoint: 'a:1', timeout: 0s}", "t.yaml:1:34: otlp.timeout: expected 1ms or more, got '0s'"},
      {"otlphttp: {endpoint: 'http://a:1', connect_timeout: 0s}",
       "t.yaml:1:53: otlphttp.connect_timeout: expected 1ms or more, got '0s'"},
      {"otlp: {endpoint: 'a:1', headers: {'a b': c}}",
       "t.yaml:1:42: otlp.headers.a b: expected a header name, got 'c'"},
      {"otlp: {endpoint: 'a:1', headers: {grpc-timeout: c}}",
       "t.yaml:1:34: otlp.headers: expected headers gRPC can send, not 'grpc-timeout', got a map"},
      {"otlp: {endpoint: 'a:1', tls: {ca_file: /nonexistent}}",
       "t.yaml:1:40: otlp.tls.ca_file: expected a file that can be read (No such file or directory), got "
       "'/nonexistent'"},
      {"otlp: {endpoint: 'a:1', sending_queue: {num_consumers: 0}}",
       "t.yaml:1:56: otlp.sending_queue.num_consumers: expected 1 to 1000, got '0'"},
      {"otlp: {endpoint: 'a:1', retry_on_failure: {multiplier: 0.5}}",
       "t.yaml:1:56: otlp.retry_on_failure.multiplier: expected 1 or more, got '0.5'"},
      {"otlp: {endpoint: 'a:1', retry_on_failure: {randomization_factor: 2}}",
       "t.yaml:1:66: otlp.retry_on_failure.randomization_factor: expected 0 to 1, got '2'"},
      {"otlp: {endpoint: 'a:1', end_point: x}",
       "t.yaml:1:25: otlp.end_point: expected a known key, got 'end_point'; did you mean 'endpoint'?"},
      {"otlphttp: {endpoint: 'http://a:1', retry_on_failure: {also: [500, 200]}}",
       "t.yaml:1:67: otlphttp.retry_on_failure.also[1]: expected 400 to 599, got '200'"},
      {"otlp: {endpoint: 'a:1', retry_on_failure: {also: [INTERNAL, OK]}}",
       "t.yaml:1:61: otlp.retry_on_failure.also[1]: expected a code of gRPC other than OK, such as RESOURCE_EXHAUSTED "
       "or INTERNAL, got 'OK'"},
      {"file: {path: x, retry_on_failure: {also: [500]}}",
       "t.yaml:1:36: file.retry_on_failure.also: expected a known key, got 'also'"},
      {"otlp: {endpoint: 'a:1', headers: {authorization: x}, bearer_token: t}",
       "t.yaml:1:34: otlp.headers: expected no Authorization next to bearer_token, got a map"},
      {"otlp: {endpoint: 'a:1', bearer_token: 'a b'}",
       "t.yaml:1:7: otlp: expected bearer_token of one line, printable ASCII without blanks, got a map"},
      {"file: {}", "t.yaml:1:7: file.path: expected the path of a file, got nothing"},
      {"file: {path: x, format: proto}", "t.yaml:1:25: file.format: expected json, got 'proto'"},
      {"file: {path: x, compression: zstd}",
       "t.yaml:1:30: file.compression: expected no compression, it is not supported here, got 'zstd'"},
      {"debug: {verbosity: loud}", "t.yaml:1:20: debug.verbosity: expected one of basic, normal, detailed, got 'loud'"},
      {"otlphttp: {}",
       "t.yaml:1:11: otlphttp.endpoint: expected http://host:port, https://host:port or unix:///path, got nothing"},
      {"kafka: {}", "t.yaml:1:8: kafka.brokers: expected a list of host:port, got nothing"},
      {"kafka: {brokers: [a]}", "t.yaml:1:18: kafka.brokers: expected a list of host:port, not 'a', got a list"},
      {"kafka: {brokers: ['a:1'], topic: a b}",
       "t.yaml:1:34: kafka.topic: expected a name of at most 249 letters, digits, '.', '_' or '-', got 'a b'"},
      {"kafka: {brokers: ['a:1'], topic: a, traces: {topic: b}}",
       "t.yaml:1:34: kafka.topic: expected either this or traces.topic, got 'a'"},
      {"kafka: {brokers: ['a:1'], timeout: 1s, producer: {linger: 1s}}",
       "t.yaml:1:36: kafka.timeout: expected more than producer.linger, got '1s'"},
      {"kafka: {brokers: ['a:1'], encoding: jaeger_proto}",
       "t.yaml:1:37: kafka.encoding: expected otlp_proto, got 'jaeger_proto'"},
      {"kafka: {brokers: ['a:1'], producer: {compression: brotli}}",
       "t.yaml:1:51: kafka.producer.compression: expected one of none, gzip, snappy, lz4, zstd, got 'brotli'"},
      {"kafka: {brokers: ['a:1'], producer: {max_message_bytes: 10}}",
       "t.yaml:1:57: kafka.producer.max_message_bytes: expected 1000 to 1000000000, got '10'"},
      {"kafka: {brokers: ['a:1'], timeout: 20m}", "t.yaml:1:36: kafka.timeout: expected 15m or less, got '20m'"},
      {"kafka: {brokers: ['a:1'], auth: {sasl: {username: u}}}",
       "t.yaml:1:40: kafka.auth.sasl: expected a password, or a password_file with one in it, got a map"},
      {"kafka: {brokers: ['a:1'], auth: {sasl: {username: u, password: p, mechanism: MD5}}}",
       "t.yaml:1:78: kafka.auth.sasl.mechanism: expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, got 'MD5'"},
      {"kafka: {brokers: ['a:1'], auth: {sasl: {username: u, password: hush, password_file: /etc/hostname}}}",
       "t.yaml:1:85: kafka.auth.sasl.password_file: expected either this or password, got '/etc/hostname'"},
      {"kafka: {brokers: ['a:1'], auth: {kerberos: {}}}",
       "t.yaml:1:44: kafka.auth.kerberos: expected `sasl` instead, it is not supported here, got a map"},
      {"elasticsearch: {}",
       "t.yaml:1:16: elasticsearch.endpoints: expected a list of http://host:port or https://host:port, got nothing"},
      {"elasticsearch: {endpoint: 'http://a:1', user: u}",
       "t.yaml:1:16: elasticsearch: expected user and password, or neither of them, got a map"},
      {"elasticsearch: {endpoint: 'http://a:1', api_key: k, bearer_token: t}",
       "t.yaml:1:16: elasticsearch: expected one of user, api_key and bearer_token, got a map"},
      {"elasticsearch: {endpoint: 'http://a:1', index_prefix: Prod}",
       "t.yaml:1:55: elasticsearch.index_prefix: expected at most 100 of a-z, 0-9, '-' and '_', a letter or digit "
       "first, "
       "got "
       "'Prod'"},
      {"elasticsearch: {endpoint: 'http://a:1', shards: 0}",
       "t.yaml:1:49: elasticsearch.shards: expected 1 to 1024, got '0'"},
      {"elasticsearch: {endpoint: 'http://a:1/x?y'}",
       "t.yaml:1:27: elasticsearch.endpoint: expected http://host:port or https://host:port (a query has no place in "
       "it), "
       "got "
       "'http://a:1/x?y'"},
      {"zipkin: {}", "t.yaml:1:9: zipkin.endpoint: expected http://host:port/api/v2/spans or https://..., got nothing"},
      {"zipkin: {endpoint: 'http://a:1', format: proto}", "t.yaml:1:42: zipkin.format: expected json, got 'proto'"},
      {"store: {}", "t.yaml:1:8: store.directory: expected the path of a directory, got nothing"},
      {"store: {directory: a, max_bytes: 1MiB}", "t.yaml:1:34: store.max_bytes: expected at least 16MiB, got '1MiB'"},
      {"store: {directory: a, max_age: 1s}", "t.yaml:1:32: store.max_age: expected 60s or more, got '1s'"},
      {"store: {directory: a}\nstore/b: {directory: ./a/}",
       "t.yaml:2:22: store/b.directory: expected a directory of its own, 'store' has this one, got './a/'"},
      {"store: {directory: a, compression: gzip}",
       "t.yaml:1:36: store.compression: expected one of zstd, lz4, none, got 'gzip'"},
      {"{}", "t.yaml:1:1: document: expected at least one exporter, got a map"},
  };
  for (const auto& [yaml, error] : rows) {
    CAPTURE(yaml);
    CHECK(messages(issues_of(yaml).errors) == std::vector<std::string>{error});
  }
}

TEST_CASE("queue keys map to bytes where they can", "[export]") {
  const auto options = [](const std::string& yaml) {
    SendQueueOptions out;
    read_queue(load_config_text(yaml, "t.yaml")->root, out);
    return out;
  };
  CHECK(options("{}").in_flight_max == 10);
  CHECK(options("{}").flush_timeout == Duration(200ms));
  CHECK(options("{}").retry.initial_interval == Duration(5s));
  CHECK(options("{}").retry.max_elapsed_time == Duration(0s));
  CHECK(options("sending_queue: {queue_size: 1000}").bytes_max == SendQueueOptions{}.bytes_max);
  CHECK(options("sending_queue: {sizer: bytes, queue_size: 1000}").bytes_max == 1000);
  CHECK(options("sending_queue: {max_bytes: 2MiB}").bytes_max == 2u << 20);
  CHECK(options("sending_queue: {batch: {sizer: bytes, min_size: 9, max_size: 5}}").request_bytes_max == 5);
  CHECK(options("retry_on_failure: {enabled: false}").retry.enabled == false);
}

TEST_CASE("endpoints split into host and port", "[export]") {
  using Split = std::pair<std::string, std::string>;
  CHECK(split_host_port("a:1") == Split("a", "1"));
  CHECK(split_host_port("[::1]:4317") == Split("::1", "4317"));
  for (const char* bad : {"", "a", ":1", "a:", "a:x", "a:99999", "::1:4317", "a/b:1", "[::1]"}) {
    CAPTURE(bad);
    CHECK_FALSE(split_host_port(bad));
  }
}

TEST_CASE("types are found by name and alias", "[export]") {
  CHECK(find_exporter_type("otlp") == find_exporter_type("otlp_grpc"));
  CHECK(find_exporter_type("otlphttp") == find_exporter_type("otlp_http"));
  CHECK(find_exporter_type("") == nullptr);
  CHECK(find_exporter_type("jaeger") == nullptr);
}
