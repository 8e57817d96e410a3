# SPDX-License-Identifier: Apache-2.0
"""How every client is tested: it sends a trace with an error and one without through a daemon that keeps errors, to a Jaeger."""

import dataclasses
import json
import os
from typing import Callable

from jaeger import Jaeger
from spans import expect_same, expect_same_v1, expect_shape
from tailgate_process import SHIPPED, Daemon, basic_config, expect, get, until
from tools import say

ERRORS = [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
          {"name": "rest", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0}}]

CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "config")
QUICK = ["sampling.decision_wait=5s", "sampling.decision_wait_after_root_received=500ms"]


def shipped(name, binary, directory, sets=()):
    """A daemon with a file of config/ as it is, but for its ports, its log and what `sets` says."""
    return Daemon(binary, directory, path=os.path.join(CONFIGS, name), cwd=directory, sets=[*SHIPPED, *sets])


@dataclasses.dataclass
class Client:
    what: str  # beside the client's name, when it sends in several ways
    format: str  # the label of tailgate_spans_received_total; None: several
    send: Callable  # sends, and gives {"keep": {trace id: spans}, "drop": {...}}; None for spans it cannot tell
    expected: dict  # the trace with an error, made by spans.span()


class Doors:
    """The endpoints of a daemon with `doors_config`, in the order of the configuration."""

    def __init__(self, daemon):
        ports = [port for _, _, port in daemon.receivers]
        self.daemon = daemon
        (self.otlp_grpc, self.otlp_http, self.jaeger_grpc, self.jaeger_http, self.jaeger_compact, self.jaeger_binary,
         self.zipkin) = ports


def doors_config(exporters, origins=()):
    config = basic_config(ERRORS, exporters, decision_wait="5s", decision_wait_after_root_received="1s")
    at = lambda: {"endpoint": "127.0.0.1:0"}  # noqa: E731
    if origins:
        config["receivers"]["otlp"]["protocols"]["http"]["cors"] = {"allowed_origins": list(origins), "allowed_headers": ["X-Page"]}
    config["receivers"]["jaeger"] = {"protocols": {"grpc": at(), "thrift_http": at(), "thrift_compact": at(), "thrift_binary": at()}}
    config["receivers"]["zipkin"] = at()
    return config


def otlp_exporter(jaeger):
    return {"otlp": {"endpoint": f"127.0.0.1:{jaeger.grpc}", "tls": {"insecure": True},
                     "retry_on_failure": {"initial_interval": "200ms", "max_interval": "1s"}}}


def settled(daemon, exporter):
    """The metrics once all is decided and sent."""
    def look():
        metrics = daemon.metrics()
        metrics.check_law()
        idle = metrics.sum("tailgate_buffer_spans") == 0 and metrics.sum("tailgate_export_queue_spans", exporter=exporter) == 0
        return metrics if idle else None
    return until(look, "all is decided and sent", 60)


def explained(daemon, trace_id):
    status, text = get(daemon.pages["web"], f"/explain/{trace_id}")
    expect(status == 200, f"/explain/{trace_id} says {status}")
    return json.loads(text)


def expect_kept(jaeger, trace_id, spans, where):
    """Jaeger has the trace as it was sent, in both of its models."""
    until(lambda: len(jaeger.trace_v3(trace_id) or []) >= len(spans), f"{where}: trace {trace_id} is in Jaeger", 60, 0.1)
    expect_same(trace_id, spans, jaeger.trace_v3(trace_id), f"{where}, /api/v3/traces", True)
    expect_same_v1(trace_id, spans, jaeger.trace_v1(trace_id))


def expect_absent(jaeger, trace_id, where):
    expect(jaeger.trace_v3(trace_id) is None and jaeger.trace_v1(trace_id) is None, f"{where}: trace {trace_id} is in Jaeger")


def check(client, name, daemon, jaeger, received):
    where = f"{name}, {client.what}" if client.what else name
    sent = client.send()
    expect(len(sent["keep"]) == 1 and len(sent["drop"]) == 1, f"{where}: sent {len(sent['keep'])} and {len(sent['drop'])} traces")
    (kept, spans), (dropped, others) = list(sent["keep"].items())[0], list(sent["drop"].items())[0]
    metrics = settled(daemon, "otlp")
    for trace_id, verdict, policy in ((kept, "sampled", "errors"), (dropped, "not_sampled", None)):
        why = explained(daemon, trace_id)
        expect(why["verdict"] == verdict, f"{where}: trace {trace_id} is {why['verdict']} by {why['policy']}, want {verdict}")
        expect(policy is None or why["policy"] == policy, f"{where}: trace {trace_id} is kept by {why['policy']}, want {policy}")
    if spans is None:
        until(lambda: jaeger.trace_v3(kept), f"{where}: trace {kept} is in Jaeger", 60, 0.1)
    else:
        label = {"format": client.format} if client.format else {}
        received[client.format] = received.get(client.format, 0) + len(spans) + len(others)
        have = metrics.sum("tailgate_spans_received_total", **label)
        expect(have == received[client.format], f"{where}: received {have:.0f} spans, sent {received[client.format]}")
        expect_kept(jaeger, kept, spans, where)
    expect_shape(client.expected, jaeger.trace_v3(kept), where)
    expect_absent(jaeger, dropped, where)
    say(f"  {where}: the trace with an error whole ({len(jaeger.trace_v3(kept))} spans), the other absent")


def client_test(module):
    """The test of a module under clients/: its `clients(tools, doors, directory)`, each in turn."""
    def test(tools, binary, directory):
        module.prepare(tools)
        with Jaeger(tools.jaeger(), directory) as jaeger:
            config = doors_config(otlp_exporter(jaeger), getattr(module, "ORIGINS", ()))
            with Daemon(binary, directory, config) as daemon:
                received = {}
                for client in module.clients(tools, Doors(daemon), directory):
                    check(client, module.NAME, daemon, jaeger, received)
                metrics = daemon.metrics()
                for name in ("spans_refused_total", "requests_refused_total", "udp_dropped_total", "client_lost_spans_total"):
                    expect(metrics.sum(f"tailgate_{name}") == 0, f"{name} is {metrics.sum(f'tailgate_{name}')}")
                expect(daemon.stop() == 0, "the daemon did not end with 0")
    return test
