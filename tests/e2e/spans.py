# SPDX-License-Identifier: Apache-2.0
"""The one form in which the tests compare spans, whoever sent them and whatever gave them back.

A program prints what it sent as one line of JSON: {"keep": {trace id: [span...]}, "drop": {trace id: [span...]}}. A span:

    {"spanId", "parentSpanId", "traceState", "name", "kind", "start", "end", "attributes", "events", "links", "status",
     "service", "scope"}

ids in hex, `kind` OTLP's number, times in ns (numbers or digits), attributes {key: [type, value]} with the types string,
bool, int, double, bytes and array, events [{"name", "time", "attributes"}], links [{"traceId", "spanId", "traceState",
"attributes"}], status [code, message].
"""

import json
import os
import re
import subprocess

from tailgate_process import expect

ERROR = 2
KIND_NAMES = ["unspecified", "internal", "server", "client", "producer", "consumer"]
KINDS = {f"SPAN_KIND_{name.upper()}": i for i, name in enumerate(KIND_NAMES)}
CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


# --- reading ------------------------------------------------------------------------------------------------------


def typed(value):
    kind, content = next(iter(value.items())) if value else ("stringValue", "")
    kind = kind.removesuffix("Value")
    if kind == "int":
        content = int(content)
    if kind == "double":
        content = float(content)
    if kind == "array":
        content = [typed(item) for item in content.get("values", [])]
    return [kind, content]


def typed_map(attributes):
    return {a["key"]: typed(a["value"]) for a in attributes or []}


def spans_of_otlp(data):
    """OTLP JSON to {trace id: [span]}."""
    out = {}
    for resource in data["resourceSpans"]:
        service = typed_map(resource["resource"].get("attributes")).get("service.name", ["", ""])[1]
        for scope in resource["scopeSpans"]:
            for s in scope["spans"]:
                status = s.get("status", {})
                out.setdefault(s["traceId"], []).append({
                    "spanId": s["spanId"], "parentSpanId": s.get("parentSpanId", ""), "traceState": s.get("traceState", ""),
                    "name": s["name"], "kind": KINDS.get(s.get("kind", 0), s.get("kind", 0)), "start": int(s["startTimeUnixNano"]),
                    "end": int(s["endTimeUnixNano"]), "attributes": typed_map(s.get("attributes")),
                    "events": [{"name": e.get("name", ""), "time": int(e["timeUnixNano"]), "attributes": typed_map(e.get("attributes"))}
                               for e in s.get("events", [])],
                    "links": [{"traceId": link["traceId"], "spanId": link["spanId"], "traceState": link.get("traceState", ""),
                               "attributes": typed_map(link.get("attributes"))} for link in s.get("links", [])],
                    "status": [CODES.get(status.get("code", 0), status.get("code", 0)), status.get("message", "")],
                    "service": service, "scope": scope.get("scope", {}).get("name", ""),
                })
    return out


def sent_by(name, command, env=None, timeout=180):
    """Runs a program to its end; what it says it sent."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                          env={**os.environ, "OTEL_NODE_RESOURCE_DETECTORS": "env,process", **(env or {})})
    expect(done.returncode == 0 and done.stdout, f"{name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return with_numbers(json.loads(done.stdout.splitlines()[-1]))


def with_numbers(sent):
    """Times that came as digits, since JavaScript's numbers do not hold them."""
    for span in (span for traces in sent.values() for spans in traces.values() for span in spans):
        span["start"], span["end"] = int(span["start"]), int(span["end"])
        for event in span["events"]:
            event["time"] = int(event["time"])
    return sent


def by_error(traces):
    """{"keep", "drop"} of {trace id: spans}: those with a span of status ERROR, and the others."""
    failed = {i for i, spans in traces.items() if any(span["status"][0] == ERROR for span in spans)}
    return {"keep": {i: traces[i] for i in traces if i in failed}, "drop": {i: traces[i] for i in traces if i not in failed}}


# --- comparing with what was sent ---------------------------------------------------------------------------------


def by_id(spans):
    out = {}
    for s in spans:
        expect(s["spanId"] not in out, f"span {s['spanId']} is there twice")
        out[s["spanId"]] = s
    return out


def events_sorted(span):
    return {**span, "events": sorted(span["events"], key=lambda e: (e["time"], e["name"]))}


def expect_same(trace_id, sent, got, where, sort_events=False):
    """`sort_events`: Jaeger gives them in an order of its own."""
    if sort_events:
        sent, got = [events_sorted(s) for s in sent], [events_sorted(s) for s in got]
    sent, got = by_id(sent), by_id(got)
    expect(sent.keys() == got.keys(), f"{where}: trace {trace_id} has spans {sorted(got)}, sent were {sorted(sent)}")
    for span_id, span in sent.items():
        for key, value in span.items():
            expect(got[span_id][key] == value,
                   f"{where}: {key} of span {span['name']!r} is {got[span_id][key]!r}, sent was {value!r}")


TAG_TYPES = {"string": "string", "bool": "bool", "int": "int64", "double": "float64"}  # others come as text


