# SPDX-License-Identifier: Apache-2.0
"""Sends one trace with an error and one without with the Python SDK's Zipkin exporters.

    client.py json|protobuf PORT

Prints what it sent as docs/receivers.md maps it; the form is described in ../../spans.py.
"""

import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

SERVICE = "zipkin-python"


def make_exporter(encoding, port):
    if encoding == "json":
        from opentelemetry.exporter.zipkin.json import ZipkinExporter
    else:
        from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter
    return ZipkinExporter(endpoint=f"http://127.0.0.1:{port}/api/v2/spans", local_node_ipv4="10.1.2.3", local_node_port=8080)


def text(value):
    """As the exporter writes a tag: Zipkin's are texts."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps([str(v) for v in value], separators=(",", ":")) if isinstance(value, tuple) else str(value)


def micros(ns):
    return (ns + 500) // 1000


class Collect(SpanProcessor):
    def __init__(self):
        self.traces = {}

    def on_end(self, span):
        context, code = span.get_span_context(), span.status.status_code
        tags = {key: ["string", text(value)] for key, value in {**span.attributes, **span.resource.attributes}.items()}
        # Of the error's text the receiver makes the status, and leaves the tag.
        if code == StatusCode.ERROR:
            tags["error"] = ["string", span.status.description or ""]
        tags["network.local.address"] = tags["net.host.ip"] = ["string", "10.1.2.3"]
        tags["net.host.port"] = ["int", 8080]
        start = micros(span.start_time)
        self.traces.setdefault(f"{context.trace_id:032x}", []).append({
            "spanId": f"{context.span_id:016x}", "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
            "traceState": "", "name": span.name, "kind": 0 if span.kind == SpanKind.INTERNAL else span.kind.value + 1,
            "start": start * 1000, "end": (start + micros(span.end_time - span.start_time)) * 1000, "attributes": tags,
            "events": [{"name": json.dumps({e.name: dict(e.attributes)}, sort_keys=True), "time": micros(e.timestamp) * 1000,
                        "attributes": {}} for e in span.events],
            "links": [], "status": [code.value, span.status.description or ""], "service": SERVICE,
            "scope": span.instrumentation_scope.name,
        })


def main():
    collect, keep = Collect(), []
    provider = TracerProvider(resource=Resource({"service.name": SERVICE, "deployment": "e2e"}), shutdown_on_exit=False)
    provider.add_span_processor(collect)
    provider.add_span_processor(BatchSpanProcessor(make_exporter(*sys.argv[1:])))
    tracer = provider.get_tracer("e2e.zipkin", "1.2.3")
    for failing in (True, False):
        with tracer.start_as_current_span("GET /orders", kind=SpanKind.SERVER, attributes={"url.path": "/orders?straße"}) as root:
            if failing:
                keep.append(f"{root.get_span_context().trace_id:032x}")
            with tracer.start_as_current_span("reserve", kind=SpanKind.CLIENT) as client:
                client.set_attributes({"items": 3, "weight": 2.5, "fresh": True, "shelves": ["a", "b"]})
                client.add_event("asked", {"attempt": 1})
                if failing:
                    client.set_status(Status(StatusCode.ERROR, "no stock: ü"))
            with tracer.start_as_current_span("mail", kind=SpanKind.PRODUCER):
                pass
    if not provider.force_flush(30_000):
        sys.exit("the SDK could not send everything")
    provider.shutdown()
    print(json.dumps({"keep": {i: spans for i, spans in collect.traces.items() if i in keep},
                      "drop": {i: spans for i, spans in collect.traces.items() if i not in keep}}))


if __name__ == "__main__":
    main()
