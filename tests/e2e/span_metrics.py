# SPDX-License-Identifier: Apache-2.0
"""Span metrics beside the Collector's `spanmetrics` connector: the same requests to both, then every line compared."""

import collections
import os
import random
import re
import urllib.request

import otlp_bytes as otlp
from servers import Server, free_ports
from tailgate_process import Daemon, basic_config, expect, get, until
from tools import say

REQUESTS, SPANS = 400, 50
SERVICES = [f"service-{i}" for i in range(12)]
KINDS = range(7)  # 6 is none of OpenTelemetry's
BOUNDS_MS = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000]
# What the Collector alone says of a series (docs/design/0020).
COLLECTORS = {"collector_instance_id", "instance", "job", "otel_scope_name", "otel_scope_schema_url", "otel_scope_version"}
FAMILIES = ("traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket",
            "traces_span_metrics_duration_milliseconds_count", "traces_span_metrics_duration_milliseconds_sum")


class Collector(Server):
    def __init__(self, binary, directory):
        super().__init__("collector", directory)
        self.port, self.page = free_ports(2)
        connector = {"metrics_flush_interval": "500ms",
                     "dimensions": [{"name": "http.method", "default": "none"}, {"name": "zone"}, {"name": "tier"}]}
        self.command = [binary, "--config", self.file("collector.yaml", {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "connectors": {"spanmetrics": connector},
            "exporters": {"prometheus": {"endpoint": f"127.0.0.1:{self.page}"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["spanmetrics"]},
                              "metrics": {"receivers": ["spanmetrics"], "exporters": ["prometheus"]}},
            }})]

    def answers(self):
        return send(self.port, b"") == 200


def send(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status


def requests():
    """Random requests; durations fall on bounds, between them, above all, and below zero."""
    chance = random.Random(20)
    start = 1_790_000_000_000_000_000
    for _ in range(REQUESTS):
        service = chance.randrange(len(SERVICES))
        spans = []
        for _ in range(chance.randrange(1, SPANS)):
            took = chance.choice([0, -5_000_000, chance.choice(BOUNDS_MS) * 1_000_000, chance.choice(BOUNDS_MS) * 1_000_000 + 1,
                                  int(10 ** chance.uniform(3, 11))])
            attributes = [one for one in (("http.method", chance.choice(["GET", "POST"])), ("zone", chance.choice("ab")))
                          if chance.random() < 0.6]
            span = otlp.span(chance.randbytes(16), f"GET /{chance.randrange(6)} \"quoted\"\\n", chance.choice([b"", chance.randbytes(8)]),
                             start, start + took, attributes=attributes, span_id=chance.randbytes(8), kind=chance.choice(KINDS))
            status = chance.randrange(4)  # 3 is none of OpenTelemetry's
            spans.append(span + (otlp.field(15, b"\x18" + otlp.varint(status)) if status else b""))
        # The same attributes for all resources of a service: the Collector counts each distinct resource apart.
        resource = otlp.field(1, otlp.attribute("service.name", SERVICES[service]))
        if service % 2:
            resource += otlp.field(1, otlp.attribute("tier", "back"))
        scope = b"".join(otlp.field(2, one) for one in spans)
        yield otlp.field(1, otlp.field(1, resource) + otlp.field(2, scope)), len(spans)


def series(port, path):
    """{(name, labels): value} of the page's lines about spans."""
    status, text = get(port, path)
    expect(status == 200, f"{path} says {status}: {text[:200]}")
    out = {}
    for line in text.splitlines():
        found = re.match(r"(\w+)\{(.*)\} (\S+)$", line)
        if found is None or found[1] not in FAMILIES:
            continue
        labels = {key: value for key, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2]) if key not in COLLECTORS}
        if "le" in labels:
            labels["le"] = str(float(labels["le"]))
        key = found[1], tuple(sorted(labels.items()))
        expect(key not in out, f"twice on the page: {line}")
        out[key] = float(found[3])
    return out


def test_span_metrics(tools, binary, directory):
    config = basic_config([{"name": "none", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0}}],
                          {"file": {"path": os.path.join(directory, "kept.json")}})
    config["span_metrics"] = {"names": "jaeger", "start_at_zero": "0s", "dimensions": [{"name": "http.method", "default": "none"}, "zone", "tier"]}
    with Daemon(binary, directory, config) as daemon, Collector(tools.go("collector"), directory) as collector:
        spans = 0
        for body, count in requests():
            spans += count
            for port in (daemon.receivers[1][2], collector.port):
                expect(send(port, body) == 200, "a request was refused")
        ours = series(daemon.pages["metrics"], "/metrics/spans")
        calls = lambda lines: sum(value for (name, _), value in lines.items() if name == FAMILIES[0])  # noqa: E731
        expect(calls(ours) == spans, f"{calls(ours)} calls of {spans} spans")
        until(lambda: calls(series(collector.page, "/metrics")) == spans, "the Collector has counted all", 30, 0.2)
        theirs = series(collector.page, "/metrics")
        # Kinds and states that OpenTelemetry does not have are empty on both sides; a line differs or it does not.
        different = [key for key in ours.keys() | theirs.keys()
                     if abs(ours.get(key, -1) - theirs.get(key, -1)) > (1e-9 * abs(ours.get(key, 0)) if key[0] == FAMILIES[3] else 0)]
        for key in sorted(different)[:10]:
            say(f"  {key}: {ours.get(key)} here, {theirs.get(key)} there")
        expect(not different, f"{len(different)} of {len(ours)} lines differ")
    names = collections.Counter(name for name, _ in ours)
    say(f"  {spans} spans, {names[FAMILIES[0]]} series, {len(ours)} lines: all equal to the Collector's")