def expect_same_v1(trace_id, sent, trace):
    """The same trace in Jaeger's own model: microseconds, tags, logs, references."""
    sent, got = by_id(sent), {s["spanID"]: s for s in trace["spans"]}
    expect(len(got) == len(trace["spans"]) and sent.keys() == got.keys(), f"/api/traces: trace {trace_id} is not whole")

    def check(span, what, value, wanted):
        expect(value == wanted, f"/api/traces: {what} of span {span['name']!r} is {value!r}, sent was {wanted!r}")

    def check_tags(span, what, have, wanted):
        tags = {t["key"]: t for t in have}
        for key, (kind, value) in wanted.items():
            expect(key in tags, f"/api/traces: {what} of span {span['name']!r} has no tag {key}")
            if kind in TAG_TYPES:
                check(span, f"type of {what} {key}", tags[key]["type"], TAG_TYPES[kind])
                # Integers over 2^53 come as strings.
                check(span, f"{what} {key}", type(value)(tags[key]["value"]), value)
        return tags

    for span_id, span in sent.items():
        have = got[span_id]
        check(span, "name", have["operationName"], span["name"])
        check(span, "service", trace["processes"][have["processID"]]["serviceName"], span["service"])
        check(span, "start", have["startTime"], span["start"] // 1000)
        check(span, "duration", have["duration"], (span["end"] - span["start"]) // 1000)
        wanted = [("CHILD_OF", trace_id, span["parentSpanId"])] if span["parentSpanId"] else []
        for link in span["links"]:
            child_of = link["attributes"].get("opentracing.ref_type") == ["string", "child_of"]
            wanted.append(("CHILD_OF" if child_of else "FOLLOWS_FROM", link["traceId"], link["spanId"]))
        check(span, "references", [(r["refType"], r["traceID"], r["spanID"]) for r in have["references"]], wanted)
        failed = span["status"][0] == ERROR  # then the tag `error` is Jaeger's bool, beside an attribute of that name
        tags = check_tags(span, "tag", [t for t in have["tags"] if t["key"] != "error"],
                          {key: value for key, value in span["attributes"].items() if key != "error"})
        errors = [t["value"] for t in have["tags"] if t["key"] == "error"]
        check(span, "span.kind", tags.get("span.kind", {}).get("value", ""), KIND_NAMES[span["kind"]] if span["kind"] else "")
        check(span, "scope", tags.get("otel.scope.name", {}).get("value", ""), span["scope"])
        check(span, "error", True in errors, failed)
        if failed:
            check(span, "status message", tags.get("otel.status_description", {}).get("value", ""), span["status"][1])
        event_of = lambda log: next((f["value"] for f in log["fields"] if f["key"] == "event"), "")  # noqa: E731
        logs = sorted(((log["timestamp"], event_of(log), log) for log in have["logs"]), key=lambda log: log[:2])
        events = sorted(span["events"], key=lambda e: (e["time"] // 1000, e["name"]))
        check(span, "logs", [log[:2] for log in logs], [(e["time"] // 1000, e["name"]) for e in events])
        for (_, _, log), event in zip(logs, events):
            check_tags(span, f"log {event['name']}, field", log["fields"], event["attributes"])


# --- comparing with what a client is expected to send -------------------------------------------------------------


class Any:
    """Some value, of any content; with a pattern, one whose text it matches."""

    def __init__(self, pattern=""):
        self.pattern = pattern

    def __eq__(self, other):
        return re.search(self.pattern, str(other)) is not None

    def __repr__(self):
        return f"Any({self.pattern!r})"


def span(name, kind="internal", service=None, status=(0, ""), tags=None, events=(), links=(), children=()):
    """One span of an expected trace with its children in order of their start. `tags`: the attributes that must be there
    with these values (or Any); `events`: (name, {field: value}); `links`: (trace id, span id); without a service, its parent's."""
    return {"name": name, "kind": kind, "service": service, "status": list(status), "tags": tags or {}, "events": list(events),
            "links": list(links), "children": list(children)}


def expect_shape(expected, got, where):
    """The trace `got` is the tree `expected`, field by field, and nothing more."""
    children = {}
    for one in sorted(got, key=lambda s: (s["start"], -s["end"])):
        children.setdefault(one["parentSpanId"] if one["parentSpanId"] in {s["spanId"] for s in got} else "", []).append(one)

    def check(wanted, have, service):
        have = events_sorted(have)
        service = wanted["service"] or service
        what = f"{where}: span {wanted['name']!r}"
        values = {key: value for key, (_, value) in have["attributes"].items()}
        for key, value, want in (
                ("name", have["name"], wanted["name"]), ("kind", KIND_NAMES[have["kind"]], wanted["kind"]),
                ("service", have["service"], service), ("status", have["status"], wanted["status"]),
                ("events", [e["name"] for e in have["events"]], [name for name, _ in wanted["events"]]),
                ("links", [(link["traceId"], link["spanId"]) for link in have["links"]], wanted["links"])):
            expect(want == value, f"{what}: {key} is {value!r}, want {want!r}")
        for (_, fields), event in zip(wanted["events"], have["events"]):
            of = {key: value for key, (_, value) in event["attributes"].items()}
            for key, want in fields.items():
                expect(key in of and want == of[key], f"{what}: field {key} of event {event['name']!r} is {of.get(key)!r}, want {want!r}")
        for key, want in wanted["tags"].items():
            expect(key in values and want == values[key], f"{what}: tag {key} is {values.get(key)!r}, want {want!r}")
        below = children.get(have["spanId"], [])
        expect(len(below) == len(wanted["children"]),
               f"{what} has the children {[s['name'] for s in below]}, want {[s['name'] for s in wanted['children']]}")
        for one, other in zip(wanted["children"], below):
            check(one, other, service)

    roots = children.get("", [])
    expect(len(roots) == 1, f"{where}: the roots are {[s['name'] for s in roots]}, want {expected['name']!r} alone")
    check(expected, roots[0], None)
