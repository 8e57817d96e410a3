// SPDX-License-Identifier: Apache-2.0
#include "migrate/migrate.h"

#include <catch2/catch.hpp>

#include "config/config_file.h"
#include "config/yaml_value.h"
#include "migrate/fit.h"
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
  CHECK(out.yaml.find("name: bad") == std::string::npos);
  CHECK(out.yaml.find("all of the policy 'bad' is left out") != std::string::npos);
  CHECK(out.yaml.find("good") != std::string::npos);
}

namespace {

// The one policy of the result of `policy` and another one; "" when it is lost.
std::string kept_of(const std::string& policy, std::string& summary) {
  const Migration out = migrated(
      collector("{tail_sampling: {policies: [" + policy + ", {name: z, type: span_count}]}}", "[tail_sampling]"));
  summary = out.summary;
  std::string yaml;
  for (std::size_t at = 0; at < out.yaml.size();) {
    const std::size_t end = out.yaml.find('\n', at);
    const std::string line = out.yaml.substr(at, end - at);
    if (line.find('#') == std::string::npos) yaml += line.substr(line.find_first_not_of(' ')) + "\n";
    at = end + 1;
  }
  const std::size_t from = yaml.find("policies:\n") + 10;
  return yaml.substr(from, yaml.find("- {name: z") - from);
}

}  // namespace

TEST_CASE("of alternatives the known ones stay, as long as that keeps no more traces", "[migrate]") {
  const std::string one = "1 part of a policy lost, 0 notes", whole = "1 policy lost, 0 notes";
  struct Case {
    const char* policy;
    const char* kept;
    std::string lost;
  };
  for (
      const Case& c : {
          // Conditions are alternatives, and so are the operands of `or`.
          Case{R"({name: p, type: ottl_condition, ottl_condition: {span: ['name == "a"', 'Nope(name)']}})",
               "- {name: p, type: ottl_condition, ottl_condition: {span: [\"name == \\\"a\\\"\"]}}\n", one},
          Case{R"({name: p, type: ottl_condition, ottl_condition: {span: ['Nope(name)'], spanevent: ['name == "a"']}})",
               "- {name: p, type: ottl_condition, ottl_condition: {span: [], spanevent: [\"name == \\\"a\\\"\"]}}\n",
               one},
          Case{R"({name: p, type: ottl_condition, ottl_condition: {span: ['Nope(name) or name == "b or c"']}})",
               "- {name: p, type: ottl_condition, ottl_condition: {span: [\"name == \\\"b or c\\\"\"]}}\n", one},
          Case{R"({name: p, type: ottl_condition, ottl_condition: {span: ['(Nope(name) or name == "b") and true']}})",
               "", whole},
          Case{R"({name: p, type: ottl_condition, ottl_condition: {span: ['Nope(name) or Nope(name)', 'Nope(name)']}})",
               "", whole},
          Case{
              R"({name: p, type: ottl_condition, ottl_condition: {error_mode: propagate, span: ['true', 'Nope(name)']}})",
              "", whole},
          // Values and status codes, unless a match counts against the trace.
          Case{"{name: p, type: status_code, status_code: {status_codes: [ERROR, BAD]}}",
               "- {name: p, type: status_code, status_code: {status_codes: [ERROR]}}\n", one},
          Case{"{name: p, type: string_attribute, string_attribute: {key: k, values: ['(', b], enabled_regex_matching: "
               "true}}",
               "- name: p\ntype: string_attribute\nstring_attribute:\nkey: k\nvalues: [b]\nenabled_regex_matching: "
               "true\n",
               one},
          Case{"{name: p, type: string_attribute, string_attribute: {key: k, values: ['${vault:x}', '${vault:y}']}}",
               "", whole},
          Case{"{name: p, type: string_attribute, string_attribute: {key: k, values: ['(', b], invert_match: true, "
               "enabled_regex_matching: true}}",
               "", whole},
          Case{"{name: p, type: not, not: {not_sub_policy: {name: q, type: status_code, status_code: {status_codes: "
               "[ERROR, BAD]}}}}",
               "", whole},
          Case{
              "{name: p, type: not, not: {not_sub_policy: {name: q, type: string_attribute, string_attribute: {key: k, "
              "values: ['${vault:x}', b], invert_match: true}}}}",
              "- name: p\ntype: not\nnot:\nnot_sub_policy:\nname: q\ntype: string_attribute\n"
              "string_attribute:\nkey: k\nvalues: [b]\ninvert_match: true\n",
              one},
          Case{"{name: p, type: drop, drop: {drop_sub_policy: [{name: q, type: status_code, status_code: "
               "{status_codes: [BAD, OK]}}]}}",
               "- name: p\ntype: drop\ndrop:\ndrop_sub_policy:\n"
               "- {name: q, type: status_code, status_code: {status_codes: [OK]}}\n",
               one},
          // A policy of `and` narrows: without it more traces would be kept. What is inside of it may be narrowed.
          Case{"{name: p, type: and, and: {and_sub_policy: [{name: q, type: nope}, {name: r, type: always_sample}]}}",
               "", whole},
          Case{"{name: p, type: and, and: {and_sub_policy: [{name: q, type: status_code, status_code: {status_codes: "
               "[BAD, "
               "OK]}}]}}",
               "- name: p\ntype: and\nand:\nand_sub_policy:\n"
               "- {name: q, type: status_code, status_code: {status_codes: [OK]}}\n",
               one},
          Case{
              "{name: p, type: drop, drop: {drop_sub_policy: [{name: q, type: nope}, {name: r, type: always_sample}]}}",
              "", whole},
      }) {
    INFO(c.policy);
    std::string summary;
    CHECK(kept_of(c.policy, summary) == c.kept);
    CHECK(summary == "c.yaml: " + c.lost);
  }
}

