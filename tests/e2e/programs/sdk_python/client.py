# SPDX-License-Identifier: Apache-2.0
"""Sends the traces of the end-to-end test with the Python SDK and prints what it sent, as one line of JSON.

    client.py grpc|http ENDPOINT gzip|none

The form is described in ../../spans.py.
"""

import json
import sys
import time

from collect import Collect
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

MS = 1_000_000


def make_exporter(protocol, endpoint, compression):
    if protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        how = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        return OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=how)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    how = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    return OTLPSpanExporter(endpoint=endpoint + "/v1/traces", compression=how)


class AllWithState(Sampler):
    """Samples everything and gives it a tracestate."""

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, TraceState([("vendor", "python"), ("other", "1")]))

    def get_description(self):
        return "AllWithState"


def main():
    exporter = make_exporter(*sys.argv[1:])
    collect = Collect()

    def tracer(service):
        provider = TracerProvider(sampler=AllWithState(), resource=Resource.create({"service.name": service}),
                                  shutdown_on_exit=False)
        provider.add_span_processor(collect)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider, provider.get_tracer("e2e.python", "1.2.3")

    (front_provider, front), (back_provider, back) = tracer("python-front"), tracer("python-back")
    base = time.time_ns() - 10_000 * MS
    keep, ids = [], {}

    def one(by, name, start_ms, duration_ms, parent=None, **more):
        """A span with a start and an end of its own; ended by the caller."""
        context = trace.set_span_in_context(parent) if parent else None
        span = by.start_span(name, context=context, start_time=base + start_ms * MS + 123, **more)
        ids[span] = base + (start_ms + duration_ms) * MS + 456
        return span

    def end(*spans):
        for span in spans:
            span.end(end_time=ids[span])

    elsewhere = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True, TraceFlags(1),
                            TraceState([("far", "away")]))
    root = one(front, "GET /orders", 0, 90, kind=SpanKind.SERVER, links=[Link(elsewhere, {"why": "batch", "n": 3})],
               attributes={"text": "straße \"quoted\"\n", "yes": True, "no": False, "int": -42, "large": 2**53 + 1,
                           "double": 2.5, "empty": "", "texts": ["a", "b"], "ints": [1, 2, 3], "doubles": [0.5, -1.25],
                           "bools": [True, False], "http.route": "/orders"})
    root.add_event("started", {"attempt": 1, "ratio": 0.25, "ok": True, "tags": ["x", "y"]}, timestamp=base + 5 * MS)
    root.add_event("bare", timestamp=base + 6 * MS)
    client = one(front, "call back", 10, 60, root, kind=SpanKind.CLIENT)
    server = one(back, "POST /reserve", 15, 50, client, kind=SpanKind.SERVER)
    inner = one(back, "reserve", 20, 10, server, kind=SpanKind.INTERNAL)
    inner.set_status(Status(StatusCode.ERROR, "out of stock: ü"))
    inner.record_exception(ValueError("no stock"), timestamp=base + 29 * MS)
    producer = one(back, "publish", 40, 5, server, kind=SpanKind.PRODUCER)
    producer.set_status(Status(StatusCode.OK))
    consumer = one(front, "consume", 50, 20, producer, kind=SpanKind.CONSUMER)
    end(inner, producer, consumer, server, client, root)
    keep.append(root)

    slow = one(front, "GET /report", 100, 2500, kind=SpanKind.SERVER)
    child = one(back, "render", 200, 2000, slow)
    end(child, slow)
    keep.append(slow)

    listed = one(front, "POST /checkout", 200, 12, kind=SpanKind.SERVER, attributes={"http.route": "/checkout"})
    child = one(back, "charge", 203, 5, listed, kind=SpanKind.CLIENT, attributes={"amount": 12.75})
    end(child, listed)
    keep.append(listed)

    for i in range(10):
        ordinary = one(front, "GET /items", 300 + i, 8, kind=SpanKind.SERVER, attributes={"http.route": "/items", "i": i})
        child = one(back, "select", 302 + i, 2, ordinary, kind=SpanKind.CLIENT)
        end(child, ordinary)

    for provider in (front_provider, back_provider):
        if not provider.force_flush(30_000):
            sys.exit("the SDK could not send everything")
    exporter.shutdown()
    kept = {format(span.get_span_context().trace_id, "032x") for span in keep}
    print(json.dumps({"keep": {i: spans for i, spans in collect.traces.items() if i in kept},
                      "drop": {i: spans for i, spans in collect.traces.items() if i not in kept}}))


if __name__ == "__main__":
    main()
