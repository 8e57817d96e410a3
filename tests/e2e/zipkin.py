# SPDX-License-Identifier: Apache-2.0
"""The zipkin exporter: into a real Jaeger's Zipkin receiver, and into Tailgate's own."""

import json
import os

from harness import doors_config, settled
from jaeger import Jaeger
from sdk import POLICIES, clients
from spans import by_id, spans_of_otlp
from tailgate_process import Daemon, basic_config, expect, until
from tools import say

AS_TEXT = {"string": str, "int": str, "bool": lambda v: "true" if v else "false"}  # others come as JSON


def expect_by_zipkin(trace_id, sent, got, where):
    """What Zipkin's format holds of a trace: microseconds, tags of text, annotations."""
    sent, got = by_id(sent), by_id(got)
    expect(sent.keys() == got.keys(), f"{where}: trace {trace_id} has spans {sorted(got)}, sent were {sorted(sent)}")
    for span_id, span in sent.items():
        have = got[span_id]

        def check(what, value, wanted):
            expect(value == wanted, f"{where}: {what} of span {span['name']!r} is {value!r}, sent was {wanted!r}")

        for key in ("name", "parentSpanId", "service", "kind", "traceState", "status", "scope"):
            check(key, have[key], span[key])
        check("start", have["start"] // 1000, span["start"] // 1000)
        check("duration", (have["end"] - have["start"]) // 1000, max((span["end"] - span["start"]) // 1000, 1))
        for key, (kind, value) in span["attributes"].items():
            if kind in AS_TEXT and not key.startswith(("net.", "peer.")) and key not in ("error", "span.kind"):
                check(f"attribute {key}", str(have["attributes"].get(key, [0, None])[1]), AS_TEXT[kind](value))
        check("events", sorted((e["time"] // 1000, e["name"].split("|")[0]) for e in have["events"]),
              sorted((e["time"] // 1000, e["name"]) for e in span["events"]))


def test_zipkin(tools, binary, directory):
    """The same traces by Zipkin's JSON into Jaeger, and through a second daemon into a file."""
    kept_path, second = os.path.join(directory, "kept.json"), os.path.join(directory, "second")
    os.mkdir(second)
    with Jaeger(tools.jaeger(), directory) as jaeger:
        config = doors_config({"file": {"path": kept_path}})
        config["sampling"]["policies"] = [{"name": "all", "type": "always_sample"}]
        with Daemon(binary, second, config) as receiver:
            exporters = {"zipkin/jaeger": {"endpoint": f"http://127.0.0.1:{jaeger.zipkin}"},
                         "zipkin/tailgate": {"endpoint": f"http://127.0.0.1:{receiver.receivers[-1][2]}/api/v2/spans"}}
            with Daemon(binary, directory, basic_config(POLICIES, exporters, decision_wait="3s")) as daemon:
                for client in clients(tools, daemon)[2:]:
                    sent = client.send()["keep"]
                    for exporter in exporters:
                        metrics = settled(daemon, exporter)
                        expect(metrics.sum("tailgate_export_failed_spans_total", exporter=exporter) == 0, f"{exporter}: spans failed")
                    settled(receiver, "file")
                    kept = {}
                    with open(kept_path) as lines:
                        for line in lines:
                            for trace_id, spans in spans_of_otlp(json.loads(line)).items():
                                kept.setdefault(trace_id, []).extend(spans)
                    for trace_id, spans in sent.items():
                        until(lambda: len(jaeger.trace_v3(trace_id) or []) == len(spans), f"{trace_id} is in Jaeger", 60, 0.1)
                        expect_by_zipkin(trace_id, spans, jaeger.trace_v3(trace_id), "Jaeger")
                        expect_by_zipkin(trace_id, spans, kept.get(trace_id, []), "Tailgate")
                    say(f"  {client.name}: {sum(map(len, sent.values()))} spans by Jaeger's receiver and by Tailgate's")
                expect(daemon.stop() == 0, "the daemon did not end with 0")
            metrics = receiver.metrics()
            expect(metrics.sum("tailgate_requests_refused_total") == 0, "requests were refused")