TEST_CASE("composite goes on without a policy that Tailgate does not have", "[migrate]") {
  std::string summary;
  const std::string kept = kept_of(
      "{name: p, type: composite, composite: {max_total_spans_per_second: 100, policy_order: [u, e], "
      "composite_sub_policy:"
      " [{name: e, type: always_sample}, {name: u, type: nope}], rate_allocation: [{policy: e, percent: 50}, {policy: "
      "u,"
      " percent: 50}]}}",
      summary);
  CHECK(kept.find("policy_order: [e]\n") != std::string::npos);
  CHECK(kept.find("name: e") != std::string::npos);
  CHECK(kept.find("rate_allocation:\n- {policy: e, percent: 50}\n") != std::string::npos);
  CHECK(kept.find("u") == kept.find("u", kept.find("sub_policy")));
  CHECK(summary == "c.yaml: 1 part of a policy lost, 1 note");
}

TEST_CASE("a loss is counted, and stands as a comment at its place", "[migrate]") {
  const Migration out = migrated(collector(
      "{resource: {attributes: []}, tail_sampling: {policies: [{name: a, type: x}, {name: good, type: always_sample},"
      " {name: c, type: x}, {name: b, type: latency, latency: {threshold_ms: 5}}]}}",
      "[resource, tail_sampling]"));
  CHECK(out.summary == "c.yaml: 2 policies and 1 component lost, 0 notes");
  const std::size_t good = out.yaml.find("    - {name: good"), slow = out.yaml.find("    - {name: b");
  CHECK(out.yaml.find("# lost: processors.resource: Tailgate has no such processor; ") < out.yaml.find("\nsampling:"));
  CHECK(out.yaml.find("    # lost: processors.tail_sampling.policies[0].type: ") < good);
  const std::size_t third = out.yaml.find("    # lost: processors.tail_sampling.policies[2].type: ");
  CHECK((good < third && third < slow));
  CHECK(migrated(collector("{}", "[]")).summary == "c.yaml: nothing lost, 1 note");
}

TEST_CASE("what is wrong with a result and was not looked at any more is a loss too", "[migrate]") {
  const auto lost = [](int rounds_max) {
    const auto source = parse_yaml(
        "receivers: {otlp: {protocols: {grpc: {a: 1, b: 2, c: 3}}}}\nexporters: {debug: }\n"
        "sampling: {policies: [{name: all, type: always_sample}]}\n",
        "c.yaml");
    REQUIRE(source);
    Trees trees(*source);
    Report report("c.yaml");
    const YamlValuePtr root = trees.copy(**source);
    fit_to_loader(*root, trees, report, rounds_max);
    return report.summary();
  };
  CHECK(lost(1000) == "c.yaml: 3 settings lost, 0 notes");
  CHECK(lost(1) == "c.yaml: 3 settings lost, 0 notes");  // two of them, and that there may be more
}

TEST_CASE("a name in the Collector's file cannot end a comment", "[migrate]") {
  const Migration out = migrated(
      "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {otlp: {endpoint: \"t:1\", \"a\\nevil: {}\\u2028\": 1}}\n"
      "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n");
  CHECK(out.lost);
  CHECK(out.yaml.find("\nevil") == std::string::npos);
  CHECK(out.yaml.find("exporters.otlp.a\\x0aevil: {}\\xe2\\x80\\xa8: Tailgate does not know this key") !=
        std::string::npos);
}

TEST_CASE("limit_percentage is a loss that says the size to set, and limit_mib goes before it", "[migrate]") {
  const Migration share = migrated(collector("{memory_limiter: {limit_percentage: 80}}", "[memory_limiter]"));
  CHECK(share.lost);
  CHECK(says(share, "c.yaml:3:",
             "lost: memory_limit is a size: set sampling.memory_limit to 80 % of the container's or "
             "the machine's memory (819MiB of each GiB)"));
  const Migration both =
      migrated(collector("{memory_limiter: {limit_mib: 700, limit_percentage: 80}}", "[memory_limiter]"));
  CHECK_FALSE(both.lost);
}

TEST_CASE("a queue on disk is not lost in silence", "[migrate]") {
  const Migration out = migrated(
      "receivers: {otlp: {protocols: {grpc: }}}\n"
      "exporters: {otlp: {endpoint: \"t:1\", sending_queue: {storage: file_storage}}}\n"
      "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n");
  CHECK(out.lost);
  CHECK(says(out,
             "c.yaml:2:", "sending_queue.storage: lost: kept traces wait in memory; sending_queue.directory is for"));
}

TEST_CASE("a report leaves out what an error found in a condition", "[migrate]") {
  const Migration out = migrated(collector(
      "{tail_sampling: {policies: [{name: bad, type: ottl_condition, ottl_condition: {span: [kind == S3CRET]}},"
      " {name: good, type: always_sample}]}}",
      "[tail_sampling]"));
  CHECK(out.lost);
  for (const std::string& message : out.messages) CHECK(message.find("S3CRET") == std::string::npos);
  CHECK(out.yaml.find("S3CRET") == std::string::npos);
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
