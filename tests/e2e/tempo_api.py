# SPDX-License-Identifier: Apache-2.0
"""The same traces in a real Tempo and in a Tailgate with a store, and the same questions to both."""

import http.client
import json
import os
import re
import time
import urllib.parse
import urllib.request

from servers import Tempo
from tailgate_process import Daemon, basic_config, expect, until
from tools import say

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
ALL = [{"name": "all", "type": "always_sample"}]
START_NS = 1_700_000_000_000_000_000  # of the traces of query_fixture.h
TIMES = ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano")
# What Grafana's query builder and its Traces Drilldown ask, and answers with everything.
MORE = [
    '{resource.service.name="payment" && duration>50ms && (span.db.system="redis" || span.db.system="postgresql")}',
    "({nestedSetParent<0 && true} &>> {status=error}) || ({nestedSetParent<0}) "
    "| select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)",
    "{nestedSetParent<0 && true && status = error} | select(resource.service.name, event.exception.message, event.exception.type)",
    '{ name="POST /pay" } | select(span.peer.service, event.exception.message, link.why, span:id, duration, kind)',
    '{ event:name = "exception" && instrumentation:name="grpc" && span:parentID != "" && trace:duration > 1s }',
    "{ } | select(nestedSetLeft, nestedSetRight, nestedSetParent, statusMessage, span.ratio, span.hit) with(most_recent=true)",
]
SPAN_KEYS = {"spanID", "name", "startTimeUnixNano", "durationNanos", "attributes"}
SET_KEYS = {"spans", "matched", "attributes"}
TRACE_KEYS = {"traceID", "rootServiceName", "rootTraceName", "startTimeUnixNano", "durationMs", "spanSets", "serviceStats"}
# Where another answer than that of Tempo 2.8 is right: docs/query/tempo.md.
DIFFERENT = {
    "{ span.foo = nil }": "2.8 has no '= nil'",
    '{ name > "P" }': "2.8 does not find the names that begin with the text",
    "{ status = error } !> { }": "2.8 leaves out traces without a span on the left side",
    "{ } | count() >= 1 | count() < 2": "2.8 lists a count twice",
    "{ } | by(1+span.http.status_code / 2) | count() > 1": "2.8 says false where there is no number",
}
DIFFERENT_LISTS = {
    r"all tags|(tags|older list) of intrinsic": "2.8 does not list ids and links",
    r"values of (event:timeSinceStart|trace:duration)\b.*": "2.8 lists each duration there is, unlike `duration`",
    r'values of span."my attr".*': "2.8 does not read quotes there",
    r"values of \.\S+ in .*": "2.8 does not filter without a scope",
    r"values of resource.deployment.environment in { resource.*": "2.8 finds none, the traces have one",
    r"values of span.tags in { resource.*": "2.8 lists the last element of an array alone",
    r"older values of service.name": "2.8 knows no attribute of a span under this name",
    r"older values of status": "2.8 has none",
}
METRIC_KEYS = {"inspectedTraces", "inspectedBytes", "totalBlocks", "completedJobs", "totalJobs", "totalBlockBytes", "inspectedSpans"}


def cases(section):
    """[(query, answer)] of a section of traceql_cases.txt."""
    out, inside = [], False
    with open(os.path.join(SUPPORT, "traceql_cases.txt")) as lines:
        for line in lines:
            query, tab, answer = line.rstrip("\n").partition("\t")
            if tab and inside:
                out.append((query, answer))
            elif not tab and line.startswith("["):
                inside = line.strip() == f"[{section}]"
    expect(len(out) > 10, f"want more than 10 queries in [{section}], got {len(out)}")
    return out


def fixture(begin_ns):
    """The three traces, the first of which begins then."""
    def moved(value):
        if isinstance(value, dict):
            return {k: str(int(v) - START_NS + begin_ns) if k in TIMES else moved(v) for k, v in value.items()}
        return [moved(one) for one in value] if isinstance(value, list) else value

    with open(os.path.join(SUPPORT, "query_fixture.json")) as text:
        return moved(json.load(text))


