# SPDX-License-Identifier: Apache-2.0
"""The same traces in a real Tempo and in a Tailgate with a store, and the same questions to both."""

import http.client
import json
import os
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
SPAN_KEYS = {"spanID", "name", "startTimeUnixNano", "durationNanos", "attributes"}
SET_KEYS = {"spans", "matched", "attributes"}
TRACE_KEYS = {"traceID", "rootServiceName", "rootTraceName", "startTimeUnixNano", "durationMs", "spanSets", "serviceStats"}
# Where another answer than that of Tempo 2.8 is right: docs/tempo.md.
DIFFERENT = {
    "{ span.foo = nil }": "2.8 has no '= nil'",
    '{ name > "P" }': "2.8 does not find the names that begin with the text",
    "{ status = error } !> { }": "2.8 leaves out traces without a span on the left side",
    "{ } | count() >= 1 | count() < 2": "2.8 lists a count twice",
    "{ } | by(1+span.http.status_code / 2) | count() > 1": "2.8 says false where there is no number",
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
    queries = [query for section in ("spans", "sets") for query, _ in cases(section)]
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
        expect(daemon.stop() == 0, "the daemon did not end with 0")
