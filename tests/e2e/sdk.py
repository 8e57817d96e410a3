# SPDX-License-Identifier: Apache-2.0
"""The SDKs through the daemon into Jaeger: every type of attribute, several exporters, and a restart of Jaeger."""

from harness import expect_absent, expect_kept, otlp_exporter, settled
from jaeger import Jaeger
from spans import sent_by
from tailgate_process import Daemon, basic_config, expect, until
from tools import program, say

POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 1000}},
    {"name": "routes", "type": "string_attribute", "string_attribute": {"key": "http.route", "values": ["/checkout"]}},
    {"name": "rest", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0}},
]


class Client:
    def __init__(self, name, format_, command, env=None):
        self.name, self.format, self.command, self.env = name, format_, command, env

    def send(self):
        sent = sent_by(self.name, self.command, self.env)
        expect(len(sent["keep"]) == 3 and len(sent["drop"]) == 10, f"{self.name} sent {len(sent['keep'])} and {len(sent['drop'])} traces")
        return sent


def clients(tools, daemon):
    python = [tools.venv("sdk_python"), program("sdk_python", "client.py")]
    http = f"http://127.0.0.1:{daemon.http}"
    return [
        Client("Python SDK, gRPC, gzip", "otlp_proto", python + ["grpc", f"127.0.0.1:{daemon.grpc}", "gzip"]),
        Client("Python SDK, gRPC", "otlp_proto", python + ["grpc", f"127.0.0.1:{daemon.grpc}", "none"]),
        Client("Python SDK, http/protobuf, gzip", "otlp_proto", python + ["http", http, "gzip"]),
        Client("Node SDK, http/json", "otlp_json", ["node", program("sdk_node", "client.js"), http],
               {"NODE_PATH": tools.npm("sdk_node")}),
    ]


def count(traces):
    return sum(len(spans) for spans in traces.values())


def run_into_jaeger(tools, binary, directory, exporter):
    """Errors, slow ones and listed routes arrive whole, the others do not, also over a restart of Jaeger."""
    with Jaeger(tools.jaeger(), directory) as jaeger:
        to = otlp_exporter(jaeger)
        if exporter == "otlphttp":
            to = {"otlphttp": {"endpoint": f"http://127.0.0.1:{jaeger.http}", "retry_on_failure": to["otlp"]["retry_on_failure"]}}
        config = basic_config(POLICIES, to, decision_wait="5s", decision_wait_after_root_received="500ms")
        with Daemon(binary, directory, config) as daemon:
            keep, drop, received = {}, {}, {}

            def send(client):
                sent = client.send()
                keep.update(sent["keep"])
                drop.update(sent["drop"])
                received[client.format] = received.get(client.format, 0) + count(sent["keep"]) + count(sent["drop"])
                return sent

            def compare(client, sent):
                for trace_id, spans in sent["keep"].items():
                    expect_kept(jaeger, trace_id, spans, client.name)
                for trace_id in sent["drop"]:
                    expect_absent(jaeger, trace_id, client.name)
                say(f"  {client.name}: {len(sent['keep'])} traces whole, {len(sent['drop'])} absent")

            def check_counters():
                metrics = settled(daemon, exporter)
                expect(metrics.by("tailgate_spans_received_total", "format") == {"otlp_proto": 0, "otlp_json": 0, **received},
                       f"received {metrics.by('tailgate_spans_received_total', 'format')}, sent {received}")
                for name, wanted in (("spans_forwarded_total", count(keep)), ("spans_not_sampled_total", count(drop)),
                                     ("spans_refused_total", 0), ("spans_shed_total", 0), ("export_spans_total", count(keep)),
                                     ("export_failed_spans_total", 0), ("export_dropped_spans_total", 0)):
                    expect(metrics.sum(f"tailgate_{name}") == wanted, f"{name} is {metrics.sum(f'tailgate_{name}')}, want {wanted}")
                votes = {p: metrics.sum("tailgate_policy_kept_traces_total", policy=p) for p in ("errors", "slow", "routes", "rest")}
                expect(votes == {"errors": len(keep) / 3, "slow": len(keep) / 3, "routes": len(keep) / 3, "rest": 0}, f"kept by policy: {votes}")
                return metrics

            everyone = clients(tools, daemon)
            sent = [(client, send(client)) for client in everyone]
            check_counters()
            for pair in sent:
                compare(*pair)

            jaeger.stop()
            client = everyone[0]
            late = send(client)
            until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter=exporter) > 1, "the exporter meets a dead Jaeger", 60)
            jaeger.start()
            check_counters()
            compare(client, late)
            say("  Jaeger restarted: retries delivered")
            expect(daemon.stop() == 0, "the daemon did not end with 0")


def test_otlp(tools, binary, directory):
    run_into_jaeger(tools, binary, directory, "otlp")


def test_otlphttp(tools, binary, directory):
    run_into_jaeger(tools, binary, directory, "otlphttp")
