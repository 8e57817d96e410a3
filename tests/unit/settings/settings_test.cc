// SPDX-License-Identifier: Apache-2.0
#include "settings/settings.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "settings/assembly.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

// A whole configuration with `sampling` as its section of that name. Reads no file and no variable.
DaemonConfig read(const std::string& sampling, std::vector<std::string> overrides = {}) {
  auto config = read_daemon_config(
      {.path = "test.yaml",
       .overrides = std::move(overrides),
       .text = "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\nsampling: " + sampling + "\n",
       .environment = [](const std::string&) { return std::optional<std::string>(); }});
  REQUIRE(config);
  return std::move(*config);
}

// The same with other sections.
DaemonConfig read_with(const std::string& sections) {
  auto config = read_daemon_config(
      {.path = "test.yaml", .overrides = {}, .text = sections, .environment = [](const std::string&) {
         return std::optional<std::string>();
       }});
  REQUIRE(config);
  return std::move(*config);
}

// What is wrong with `text` as a reload of a daemon that has policies, or has none.
std::vector<std::string> reload_errors(const std::string& text, bool had_policies = true) {
  const PolicyContext context;
  PolicyTables tables;
  const auto policies =
      reload_policies({.path = "t.yaml",
                       .overrides = {},
                       .text = text,
                       .environment = [](const std::string&) { return std::optional<std::string>(); }},
                      {.context = context, .tables = tables, .epoch = 2, .had_policies = had_policies});
  return policies ? std::vector<std::string>() : policies.error();
}

bool contains(const std::vector<std::string>& lines, const std::string& text) {
  return std::any_of(lines.begin(), lines.end(), [&](const auto& l) { return l.find(text) != std::string::npos; });
}

// The notices of `check`.
std::vector<std::string> notices(const std::string& sampling) {
  const DaemonConfig config = read(sampling);
  assemble(config);
  for (const std::string& error : messages(config.issues->errors)) FAIL(error);
  return messages(config.issues->notices);
}

}  // namespace

