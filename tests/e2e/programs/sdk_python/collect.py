# SPDX-License-Identifier: Apache-2.0
"""A span processor that notes what the Python SDK ends, in the form of ../../spans.py."""

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode


def typed(value):
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", value]
    if isinstance(value, float):
        return ["double", value]
    if isinstance(value, str):
        return ["string", value]
    return ["array", [typed(item) for item in value]]


def typed_map(attributes):
    return {key: typed(value) for key, value in (attributes or {}).items()}


def span_id(context):
    return format(context.span_id, "016x") if context else ""


class Collect(SpanProcessor):
    """Notes each span as it ends, by trace."""

    def __init__(self):
        self.traces = {}

    def on_end(self, span):
        context = span.get_span_context()
        self.traces.setdefault(format(context.trace_id, "032x"), []).append({
            "spanId": span_id(context), "parentSpanId": span_id(span.parent), "traceState": context.trace_state.to_header(),
            "name": span.name, "kind": span.kind.value + 1, "start": span.start_time, "end": span.end_time,
            "attributes": typed_map(span.attributes),
            "events": [{"name": e.name, "time": e.timestamp, "attributes": typed_map(e.attributes)} for e in span.events],
            "links": [{"traceId": format(link.context.trace_id, "032x"), "spanId": span_id(link.context),
                       "traceState": "", "attributes": typed_map(link.attributes)}  # the exporter leaves it out
                      for link in span.links],
            "status": [span.status.status_code.value, span.status.description or ""],
            "service": span.resource.attributes["service.name"], "scope": span.instrumentation_scope.name,
        })

    def by_error(self):
        failed = {i for i, spans in self.traces.items() if any(span["status"][0] == StatusCode.ERROR.value for span in spans)}
        return {"keep": {i: self.traces[i] for i in self.traces if i in failed},
                "drop": {i: self.traces[i] for i in self.traces if i not in failed}}
