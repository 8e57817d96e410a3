// SPDX-License-Identifier: Apache-2.0
#include "migrate/migrate.h"

#include <catch2/catch.hpp>

#include "config/config_file.h"
#include "migrate/tree.h"

using namespace tailgate;

namespace {

Migration migrated(const std::string& collector) {
  const auto out = migrate_collector(collector, "c.yaml");
  REQUIRE(out);
  for (const std::string& message : out->messages) UNSCOPED_INFO(message);
  UNSCOPED_INFO(out->yaml);
  return *out;
}

bool says(const Migration& migration, const std::string& start, const std::string& part) {
  for (const std::string& message : migration.messages) {
    if (message.starts_with(start) && message.find(part) != std::string::npos) return true;
  }
  return false;
}

// A Collector with these processors in its traces pipeline, from an otlp receiver on line 1 to an otlp exporter.
std::string collector(const std::string& processors, const std::string& names) {
  return "receivers: {otlp: {protocols: {grpc: }}}\n"
         "exporters: {otlp: {endpoint: \"tempo:4317\"}}\n"
         "processors: " +
         processors +
         "\n"
         "service: {pipelines: {traces: {receivers: [otlp], processors: " +
         names + ", exporters: [otlp]}}}\n";
}

// The value at `path` of a configuration that was written.
std::string at(const std::string& yaml, std::initializer_list<std::string_view> path) {
  const auto document = load_config_text(yaml, "t.yaml");
  REQUIRE(document);
  ConfigNode node = document->root;
  for (const std::string_view key : path) node = node.child(std::string(key));
  return node.scalar();
}

}  // namespace

TEST_CASE("a pipeline without a sampler keeps everything, a second after a trace's first span", "[migrate]") {
  const Migration out = migrated(collector("{}", "[]"));
  CHECK_FALSE(out.lost);
  CHECK(at(out.yaml, {"sampling", "decision_wait"}) == "1s");
  CHECK(out.yaml.find("always_sample") != std::string::npos);
  CHECK(at(out.yaml, {"exporters", "otlp", "endpoint"}) == "tempo:4317");
}

TEST_CASE("tail_sampling becomes sampling, without the keys that have no effect", "[migrate]") {
  const Migration out = migrated(
      collector("{tail_sampling: {decision_wait: 7s, num_traces: 100, policies: [{name: e, type: always_sample}]}}",
                "[tail_sampling]"));
  CHECK_FALSE(out.lost);
  CHECK(at(out.yaml, {"sampling", "decision_wait"}) == "7s");
  CHECK(out.yaml.find("num_traces") == std::string::npos);
  CHECK(says(out, "c.yaml:3:", "processors.tail_sampling.num_traces: note: "));
}

TEST_CASE("memory_limiter gives the memory limit, and batch the flush timeout", "[migrate]") {
  const Migration out =
      migrated(collector("{memory_limiter: {limit_mib: 700}, batch: {timeout: 3s}}", "[memory_limiter, batch]"));
  CHECK_FALSE(out.lost);
  CHECK(at(out.yaml, {"sampling", "memory_limit"}) == "700MiB");
  CHECK(at(out.yaml, {"exporters", "otlp", "sending_queue", "batch", "flush_timeout"}) == "3s");
}

TEST_CASE("a processor that changes spans is lost, with its place", "[migrate]") {
  const Migration out = migrated(collector("{resource: {attributes: []}}", "[resource]"));
  CHECK(out.lost);
  CHECK(says(out, "c.yaml:3:", "processors.resource: lost: "));
}

TEST_CASE("a policy with an error is left out whole, and the others stay", "[migrate]") {
  const Migration out =
      migrated(collector("{tail_sampling: {policies: [{name: bad, type: latency, latency: {threshold_ms: often}},"
                         " {name: good, type: always_sample}]}}",
                         "[tail_sampling]"));
  CHECK(out.lost);
  CHECK(out.yaml.find("bad") == std::string::npos);
  CHECK(out.yaml.find("good") != std::string::npos);
}

TEST_CASE("a report leaves out what an error found in a condition", "[migrate]") {
  const Migration out = migrated(collector(
      "{tail_sampling: {policies: [{name: bad, type: ottl_condition, ottl_condition: {span: [kind == S3CRET]}},"
      " {name: good, type: always_sample}]}}",
      "[tail_sampling]"));
  CHECK(out.lost);
  for (const std::string& message : out.messages) CHECK(message.find("S3CRET") == std::string::npos);
}

TEST_CASE("references to the environment stay as they are", "[migrate]") {
  const Migration out = migrated(
      "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {otlp: {endpoint: \"${env:GATEWAY}:4317\"}}\n"
      "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n");
  CHECK_FALSE(out.lost);
  CHECK(out.yaml.find("${env:GATEWAY}:4317") != std::string::npos);
}

TEST_CASE("without a traces pipeline nothing is written", "[migrate]") {
  const Migration out = migrated(
      "receivers: {otlp: }\nexporters: {debug: }\n"
      "service: {pipelines: {metrics: {receivers: [otlp], exporters: [debug]}}}\n");
  CHECK(out.lost);
  CHECK(out.yaml.empty());
}

TEST_CASE("text that is not YAML is an error of the configuration", "[migrate]") {
  const auto out = migrate_collector("receivers: [", "c.yaml");
  REQUIRE(!out);
  CHECK(out.error().kind == ErrorKind::kConfig);
}

TEST_CASE("the type of a component is what stands before the slash", "[migrate]") {
  CHECK(type_of("otlp/2") == "otlp");
  CHECK(type_of("otlp") == "otlp");
  CHECK(type_of("otlp/a/b") == "otlp");
}

TEST_CASE("a reference is found in a text, and whether it is to the environment", "[migrate]") {
  CHECK(has_reference("${env:NAME}"));
  CHECK(has_reference("a ${NAME} b"));
  CHECK_FALSE(has_reference("a $ b"));
  CHECK(foreign_reference("${env:NAME}").empty());
  CHECK(foreign_reference("${NAME}").empty());
  CHECK(foreign_reference("${env:A}/${file:/etc/token}") == "${file:...}");
}