TEST_CASE("the defaults of sampling follow from memory_limit", "[settings]") {
  const SamplingConfig sampling = read("{memory_limit: 512MiB}").sampling;
  CHECK(sampling.memory_limit == 512ULL << 20);
  CHECK(sampling.cache_bytes == 32ULL << 20);    // a sixteenth
  CHECK(sampling.explain_bytes == 32ULL << 20);  // a sixteenth
  CHECK(sampling.store.limits.decision_wait == Duration(30s));
  CHECK(sampling.store.limits.trace_spans_max == 100'000);
  CHECK_FALSE(sampling.use_tracestate);
}

TEST_CASE("the default of the decision cache is 4 to 64 MiB", "[settings]") {
  CHECK(read("{memory_limit: 96MiB}").sampling.cache_bytes == 6ULL << 20);
  CHECK(read("{memory_limit: 4GiB}").sampling.cache_bytes == 64ULL << 20);
  CHECK(read("{memory_limit: 4GiB}").sampling.explain_bytes == 64ULL << 20);
}

TEST_CASE("an override replaces one value, and the last one counts", "[settings]") {
  const DaemonConfig config =
      read("{memory_limit: 512MiB}", {"sampling.decision_wait=2s", "sampling.decision_wait=3s", "io_threads=3"});
  CHECK(config.sampling.store.limits.decision_wait == Duration(3s));
  CHECK(config.io_threads == 3);
}

TEST_CASE("a reload refuses what is left of a configuration that was cut, or another program's", "[settings]") {
  const std::string parts = "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\n";
  const std::string policies = "sampling: {policies: [{name: all, type: always_sample}]}\n";
  CHECK(reload_errors(parts + policies).empty());
  for (const std::string& text : std::vector<std::string>{
           "", "{}", "# nothing\n", "~", "receivers: {otlp: {protocols: {http: }}}\n" + policies, parts,
           parts + "sampling:\n", parts + "sampling: {policies: }\n", parts + "sampling: {decision_wait: 5s}\n",
           parts + policies + "processors: {batch: }\n", parts + policies + "shutdown_timeout: soon\n",
           "receivers: {otlp: {protocols: {grpc: {endpont: a}}}}\nexporters: {debug: }\n" + policies,
           "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: {verbosity: loud}}\n" + policies,
           "receivers: {otlp: {protocols: {http: }}}\nprocessors: {tail_sampling: {policies: [{name: a, type: "
           "always_sample}]}}\n"
           "exporters: {debug: }\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"}) {
    INFO(text);
    CHECK_FALSE(reload_errors(text).empty());
  }
  CHECK(reload_errors(parts + "sampling: {decision_wait: 5s}\n") ==
        std::vector<std::string>{"t.yaml:3:11: sampling.policies: expected policies, as there were some before; "
                                 "`policies: []` says that nothing is kept, got nothing"});
}

TEST_CASE("a wrong value of a policy is one error, though its sense is looked at as well", "[settings]") {
  for (const char* policy :
       {"latency, latency: {threshold_ms: -5}", "probabilistic, probabilistic: {sampling_percentage: x}",
        "span_count, span_count: {min_spans: x}",
        "string_attribute, string_attribute: {key: k, "
        "values: [a], enabled_regex_matching: 7}"}) {
    const DaemonConfig config = read("{policies: [{name: p, type: " + std::string(policy) + "}]}");
    assemble(config);
    CHECK(messages(config.issues->errors).size() == 1);
  }
}

TEST_CASE("that nothing is kept has to be said, or to have been so before", "[settings]") {
  const std::string parts = "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\n";
  CHECK(reload_errors(parts + "sampling: {policies: []}\n").empty());
  CHECK(reload_errors(parts + "sampling: {decision_wait: 5s}\n", false).empty());
  CHECK(contains(notices("{policies: []}"), "no policies: nothing will be kept"));
}

TEST_CASE("the errors of a reload are separate", "[settings]") {
  const auto errors = reload_errors(
      "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\nsampling: {policies: [{name: a, type: x}, "
      "{name: b, type: y}]}\n");
  REQUIRE(errors.size() == 2);
  CHECK(contains({errors[0]}, "policies[0].type"));
  CHECK(contains({errors[1]}, "policies[1].type"));
}

TEST_CASE("a Collector's configuration is told apart, and how to translate it", "[settings]") {
  const auto errors = reload_errors(
      "receivers: {otlp: {protocols: {http: }}}\nprocessors: {batch: }\nexporters: {debug: }\nservice: {pipelines: "
      "}\n");
  CHECK(contains(errors, "this looks like one of the OpenTelemetry Collector, which `tailgate migrate` translates"));
  CHECK_FALSE(contains(reload_errors("recievers: {otlp: }\nexporters: {debug: }\n"), "migrate"));
}

TEST_CASE("a policy file that is not there is an error at the key that names it", "[settings]") {
  const auto errors = reload_errors(
      "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\nsampling: {policies: [], policy_files: "
      "[/nonexistent/team.yaml]}\n");
  CHECK(contains(errors,
                 "t.yaml:3:40: sampling.policy_files: expected files that can be read (cannot open "
                 "/nonexistent/team.yaml: No such file or directory)"));
}

TEST_CASE("what can hardly work is said", "[settings]") {
  CHECK(contains(notices("{policies: [{name: l, type: latency, latency: {}}]}"),
                 "latency: keeps every trace that lasts a millisecond"));
  CHECK_FALSE(contains(notices("{policies: [{name: l, type: latency, latency: {upper_threshold_ms: 5}}]}"), "keeps"));
  CHECK(contains(notices("{policies: [{name: e, type: endpoint, endpoint: [{route: '/a'}, {route: '/checkout.*'}]}]}"),
                 "endpoint[1].route: is a glob, not a regular expression"));
  CHECK_FALSE(contains(notices("{policies: [{name: e, type: endpoint, endpoint: [{service: 'w*', route: '/a/**'}]}]}"),
                       "glob"));
  const std::string all = "{name: all, type: always_sample}";
  const std::string slow = "{name: slow, type: latency, latency: {threshold_ms: 31000}}";
  CHECK(contains(notices("{policies: [" + slow + "]}"), "threshold_ms: is more than decision_wait (30s)"));
  CHECK(contains(notices("{policies: [{name: n, type: not, not: {not_sub_policy: " + slow + "}}]}"),
                 "is more than decision_wait"));
  CHECK(contains(notices("{policies: [{name: n, type: and, and: {and_sub_policy: [" + slow + "]}}]}"),
                 "is more than decision_wait"));
  CHECK_FALSE(contains(notices("{decision_wait: 31s, policies: [" + slow + "]}"), "decision_wait"));
  const std::string big = "{name: big, type: span_count, span_count: {min_spans: 101}}";
  CHECK(contains(notices("{trace_spans_max: 100, policies: [" + big + "]}"), "is more than trace_spans_max (100)"));
  CHECK_FALSE(contains(notices("{trace_spans_max: 101, policies: [" + big + "]}"), "trace_spans_max"));
  CHECK(contains(notices("{decision_wait: 5s, decision_wait_after_root_received: 6s, policies: [" + all + "]}"),
                 "decision_wait is shorter and comes first"));
  const std::string more = "{name: more, type: span_count, span_count: {min_spans: 2}}";
  CHECK(contains(notices("{sample_on_first_match: true, policies: [" + all + ", " + more + "]}"),
                 "policies[1]: is never asked: with sample_on_first_match 'all' before it keeps every trace"));
  CHECK_FALSE(contains(notices("{sample_on_first_match: true, policies: [" + more + ", " + all + "]}"), "never"));
  CHECK_FALSE(contains(notices("{policies: [" + all + ", " + more + "]}"), "never"));
  CHECK(contains(notices("{policies: [{name: f, type: first_match, first_match: [{policy: " + all +
                         ", percentage: 10}, {percentage: 100}]}]}"),
                 "first_match[1]: is never asked"));
}

TEST_CASE("what can never be true is said, where it stands", "[settings]") {
  CHECK(contains(notices("{policies: [{name: s, type: ottl_condition, ottl_condition: {span: [end_time - start_time > "
                         "300]}}]}"),
                 "policies[0].ottl_condition.span[0]: column 10: is never true: a duration is compared with an "
                 "integer"));
  CHECK(contains(notices("{policies: [{name: t, type: trace, trace: {condition: root.duration > 300}}]}"),
                 "trace.condition: column 1: is never true"));
  const auto values = [](const std::string& list, const std::string& more = "") {
    return notices("{policies: [{name: s, type: string_attribute, string_attribute: {key: k, values: [" + list + "]" +
                   more + "}}]}");
  };
  CHECK(contains(values("/ok, '/health*'"), "string_attribute.values[1]: is compared as it is"));
  CHECK(contains(values("^/health"), "values[0]: is compared as it is"));
  CHECK_FALSE(contains(values("/health, /a.b, 5$ bill"), "is compared"));
  CHECK_FALSE(contains(values("'/health.*'", ", enabled_regex_matching: true"), "is compared"));
  CHECK(contains(notices("{policies: [{name: p, type: probabilistic, probabilistic: {}}]}"),
                 "probabilistic: keeps nothing"));
  CHECK(contains(notices("{policies: [{name: n, type: and, and: {and_sub_policy: [{name: p, type: probabilistic, "
                         "probabilistic: {sampling_percentage: 0}}]}}]}"),
                 "and_sub_policy[0].probabilistic: keeps nothing"));
  CHECK_FALSE(contains(notices("{policies: [{name: p, type: probabilistic, probabilistic: {sampling_percentage: 1}}]}"),
                       "keeps nothing"));
}

TEST_CASE("a percentage over 100 is an error, and a rate of 0 keeps nothing", "[settings]") {
  const std::string parts = "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\nsampling: {policies: [";
  for (const char* policy : {"{name: p, type: probabilistic, probabilistic: {sampling_percentage: 101}}",
                             "{name: p, type: first_match, first_match: [{percentage: 101}]}"}) {
    INFO(policy);
    CHECK(contains(reload_errors(parts + policy + "]}\n"), "expected 0 to 100"));
  }
  CHECK(contains(notices("{policies: [{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 0}}]}"),
                 "spans_per_second: keeps nothing"));
  CHECK(contains(notices("{policies: [{name: r, type: bytes_limiting, bytes_limiting: {bytes_per_second: 0}}]}"),
                 "bytes_per_second: keeps nothing"));
}

TEST_CASE("an answer about dependencies has 10,000 pairs of services unless another number is given", "[settings]") {
  CHECK(read("{policies: []}").queries.dependencies_max == 10'000);
  CHECK(read("{policies: []}", {"web.queries.max_dependencies=7"}).queries.dependencies_max == 7);
  for (const char* wrong : {"0", "100001", "many"}) {
    const DaemonConfig config = read("{policies: []}", {std::string("web.queries.max_dependencies=") + wrong});
    CHECK(contains(messages(config.issues->errors), "web.queries.max_dependencies"));
  }
}

TEST_CASE("the journal has defaults, and says what is wrong with its keys", "[settings]") {
  CHECK(read("{policies: []}").journal.directory.empty());
  CHECK_FALSE(read("{policies: []}").hand_over);
  const DaemonConfig config = read("{policies: [], decision_wait: 20s}", {"journal.directory=/j"});
  CHECK(messages(config.issues->errors).empty());
  CHECK(config.hand_over);
  CHECK(config.journal.ack == JournalAck::kJournal);
  CHECK(config.journal.on_failure == JournalFailure::kRefuse);
  CHECK(config.journal.bytes_max == std::uint64_t{64} << 30);
  CHECK(config.journal.hold >= 21s);
  CHECK(config.at_start.contains("journal"));
  const auto wrong = [](std::vector<std::string> overrides, const std::string& what) {
    INFO(what);
    CHECK(contains(messages(read("{policies: [{name: p, type: always_sample}]}", std::move(overrides)).issues->errors),
                   what));
  };
  wrong({"journal.ack=disk"}, "journal.directory");
  wrong({"journal.directory=/j", "journal.ack=tape"}, "journal.ack");
  wrong({"journal.directory=/j", "journal.max_bytes=1MiB"}, "at least 64MiB");
  wrong({"journal.directory=/j", "journal.on_failure=cry"}, "journal.on_failure");
  wrong({"journal.directory=/j", "journal.size=3"}, "journal.size");
  wrong({"journal.directory=/j", "journal.write_timeout=soon"}, "journal.write_timeout");
  wrong({"shutdown.undecided=hand_over"}, "shutdown.undecided");
  wrong({"keep.alerts=[{alert: A, condition: 'duration > 1s'}]"}, "`journal` with `retain`");
  const std::string retains = "journal={directory: /j, retain: 30m}";
  wrong({retains, "keep.alerts=[{alert: A, condition: 'duration >'}]"}, "keep.alerts[0].condition");
  wrong({retains, "keep.alerts=[{condition: 'duration > 1s'}]"}, "keep.alerts[0].alert");
  wrong({retains, "keep.search_memory=1KiB"}, "at least 1MiB");
  wrong({retains, "keep.search_bytes=many"}, "keep.search_bytes");
  wrong({retains, "keep.search_time=soon"}, "keep.search_time");
  wrong({retains, "keep.search_bytes=0"}, "keep.search_bytes: at least 1MiB");
  wrong({retains, "keep.search_time=0s"}, "keep.search_time");
  wrong({retains, "keep_around={policies: [nobody]}"}, "keep_around.policies[0]");
  wrong({retains, "keep_around={before: 1m}"}, "keep_around.policies");
  const DaemonConfig good = read(
      "{policies: [{name: p, type: always_sample}]}",
      {retains, "keep.alerts=[{alert: A, condition: 'root.service == \"{service}\"'}]", "keep_around={policies: [p]}"});
  CHECK(messages(good.issues->errors) == std::vector<std::string>{});
  CHECK(good.keep.alerts.size() == 1);
  CHECK(good.keep.around.after == 2min);
}

TEST_CASE("labels stand in a condition as texts and cannot end their quotes", "[settings]") {
  std::string missing;
  CHECK(with_labels("root.service == \"{service}\"", {{"service", "a\"b\\c\n"}}, missing) ==
        std::optional<std::string>("root.service == \"a\\\"b\\\\c\""));
  CHECK_FALSE(with_labels("a == \"{x}\"", {}, missing));
  CHECK(missing == "x");
  CHECK(with_labels("no label {", {}, missing) == std::optional<std::string>("no label {"));
}

TEST_CASE("span metrics have the series that fit an eighth of a small memory_limit, or those that are asked for",
          "[settings]") {
  const auto series = [](const std::string& limit, const std::string& keys, std::size_t errors = 0) {
    const DaemonConfig config =
        read_with("io_threads: 2\nsampling: {memory_limit: " + limit + "}\nspan_metrics: " + keys + "\n");
    CHECK(config.issues->errors.size() == errors);
    CHECK(config.sampling.signal_bytes == config.signals.bytes_max());
    return config.signals.span_metrics->series_max;
  };
  CHECK(series("1GiB", "{}") == 10'000);
  const std::size_t small = series("96MiB", "{}");
  CHECK(small > 7000);
  CHECK(small < 9000);
  CHECK(series("96MiB", "{series_max: 9500}") == 9500);
  CHECK(series("96MiB", "{series_max: 20000}", 1) == 20'000);
  CHECK_FALSE(read_with("sampling: {}\n").signals.any());
  CHECK(read_with("sampling: {}\n").sampling.signal_bytes == 0);
}

namespace {

std::string with_cluster(const std::string& cluster) {
  return "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:4317'}}}}\nexporters: {debug: }\n"
         "sampling: {decision_wait: 10s, policies: []}\ncluster: " +
         cluster + "\n";
}

std::vector<std::string> cluster_errors(const std::string& cluster) {
  const DaemonConfig config = read_with(with_cluster(cluster));
  assemble(config);
  return messages(config.issues->errors);
}

}  // namespace

TEST_CASE("the tail's decision is not older than what an adaptive head remembers", "[settings]") {
  const auto errors = [](const std::string& wait, const std::string& target) {
    const DaemonConfig config =
        read_with("receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\nsampling: {policies: [], " + wait +
                  "}\nremote_sampling: {adaptive: {" + target + ": 5, poll_interval: 6s}}\n");
    return messages(config.issues->errors);
  };
  CHECK(errors("decision_wait: 30s", "kept_traces_per_second").empty());
  CHECK(errors("decision_wait: 60s", "traces_per_second").empty());
  CHECK(errors("decision_wait: 60s, decision_wait_after_root_received: 5s", "kept_traces_per_second").empty());
  CHECK(
      contains(errors("decision_wait: 60s", "kept_traces_per_second"),
               "remote_sampling.adaptive.poll_interval: expected at least a fifth of the time until a decision (60s)"));
}

TEST_CASE("a section cluster is read, and its list of members is live", "[settings]") {
  const DaemonConfig config = read_with(with_cluster(
      "{self: a, members: {static: [{name: a, endpoint: 'localhost:4317'}, {name: b, endpoint: 'b:4317'}]}, hold: 20s,"
      " tls: {insecure: true}, sending_queue: {max_bytes: 8MiB}}"));
  CHECK(messages(config.issues->errors).empty());
  REQUIRE(config.cluster);
  CHECK(config.cluster->self == "a");
  CHECK(config.cluster->listed.size() == 2);
  CHECK(config.cluster->settle == 15s);
  CHECK(config.cluster->fleet_limits);
  CHECK(config.cluster->hold == 20s);
  CHECK(config.at_start.contains("cluster.self"));
  CHECK_FALSE(config.at_start.contains("cluster.members"));
  CHECK_FALSE(read("{policies: []}").cluster);
  const DaemonConfig pods = read_with(
      with_cluster("{self: t-1, members: {stateful_set: {name: t, service: t-pods.shop, replicas: 2, port: 14317}}}"));
  CHECK(messages(pods.issues->errors).empty());
  CHECK(pods.cluster->listed ==
        std::vector<Member>{{"t-0", "t-0.t-pods.shop:14317"}, {"t-1", "t-1.t-pods.shop:14317"}});
  CHECK_FALSE(pods.at_start.contains("cluster.members"));
  CHECK(pods.cluster->may_be_fewer);
  CHECK_FALSE(config.cluster->may_be_fewer);
  const DaemonConfig dns = read_with(with_cluster("{self: 10.0.0.1, members: {dns: {service: tailgate}}}"));
  CHECK(dns.at_start.contains("cluster.members"));
  CHECK(dns.cluster->members_of({"10.0.0.2", "fd00::1"}) ==
        std::vector<Member>{{"10.0.0.2", "10.0.0.2:4317"}, {"fd00::1", "[fd00::1]:4317"}, {"10.0.0.1", ""}});
}

TEST_CASE("what is wrong with a section cluster is said, with its place", "[settings]") {
  CHECK(contains(cluster_errors("{}"),
                 "test.yaml:4:10: cluster.members: expected one of `static`, `stateful_set` and `dns`"));
  CHECK(contains(cluster_errors("{members: {static: []}}"), "expected a list of members"));
  CHECK(contains(cluster_errors("{members: {static: [{name: 'a b', endpoint: 'h:1'}]}}"),
                 "cluster.members.static[0].name: expected a name of letters, digits"));
  CHECK(contains(cluster_errors("{members: {static: [{name: a, endpoint: h}]}}"), "expected host:port"));
  CHECK(contains(cluster_errors("{members: {static: [{name: a, endpoint: 'h:1'}, {name: a, endpoint: 'h:2'}]}}"),
                 "expected a name that no other member has"));
  CHECK(contains(cluster_errors("{members: {dns: {service: t, port: 0}}}"), "cluster.members.dns.port"));
  CHECK(contains(cluster_errors("{members: {stateful_set: {name: t, service: s}}}"),
                 "cluster.members.stateful_set.replicas: expected how many pods"));
  CHECK(contains(cluster_errors("{members: {stateful_set: {name: t, replicas: 2}}}"),
                 "cluster.members.stateful_set.service: expected the name of the headless service"));
  CHECK(contains(cluster_errors("{members: {stateful_set: {name: t, service: s, replicas: 257}}}"),
                 "cluster.members.stateful_set.replicas"));
  CHECK(contains(cluster_errors("{settle: 11s, members: {dns: {service: t}}}"), "expected 12s or more"));
  CHECK(contains(cluster_errors("{limits: all, members: {dns: {service: t}}}"),
                 "cluster.limits: expected one of fleet, member"));
  CHECK(contains(cluster_errors("{members: {dns: {service: t}}, sending_queue: {directory: /x}}"),
                 "expected a queue in memory"));
  CHECK(contains(cluster_errors("{hodl: 1s, members: {dns: {service: t}}}"), "did you mean 'hold'"));
  // Ours is named otherwise than we are.
  CHECK(contains(cluster_errors("{self: b, members: {static: [{name: a, endpoint: 'localhost:4317'}]}}"),
                 "expected members elsewhere: 'a' is the receiver 'otlp'"));
  CHECK(cluster_errors("{self: a, members: {static: [{name: a, endpoint: 'localhost:4317'}]}}").empty());
}

TEST_CASE("a daemon that owns nothing counts nothing", "[settings]") {
  const std::string text = with_cluster("{members: {dns: {service: t}}}") + "span_metrics: {}\n";
  CHECK(contains(messages(read_with(text).issues->errors), "cluster.self: expected the name of a member"));
}
