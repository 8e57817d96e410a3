#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tailgate migrate`: Collectors' configurations in, what `tailgate check` takes out. migrate_test.py TAILGATE"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

BINARY = os.path.abspath(sys.argv.pop(1))
LINE = re.compile(r"^(\S+):(\d+):(\d+): (\S+): (lost|note): (.+)$")

SIDECAR = """\
receivers:
  otlp:
    protocols:
      grpc:
      http: {endpoint: "0.0.0.0:4319"}
processors:
  batch: {timeout: 2s}
exporters:
  otlp/gateway:
    endpoint: ${env:GATEWAY}:4317
    tls: {insecure: true}
    headers: {authorization: "Bearer ${env:TOKEN:-none}"}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlp/gateway]}
"""

GATEWAY = """\
x-tls: &tls
  tls: {insecure: true}
receivers:
  otlp: {protocols: {grpc: {endpoint: 0.0.0.0:4317}}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 2000}
  groupbytrace: {wait_duration: 10s}
  tail_sampling:
    decision_wait: 10s
    decision_wait_after_root_received: 2s
    num_traces: 100000
    decision_cache: {sampled_cache_size: 1000}
    policies:
      - name: errors
        type: status_code
        status_code: {status_codes: [ERROR]}
      - name: checkout
        type: and
        and:
          and_sub_policy:
            - {name: slow, type: latency, latency: {threshold_ms: 300}}
            - name: route
              type: string_attribute
              string_attribute: {key: http.route, values: ['^/v[12]/pay$', "a: b # c"], enabled_regex_matching: true}
      - {name: rest, type: probabilistic, probabilistic: {sampling_percentage: "${env:PERCENT}"}}
exporters:
  otlp:
    <<: *tls
    endpoint: tempo:4317
    sending_queue: {batch: {flush_timeout: 1s}}
  otlp_http/second: {endpoint: "http://second:4318"}
  debug: {verbosity: detailed}
extensions:
  health_check: {endpoint: "0.0.0.0:13134"}
service:
  extensions: [health_check]
  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 9464}}}}]}
    logs: {level: WARN, encoding: json}
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, groupbytrace, tail_sampling]
      exporters: [otlp, otlp_http/second, debug]
"""

WRONG = """\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "localhost:4317", auth: {authenticator: basic}, compresion: gzip}
      http: {endpoint: "${file:/etc/endpoint}"}
  pulsar: {topic: t}
processors:
  filter: {}
  tail_sampling/a:
    sampling_strategy: span-ingest
    tail_storage: pebble
    decision_wait: soon
    policies:
      - {name: cond, type: no_such_type, no_such_type: {}}
      - {name: both, type: and, and: {and_sub_policy: [{name: x, type: latency, latency: {treshold_ms: 5}}]}}
      - {name: numbers, type: numeric_attribute, numeric_attribute: {key: a}}
      - {name: good, type: status_code, status_code: {status_codes: [ERROR]}}
      - {name: secret, type: string_attribute, string_attribute: {key: a, values: ["${vault:secret/a}"]}}
  tail_sampling/b: {policies: [{name: all, type: always_sample}]}
  probabilistic_sampler: {sampling_percentage: 10}
exporters:
  otlp: {tls: {insecure: true}, headers: {x-key: hunter2, "bad header": hunter3}}
  otlphttp: {endpoint: "http://b:4318", retry_on_failure: {multiplier: hunter4}}
  splunk_hec: {endpoint: "http://z:9411"}
connectors:
  spanmetrics: {histogram: {explicit: {buckets: [x]}}}
  exceptions: {}
service:
  telemetry:
    metrics: {readers: [{periodic: {exporter: {otlp: {}}}}]}
  pipelines:
    metrics: {receivers: [exceptions], exporters: [otlp]}
    traces/plain: {receivers: [otlp], exporters: [splunk_hec, spanmetrics, exceptions]}
    traces/a: {receivers: [otlp, pulsar, nowhere], processors: [filter, probabilistic_sampler, tail_sampling/a], exporters: [otlp, otlphttp, splunk_hec]}
    traces/b: {receivers: [otlp], processors: [tail_sampling/b], exporters: [otlphttp]}
    logs: {receivers: [otlp], exporters: [otlp]}
"""


class MigrateTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def migrate(self, text, expect):
        """(YAML, {path: [(kind, text)]}); the YAML is one that `check` takes."""
        path = os.path.join(self.directory, "collector.yaml")
        with open(path, "w") as out:
            out.write(text)
        done = subprocess.run([BINARY, "migrate", path], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, expect, done.stderr)
        said = {}
        lines = text.splitlines()
        *messages, summary = done.stderr.splitlines()
        for line in messages:
            match = LINE.match(line)
            self.assertTrue(match, line)
            self.assertEqual(match[1], path)
            self.assertLessEqual(int(match[2]), len(lines), line)
            self.assertLessEqual(int(match[3]), len(lines[int(match[2]) - 1]) + 1, line)
            said.setdefault(match[4], []).append((match[5], match[6]))
        self.assertEqual(expect == 1, any(kind == "lost" for all_of in said.values() for kind, _ in all_of), said)
        lost = [(where, text) for where, all_of in said.items() for kind, text in all_of if kind == "lost"]
        notes = len(messages) - len(lost)
        self.assertRegex(summary, rf"^{re.escape(path)}: {'.+' if lost else 'nothing'} lost, {notes} note{'s' if notes != 1 else ''}$")
        self.assertEqual(sum(map(int, re.findall(r"\d+", summary.removeprefix(path)))), len(messages), summary)
        if done.stdout:
            self.check(done.stdout)
            comments = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("#")]
            self.assertEqual(sorted(comments), sorted(f"# lost: {where}: {text}" for where, text in lost))
        self.summary = summary.removeprefix(path + ": ")
        return done.stdout, said

    def check(self, yaml):
        path = os.path.join(self.directory, "tailgate.yaml")
        with open(path, "w") as out:
            out.write(yaml)
        env = {**os.environ, "GATEWAY": "gw", "TOKEN": "t", "PERCENT": "5"}
        done = subprocess.run([BINARY, "check", "--config", path], capture_output=True, text=True, timeout=60, env=env)
        self.assertEqual(done.returncode, 0, done.stderr + yaml)

    def kinds(self, said, path):
        return [kind for kind, _ in said.get(path, [])]

    def test_a_sidecar(self):
        yaml, said = self.migrate(SIDECAR, 0)
        self.assertEqual(yaml, """\
receivers:
  otlp:
    protocols:
      grpc: {}
      http: {endpoint: "0.0.0.0:4319"}
sampling:
  decision_wait: 1s
  policies:
    - {name: all, type: always_sample}
exporters:
  otlp/gateway:
    endpoint: ${env:GATEWAY}:4317
    tls: {insecure: true}
    headers: {authorization: "Bearer ${env:TOKEN:-none}"}
    sending_queue:
      batch: {flush_timeout: 2s}
""")
        self.assertEqual(self.kinds(said, "service.pipelines.traces"), ["note"])

    def test_a_gateway_with_tail_sampling(self):
        yaml, said = self.migrate(GATEWAY, 0)
        for part in ("decision_wait: 10s\n", "decision_wait_after_root_received: 2s\n", "memory_limit: 2000MiB\n",
                     """{name: rest, type: probabilistic, probabilistic: {sampling_percentage: "${env:PERCENT}"}}""",
                     """values: ["^/v[12]/pay$", "a: b # c"]""", "tls: {insecure: true}\n", "otlp_http/second:",
                     "batch: {flush_timeout: 1s}", "metrics: {endpoint: 0.0.0.0:9464}", "health: {endpoint: \"0.0.0.0:13134\"}",
                     "logs: {level: warn, format: json}"):
            self.assertIn(part.replace('"0.0.0.0:13134"', "0.0.0.0:13134"), yaml)
        self.assertNotIn("num_traces", yaml)
        self.assertLess(yaml.index("errors"), yaml.index("checkout"))
        for path in ("processors.tail_sampling.num_traces", "processors.tail_sampling.decision_cache.sampled_cache_size",
                     "processors.groupbytrace", "processors.memory_limiter.check_interval", "extensions.health_check",
                     "exporters.debug.verbosity"):
            self.assertEqual(self.kinds(said, path), ["note"], path)

    def test_probabilistic_sampler_alone(self):
        by_randomness = SIDECAR.replace("batch: {timeout: 2s}", "probabilistic_sampler: {sampling_percentage: 15}") \
            .replace("[batch]", "[probabilistic_sampler]")
        yaml, said = self.migrate(by_randomness, 0)
        self.assertIn("{name: probabilistic_sampler, type: probabilistic, probabilistic: {sampling_percentage: 15}}", yaml)
        self.assertIn("use_tracestate: true", yaml)
        yaml, said = self.migrate(by_randomness.replace("15}", "15, hash_seed: 22, attribute_source: record}"), 1)
        self.assertIn("{sampling_percentage: 15, hash_salt: 22}", yaml)
        self.assertNotIn("use_tracestate", yaml)
        self.assertEqual(self.kinds(said, "processors.probabilistic_sampler.hash_seed"), ["lost"])
        self.assertEqual(self.kinds(said, "processors.probabilistic_sampler.attribute_source"), ["note"])

    def test_everything_wrong(self):
        yaml, said = self.migrate(WRONG, 1)
        self.assertEqual(self.summary, "4 policies, 7 components, 3 pipelines and 10 settings lost, 1 note")
        for path in ("receivers.otlp.protocols.grpc.auth", "receivers.otlp.protocols.grpc.compresion",
                     "receivers.otlp.protocols.http.endpoint", "receivers.pulsar", "processors.filter",
                     "processors.tail_sampling/a.sampling_strategy", "processors.tail_sampling/a.tail_storage",
                     "processors.tail_sampling/a.decision_wait", "processors.tail_sampling/a.policies[0].type",
                     "processors.tail_sampling/a.policies[1].and.and_sub_policy[0].latency.treshold_ms",
                     "processors.tail_sampling/a.policies[4].string_attribute.values[0]", "processors.probabilistic_sampler",
                     "exporters.otlp.endpoint", "exporters.otlphttp.retry_on_failure.multiplier", "exporters.splunk_hec",
                     "connectors.exceptions",
                     "connectors.spanmetrics.histogram.explicit.buckets[0]", "service.pipelines.traces/plain", "service.pipelines.traces/b",
                     "service.pipelines.metrics", "service.pipelines.traces/a.receivers[2]",
                     "service.telemetry.metrics.readers[0]"):
            self.assertIn("lost", self.kinds(said, path), f"{path} in {said}")
        plain = "".join(line for line in yaml.splitlines(True) if not line.lstrip().startswith("#"))
        self.assertIn("policies:\n    - {name: good, type: status_code, status_code: {status_codes: [ERROR]}}\nexporters", plain)
        self.assertIn("exporters:\n  otlphttp: {endpoint", plain)
        self.assertNotRegex(str(said), "hunter[0-9]")

    def test_without_an_exporter_debug_stands_in_and_without_a_receiver_there_is_nothing(self):
        yaml, said = self.migrate(SIDECAR.replace("otlp/gateway", "loadbalancing"), 1)
        self.assertIn("exporters:\n  debug: {}\n", yaml)
        self.assertIn("lost", self.kinds(said, "service"))
        yaml, said = self.migrate(SIDECAR.replace("  otlp:\n    protocols", "  pulsar:\n    protocols").replace("[otlp]", "[pulsar]"), 1)
        self.assertEqual(yaml, "")
        self.assertEqual(self.migrate("{}", 1)[0], "")

    def test_a_consumer_of_kafka(self):
        yaml, said = self.migrate("""\
receivers:
  kafka: {brokers: ["k:9092"], traces: {topic: spans, encoding: jaeger_proto}, group_id: g, autocommit: {enable: true}}
exporters: {otlp: {endpoint: "t:4317"}}
service: {pipelines: {traces: {receivers: [kafka], exporters: [otlp]}}}
""", 0)
        self.assertIn("brokers: [\"k:9092\"]\n    traces: {topic: spans, encoding: jaeger_proto}\n    group_id: g\n", yaml)
        self.assertEqual(self.kinds(said, "receivers.kafka.autocommit"), ["note"])

    def test_connectors_that_count_spans(self):
        yaml, said = self.migrate("""\
receivers: {otlp: {protocols: {grpc: }}}
processors:
  tail_sampling: {policies: [{name: e, type: status_code, status_code: {status_codes: [ERROR]}}]}
exporters: {otlp: {endpoint: "t:4317"}, prometheus: {endpoint: ":8889"}}
connectors:
  spanmetrics: {histogram: {explicit: {buckets: [10ms, 1s]}}, dimensions: [{name: http.route}]}
  servicegraph: {store: {ttl: 5s}}
  spanmetrics/2: {}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [spanmetrics, spanmetrics/2]}
    traces/kept: {receivers: [otlp], processors: [tail_sampling], exporters: [otlp, servicegraph]}
    metrics: {receivers: [spanmetrics, servicegraph], exporters: [prometheus]}
""", 1)
        self.assertIn("span_metrics:\n  histogram:\n    explicit:\n      buckets: [10ms, 1s]\n  dimensions:\n    - {name: http.route}\n  names: jaeger\n", yaml)
        self.assertIn("service_graph:\n  store: {ttl: 5s}\n", yaml)
        self.assertEqual(self.kinds(said, "connectors.spanmetrics"), ["note"])
        self.assertEqual(self.kinds(said, "connectors.spanmetrics/2"), ["lost"])
        self.assertEqual(self.kinds(said, "connectors.servicegraph"), ["note"])
        self.assertEqual(self.kinds(said, "service.pipelines.metrics"), ["note"])
        self.assertEqual(self.kinds(said, "service.pipelines.traces/kept.exporters[1]"), ["note"])

    def test_pipelines(self):
        forward = """\
receivers:
  otlp: {protocols: {grpc: }}
processors:
  tail_sampling: {policies: [{name: e, type: status_code, status_code: {status_codes: [ERROR]}}]}
exporters:
  file/a: {path: a.json}
  file/b: {path: b.json}
connectors: {forward: , count: }
service:
  pipelines:
    traces/in: {receivers: [otlp], exporters: [forward, count]}
    traces/a: {receivers: [forward], processors: [tail_sampling], exporters: [file/a]}
    traces/b: {receivers: [forward], processors: [tail_sampling], exporters: [file/b]}
"""
        yaml, said = self.migrate(forward, 1)
        for part in ("file/a: {path: a.json}", "file/b: {path: b.json}", "name: e", "grpc: {}"):
            self.assertIn(part, yaml)
        self.assertEqual(list(said), ["connectors.count"])

        apart = SIDECAR.replace("    traces: {", "    traces/2: {receivers: [otlp/2], exporters: [file]}\n    traces: {") \
            .replace("exporters:\n", "  \nexporters:\n  file: {path: x.json}\n", 1) \
            .replace("processors:\n", "  otlp/2: {protocols: {grpc: {endpoint: localhost:5317}}}\nprocessors:\n", 1)
        yaml, said = self.migrate(apart, 1)
        self.assertIn("otlp/2:", yaml)
        self.assertIn("otlp/gateway:", yaml)
        self.assertEqual(self.kinds(said, "service.pipelines.traces"), ["lost"])

    def test_each_loss_stands_at_its_place_and_says_what_to_do_instead(self):
        text = GATEWAY.replace("limit_mib: 2000", "limit_percentage: 75") \
            .replace("  groupbytrace: {wait_duration: 10s}\n", "  attributes: {actions: [{key: password, action: delete}]}\n"
                     "  redaction: {blocked_values: ['[0-9]{16}']}\n") \
            .replace("[memory_limiter, groupbytrace, ", "[memory_limiter, attributes, redaction, ") \
            .replace("      - {name: rest,", "      - {name: odd, type: no_such_type}\n      - {name: rest,") \
            .replace("  otlp_http/second: {endpoint: \"http://second:4318\"}", "  loadbalancing: {protocol: {otlp: {}}}") \
            .replace("otlp_http/second", "loadbalancing")
        yaml, said = self.migrate(text, 1)
        self.assertEqual(self.summary, "1 policy, 3 components and 1 setting lost, 5 notes")
        instead = {"processors.memory_limiter.limit_percentage": r"set sampling.memory_limit to 75 % .*768MiB of each GiB",
                   "processors.attributes": "in the SDK, or in a Collector behind Tailgate",
                   "processors.redaction": "goes out as it came: do it in the SDK, or in a Collector behind Tailgate",
                   "processors.tail_sampling.policies[2].type": "'odd' is left out: write it anew with what docs/policies.md has",
                   "exporters.loadbalancing": r"docs/high-availability\.md#balancing-by-trace-id"}
        for path, what in instead.items():
            self.assertEqual(self.kinds(said, path), ["lost"])
            self.assertRegex(said[path][0][1], what)
        lines = yaml.splitlines()
        follows = {re.match(r"\s*# lost: (\S+): ", line)[1]: next(after for after in lines[i:] if "#" not in after)
                   for i, line in enumerate(lines) if line.lstrip().startswith("# lost")}
        self.assertEqual(follows, {
            "processors.memory_limiter.limit_percentage": "sampling:", "processors.attributes": "sampling:",
            "processors.redaction": "sampling:", "exporters.loadbalancing": "exporters:",
            "processors.tail_sampling.policies[2].type":
                """    - {name: rest, type: probabilistic, probabilistic: {sampling_percentage: "${env:PERCENT}"}}"""})

    def test_logging_is_debug_and_unused_parts_stay_behind(self):
        text = SIDECAR.replace("exporters:\n", "exporters:\n  logging: {loglevel: debug}\n  file: {path: x}\n", 1) \
            .replace("[otlp/gateway]", "[logging]")
        yaml, said = self.migrate(text, 0)
        self.assertIn("exporters:\n  debug: {}\n", yaml)
        self.assertEqual(self.kinds(said, "exporters.file"), ["note"])

    def test_exit_codes_and_standard_input(self):
        def run(*arguments, stdin=None):
            return subprocess.run([BINARY, "migrate", *arguments], input=stdin, capture_output=True, text=True, timeout=60)
        self.assertEqual(run(os.path.join(self.directory, "none.yaml")).returncode, 3)
        self.assertEqual(run().returncode, 2)
        done = run("-", stdin="receivers: [")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^-:\d+:\d+: ")
        self.assertEqual(run("-", stdin=SIDECAR).returncode, 0)


if __name__ == "__main__":
    unittest.main()
