# SPDX-License-Identifier: Apache-2.0
"""Sends one trace with an error and one without with the old Jaeger client, as compact Thrift over UDP.

    client.py PORT

Prints what it sent as docs/receivers.md maps it; the form is described in ../../spans.py.
"""

import json
import sys
import time

from jaeger_client import ConstSampler, Tracer
from jaeger_client.local_agent_net import LocalAgentSender
from jaeger_client.reporter import CompositeReporter, InMemoryReporter, Reporter
from opentracing import child_of, follows_from

TYPES = [("string", "vStr"), ("double", "vDouble"), ("bool", "vBool"), ("int", "vLong"), ("bytes", "vBinary")]  # by Thrift's vType


def typed_map(tags):
    return {t.key: [TYPES[t.vType][0], getattr(t, TYPES[t.vType][1])] for t in tags}


def form(span, service):
    tags = typed_map(span.tags)
    kind = tags.pop("span.kind", ["", ""])[1]
    error = tags.pop("error", None) == ["bool", True]
    logs = [(log, typed_map(log.fields)) for log in span.logs]
    start = int(span.start_time * 1_000_000)
    links = [{"traceId": f"{r.referenced_context.trace_id:032x}", "spanId": f"{r.referenced_context.span_id:016x}",
              "traceState": "", "attributes": {"opentracing.ref_type": ["string", r.type]}}
             for r in span.references or [] if r.referenced_context.span_id != span.parent_id or r.type == "follows_from"]
    return {
        "spanId": f"{span.span_id:016x}", "parentSpanId": f"{span.parent_id:016x}" if span.parent_id else "", "traceState": "",
        "name": span.operation_name, "kind": {"server": 2, "client": 3, "producer": 4, "consumer": 5}.get(kind, 0),
        "start": start * 1000, "end": (start + int((span.end_time - span.start_time) * 1_000_000)) * 1000, "attributes": tags,
        "events": [{"name": fields.pop("event", ["", ""])[1], "time": log.timestamp * 1000, "attributes": fields}
                   for log, fields in logs],
        "links": links, "status": [2 if error else 0, ""], "service": service, "scope": "",
    }


def main():
    service = "jaeger-python"
    memory = InMemoryReporter()
    sender = LocalAgentSender("127.0.0.1", 5778, int(sys.argv[1]))
    remote = Reporter(channel=sender, queue_capacity=100, batch_size=10, flush_interval=0.1)
    tracer = Tracer(service, CompositeReporter(memory, remote), ConstSampler(True), generate_128bit_trace_id=True,
                    tags={"deployment": "e2e", "shard": 7})
    keep = []
    for failing in (True, False):
        root = tracer.start_span("GET /orders", tags={"span.kind": "server", "http.url": "/orders?straße"})
        if failing:
            keep.append(root.trace_id)
        client = tracer.start_span("reserve", child_of=root, tags={"span.kind": "client", "items": 3, "weight": 2.5, "fresh": True})
        client.log_kv({"event": "asked", "attempt": 1})
        if failing:
            client.set_tag("error", True)
            client.log_kv({"event": "error", "error.kind": "NoStock", "final": True})
        client.finish()
        # Began because of `client`, below `root`.
        mail = tracer.start_span("mail", references=[child_of(root.context), follows_from(client.context)])
        mail.finish()
        root.finish()
    spans = memory.get_spans()
    sent, end = remote.close(), time.monotonic() + 30
    while not sent.done():
        if time.monotonic() > end:
            sys.exit("the client could not send everything")
        time.sleep(0.01)
    traces = {"keep": {}, "drop": {}}
    for span in spans:
        to = traces["keep" if span.trace_id in keep else "drop"]
        to.setdefault(f"{span.trace_id:032x}", []).append(form(span, service))
    print(json.dumps(traces))


if __name__ == "__main__":
    main()