class Api:
    """Tempo's HTTP API at a port, below a path."""

    def __init__(self, name, port, path=""):
        self.name, self.port, self.path = name, port, path

    def get(self, path, accept="application/json", **parameters):
        """(status, bytes)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
            connection.request("GET", self.path + path + query, headers={"Accept": accept})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path, **parameters):
        status, body = self.get(path, **parameters)
        expect(status == 200, f"{self.name} says {status} to {path} {parameters}: {body[:500]}")
        return json.loads(body)


def attributes_of(thing):
    return {one["key"]: one["value"] for one in thing.get("attributes", [])}


def found_by(answer):
    """{trace id: its metadata, and its sets: [(attributes, matched, {span id: (name, start, duration, attributes)})]}"""
    out = {}
    for trace in answer.get("traces", []):
        sets = [(sorted((one["key"], json.dumps(one["value"])) for one in group.get("attributes", [])), group["matched"],
                 {span["spanID"]: (span.get("name", ""), span.get("startTimeUnixNano"), span.get("durationNanos"), attributes_of(span))
                  for span in group["spans"]}) for group in trace.get("spanSets", [])]
        meta = {key: trace.get(key) for key in TRACE_KEYS - {"spanSets", "traceID"}}
        out[trace["traceID"]] = meta, sorted(sets, key=lambda one: (one[0], sorted(one[2])))
    return out


def same_value(wanted, have):
    """Tempo 2.8 shows of an array the element that met the condition."""
    return wanted == have or wanted in have.get("arrayValue", {}).get("values", [])


def same_span(wanted, have):
    """Tempo shows an attribute where its own condition is met, Tailgate wherever the query uses it; the name likewise."""
    return (wanted[1:3] == have[1:3] and wanted[0] in ("", have[0]) and
            all(key in have[3] and same_value(value, have[3][key]) for key, value in wanted[3].items()))


def same(wanted, have):
    if wanted.keys() != have.keys():
        return False
    for trace_id, (meta, sets) in wanted.items():
        others = have[trace_id][1]
        if meta != have[trace_id][0] or [one[:2] for one in sets] != [one[:2] for one in others]:
            return False
        for (_, _, spans), (_, _, ours) in zip(sets, others):
            if spans.keys() != ours.keys() or not all(same_span(span, ours[i]) for i, span in spans.items()):
                return False
    return True


def expect_known_keys(answer, where):
    """Grafana takes no key that Tempo does not have."""
    def keys(thing, known):
        expect(set(thing) <= known, f"{where}: unknown keys {set(thing) - known}")

    keys(answer, {"traces", "metrics"})
    keys(answer["metrics"], METRIC_KEYS)
    for trace in answer["traces"]:
        keys(trace, TRACE_KEYS)
        for stats in trace["serviceStats"].values():
            keys(stats, {"spanCount", "errorCount"})
        for one in trace.get("spanSets", []):
            keys(one, SET_KEYS)
            for span in one["spans"]:
                keys(span, SPAN_KEYS)


def send(port, otlp):
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", json.dumps(otlp).encode(),
                                                  {"Content-Type": "application/json"}), timeout=30).close()


def compare_searches(theirs, ours, window):
    different = []
    queries = [query for section in ("spans", "sets") for query, _ in cases(section)] + MORE
    for query in queries:
        asked = {"q": query, "limit": 20, "spss": 100, **window}
        answer = ours.json("/api/search", **asked)
        expect_known_keys(answer, query)
        status, body = theirs.get("/api/search", **asked)
        wanted, have = found_by(json.loads(body)) if status == 200 else {}, found_by(answer)
        if same(wanted, have) == (query in DIFFERENT):
            different.append(query)
            say(f"  {query}\n    Tempo    {status} {wanted}\n    Tailgate {have}")
    expect(not different, f"{len(different)} of {len(queries)} queries have another answer than Tempo's, or now the same: {different}")
    errors = cases("errors")
    for query, _ in errors:
        for api in (theirs, ours):
            status, body = api.get("/api/search", q=query, **window)
            expect(status == 400 and body.startswith(b"invalid TraceQL query: "), f"{api.name} says {status} to {query}: {body[:300]}")
    say(f"  {len(queries)} queries have Tempo's answer, but for {len(DIFFERENT)} that are known; {len(errors)} are errors to both")


def compare_parameters(theirs, ours, window, begin):
    """The same traces by the other parameters, and the same refused. `begin`: when the traces begin, in s."""
    def metadata(api, **asked):
        return sorted((one["traceID"], one.get("rootServiceName"), one.get("durationMs"), [group["matched"] for group in one.get("spanSets", [])],
                       [len(group["spans"]) for group in one.get("spanSets", [])])
                      for one in api.json("/api/search", **asked).get("traces", []))

    for asked in ({"tags": "service.name=payment"}, {"tags": "service.name=frontend db.system=redis"}, {"tags": "name=job"},
                  {"tags": "service.name=worker", "minDuration": "1s"}, {"minDuration": "1s"}, {"minDuration": "1s", "maxDuration": "2s"},
                  {"maxDuration": "20ms"}, {"q": "{}"}, {"q": "{}", "spss": 1}, {}):
        wanted, have = (metadata(api, **{**window, **asked}) for api in (theirs, ours))
        expect(wanted == have, f"{asked}:\n  Tempo    {wanted}\n  Tailgate {have}")
    for start, end in ((2, 4), (-5, -1), (6, 9), (-5, 1), (4, 20)):
        asked = {"q": "{}", "start": begin + start, "end": begin + end}
        wanted, have = (metadata(api, **asked) for api in (theirs, ours))
        expect(wanted == have, f"from {start} s to {end} s:\n  Tempo    {wanted}\n  Tailgate {have}")
    for api in (theirs, ours):
        expect(len(metadata(api, q="{}", limit=2, **window)) == 2, f"{api.name} takes limit=2 for another number")
        for asked in ({"limit": 0}, {"limit": "x"}, {"spss": 101}, {"spss": -1}, {"start": begin}, {"start": begin, "end": begin},
                      {"start": begin, "end": begin - 1}, {"q": "{}", "tags": "a=b"}, {"minDuration": "x"}, {"maxDuration": "1"},
                      {"minDuration": "2s", "maxDuration": "1s"}, {"tags": "a=\"b"}):
            status, body = api.get("/api/search", **{**({} if "start" in asked else window), **asked})
            expect(status == 400, f"{api.name} says {status} to {asked}: {body[:300]}")
    say("  the other parameters find the same traces, and the wrong ones are errors to both")


# The messages that are inside a message, by field; what is not here is a number, a text or bytes.
MESSAGES = {
    "response": {1: "trace", 2: "metrics"}, "trace": {1: "resource_spans"}, "resource_spans": {1: "resource", 2: "scope_spans"},
    "scope_spans": {1: "scope", 2: "span"}, "resource": {1: "key_value"}, "scope": {3: "key_value"},
    "span": {9: "key_value", 11: "event", 13: "link", 15: "status"}, "event": {3: "key_value"}, "link": {4: "key_value"},
    "key_value": {2: "any_value"}, "any_value": {5: "array", 6: "map"}, "array": {1: "any_value"}, "map": {1: "key_value"},
}


def fields_of(body, message):
    """The fields of protobuf as a sorted list of (number, content): the order of spans and attributes does not count."""
    out, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value |= (body[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if body[at - 1] < 0x80:
                return value

    while at < len(body):
        tag = varint()
        number, kind = tag >> 3, tag & 7
        expect(kind in (0, 1, 2, 5), f"wire type {kind} in {message}")
        if kind == 0:
            out.append((number, varint()))
            continue
        size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        expect(at + size <= len(body), f"field {number} of {message} is cut")
        inner = MESSAGES.get(message, {}).get(number) if kind == 2 else None
        out.append((number, fields_of(body[at:at + size], inner) if inner else body[at:at + size]))
        at += size
    return sorted(out, key=repr)


def compare_traces(theirs, ours):
    """By id in protobuf and JSON. Neither order nor numbers of inspected bytes count."""
    for n in (1, 2, 3):
        for trace_id in (f"a{n:031x}", f"A{n:031X}"):
            for path, message in (("/api/traces/", "trace"), ("/api/v2/traces/", "response")):
                have = []
                for api in (theirs, ours):
                    status, body = api.get(path + trace_id, accept="application/protobuf")
                    expect(status == 200, f"{api.name} says {status} to {path}{trace_id}")
                    have.append([one for one in fields_of(body, message) if message == "trace" or one[0] == 1])
                expect(have[0] == have[1], f"{path}{trace_id}:\n  Tempo    {have[0]}\n  Tailgate {have[1]}")
                wanted, got = (sorted_json(api.json(path + trace_id)) for api in (theirs, ours))
                if message == "response":
                    wanted["metrics"] = got["metrics"]
                expect(wanted == got, f"{path}{trace_id}:\n  Tempo    {wanted}\n  Tailgate {got}")
    for path, statuses in (("/api/traces/" + "b" * 32, (404,)), ("/api/v2/traces/" + "b" * 32, (200, 404)), ("/api/traces/xyz", (400,)),
                           ("/api/v2/traces/" + "1" * 33, (400,))):
        for api in (theirs, ours):
            for accept in ("application/protobuf", "application/json"):
                status, body = api.get(path, accept=accept)
                expect(status in statuses, f"{api.name} says {status} to {path}: {body[:300]}")
    say("  three traces are the same by both routes, in protobuf and in JSON")


def sorted_json(value):
    """The order of lists does not count."""
    if isinstance(value, dict):
        return {key: sorted_json(one) for key, one in value.items()}
    return sorted((sorted_json(one) for one in value), key=repr) if isinstance(value, list) else value


def scopes_of(api, **parameters):
    return {one["name"]: sorted(one["tags"]) for one in api.json("/api/v2/search/tags", **parameters)["scopes"]}


def values_of(api, tag, **parameters):
    """But for the empty text, which Tempo lists among the values of some intrinsics."""
    found = api.json(f"/api/v2/search/tag/{urllib.parse.quote(tag, safe='')}/values", **parameters)
    return sorted((one["type"], one["value"]) for one in found.get("tagValues", []) if one.get("value"))


def compare_tags(theirs, ours, window):
    """What Grafana completes a query with."""
    have = scopes_of(ours)
    wrong, known = [], set()

    def compare(what, ask):
        wanted, got = ask(theirs), ask(ours)
        if wanted == got:
            return
        reasons = {one for one in DIFFERENT_LISTS if re.fullmatch(one, what)}
        known.update(reasons)
        if not reasons:
            wrong.append(f"{what}:\n    Tempo    {wanted}\n    Tailgate {got}")

    compare("all tags", lambda api: scopes_of(api, **window))
    for scope in ("resource", "span", "event", "link", "instrumentation", "intrinsic"):
        compare(f"tags of {scope}", lambda api: scopes_of(api, scope=scope, **window))
        compare(f"older list of {scope}", lambda api: sorted(api.json("/api/search/tags", scope=scope, **window).get("tagNames", [])))
    compare("older list", lambda api: sorted(api.json("/api/search/tags", **window).get("tagNames", [])))
    tags = [tag for scope, names in have.items() for tag in names if scope == "intrinsic"]
    for scope, names in have.items():
        if scope != "intrinsic":
            tags += [f'{scope}."{name}"' if " " in name else f"{scope}.{name}" for name in names]
    tags += [".service.name", ".http.status_code", "span.nobody.has.it", "resource.undefined"]
    for tag in tags:
        compare(f"values of {tag}", lambda api: values_of(api, tag, **window))
        for query in ('{ resource.service.name = "payment" }', "{ status = error && name = }", "{}", "{ status = "):
            compare(f"values of {tag} in {query}", lambda api: values_of(api, tag, q=query, **window))
    for tag in ("service.name", "http.status_code", "status", "name", "nobody.has.it"):
        compare(f"older values of {tag}", lambda api: sorted(api.json(f"/api/search/tag/{tag}/values", **window).get("tagValues", [])))
    for one in wrong:
        say(f"  {one}")
    expect(not wrong, f"{len(wrong)} lists differ from Tempo's")
    expect(known == set(DIFFERENT_LISTS), f"these lists do not differ any more: {set(DIFFERENT_LISTS) - known}")
    say(f"  {len(tags)} tags and their values are those of Tempo")


def test_tempo_api(tools, binary, directory):
    store = {"store": {"directory": os.path.join(directory, "store")}}
    config = basic_config(ALL, store, decision_wait="1s")
    with Tempo(tools, directory) as tempo, Daemon(binary, directory, config) as daemon:
        theirs, ours = Api("Tempo", tempo.port), Api("Tailgate", daemon.pages["web"], "/tempo")
        now = int(time.time())
        otlp = fixture((now - 10) * 1_000_000_000)
        for port in (tempo.http, daemon.http):
            send(port, otlp)
        window = {"start": now - 600, "end": now + 600}
        for api in (theirs, ours):
            until(lambda: len(api.json("/api/search", q="{}", **window).get("traces", [])) == 3, f"three traces in {api.name}", 60, 0.2)
        compare_searches(theirs, ours, window)
        compare_parameters(theirs, ours, window, now - 10)
        compare_traces(theirs, ours)
        compare_tags(theirs, ours, window)
        expect(daemon.stop() == 0, "the daemon did not end with 0")
