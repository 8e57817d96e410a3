# SPDX-License-Identifier: Apache-2.0
"""A real Jaeger, query only, whose storage is a Tailgate's `web` endpoint: each of its routes, against what was sent."""

import base64
import json
import os
import time
import urllib.parse
import urllib.request

from certificates import Authority
from jaeger import QueryOnlyJaeger
from spans import expect_same, spans_of_otlp
from tailgate_process import Daemon, basic_config, expect, get, until
from tools import say

ALL = [{"name": "all", "type": "always_sample"}]
MS = 1_000_000
SHOP, BILLING, BULK, SHARED, HUGE = ("5a" * 16, "0" * 16 + "00000000000000b1", "b0" * 16, "5c" * 16, "60" * 16)
BULK_SPANS = 10_008


def value(content):
    if isinstance(content, bool):
        return {"boolValue": content}
    if isinstance(content, int):
        return {"intValue": str(content)}
    if isinstance(content, float):
        return {"doubleValue": content}
    if isinstance(content, bytes):
        return {"bytesValue": base64.b64encode(content).decode()}
    if isinstance(content, list):
        return {"arrayValue": {"values": [value(one) for one in content]}}
    if isinstance(content, dict):
        return {"kvlistValue": {"values": attributes(content)}}
    return {"stringValue": content}


def attributes(content):
    return [{"key": key, "value": value(one)} for key, one in content.items()]


def span(trace_id, number, parent, name, kind, start, duration, status=None, tags=None, **more):
    out = {"traceId": trace_id, "spanId": f"{number:016x}", "name": name, "kind": kind, "startTimeUnixNano": str(start),
           "endTimeUnixNano": str(start + duration), "attributes": attributes(tags or {}), "status": status or {}, **more}
    if parent:
        out["parentSpanId"] = f"{parent:016x}"
    return out


def resource(service, spans, tags=None, scope=None):
    return {"resource": {"attributes": attributes({"service.name": service, **(tags or {})})},
            "scopeSpans": [{"scope": scope or {}, "spans": spans}]}


def traces(now):
    """Five traces: one with everything, one with a short id, one larger than a message, one with equal span ids, and one
    with a span larger than a message."""
    rich = {"text": "plain \u00e9\u4e2d", "truth": True, "whole": 42, "large": 2**60, "minus": -(2**60), "real": 2.5, "bytes": b"\x00\xff\x10",
            "list": ["a", 1], "map": {"k": "v", "a": 1}, "http.status_code": 500}
    shop = [
        resource("shop", [
            span(SHOP, 1, 0, "GET /cart", 2, now, 900 * MS, {"code": 1}, {"http.method": "GET"}, traceState="a=1"),
            span(SHOP, 2, 1, "POST /pay", 3, now + 10 * MS, 700 * MS, {"code": 2, "message": "declined"}, rich,
                 links=[{"traceId": BILLING, "spanId": f"{0xb:016x}", "attributes": attributes({"why": "retry"})},
                        {"traceId": SHOP, "spanId": f"{1:016x}", "attributes": attributes({"opentracing.ref_type": "child_of"})}]),
        ], {"host.name": "web-1", "cpus": 4}, {"name": "http", "version": "1.2"}),
        resource("payment", [
            span(SHOP, 3, 2, "POST /pay", 2, now + 20 * MS, 600 * MS, {"code": 2}, {"db.system": "mysql"},
                 events=[{"timeUnixNano": str(now + 30 * MS), "name": "exception", "attributes": attributes({"exception.message": "no"})},
                         {"timeUnixNano": str(now + 40 * MS), "name": "retry", "attributes": attributes({"event": "again", "n": 2})}]),
            span(SHOP, 4, 3, "charge", 1, now + 30 * MS, 100 * MS),
            span(SHOP, 5, 3, "publish", 4, now + 30 * MS, 50 * MS),
            span(SHOP, 6, 5, "take", 5, now + 80 * MS, 50 * MS),
        ]),
    ]
    billing = [resource("billing", [span(BILLING, 0xb, 0, "invoice", 0, now - 60_000 * MS, 5_000 * MS, None, {"customer": "c1"})])]
    filler = "x" * 400
    bulk = [resource("bulk", [span(BULK, n, 1 if n > 1 else 0, f"step {n % 7}", 1, now - 120_000 * MS + n * 1000, 500 * MS, None,
                                   {"filler": filler}) for n in range(1, BULK_SPANS + 1)])]
    shared = [resource("caller", [span(SHARED, 1, 0, "root", 2, now - 30_000 * MS, 80 * MS), span(SHARED, 2, 1, "call", 3, now - 30_000 * MS, 60 * MS)]),
              resource("callee", [span(SHARED, 2, 1, "call", 2, now - 29_990 * MS, 40 * MS)])]
    huge = [resource("huge", [span(HUGE, 1, 0, "root", 2, now - 90_000 * MS, 10 * MS, None, {"small": "yes"}),
                              span(HUGE, 2, 1, "upload", 1, now - 90_000 * MS, 5 * MS, {"code": 2}, {"body": "y" * 5_000_000})])]
    return {SHOP: shop, BILLING: billing, BULK: bulk, SHARED: shared, HUGE: huge}


class Asked:
    """A Jaeger's query API, or Tailgate's imitation of it."""

    def __init__(self, port, prefix=""):
        self.port, self.prefix = port, prefix

    def get(self, path, expected=200, **parameters):
        query = "?" + urllib.parse.urlencode(parameters, doseq=True) if parameters else ""
        status, body = get(self.port, self.prefix + path + query, 60)
        expect(status == expected, f"{self.prefix}{path}{query} says {status}: {body[:500]}")
        return json.loads(body)

    def found(self, **parameters):
        """The ids of the traces that a v1 search finds, in their order."""
        return [trace["traceID"] for trace in self.get("/api/traces", **parameters)["data"]]

    def found_v3(self, expected=200, **parameters):
        answer = self.get("/api/v3/traces", expected, **{f"query.{key}": one for key, one in parameters.items()})
        return set(spans_of_otlp(answer["result"])) if expected == 200 else answer


def short(trace_id):
    """As Jaeger's own model writes an id."""
    return trace_id.removeprefix("0" * 16)


def rfc3339(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns % 10**9:09}Z"


def check_lists(api):
    services = ["billing", "bulk", "callee", "caller", "huge", "payment", "shop"]
    expect(sorted(api.get("/api/services")["data"]) == services, "other services")
    expect(sorted(api.get("/api/v3/services")["services"]) == services, "other services in v3")
    expect(sorted(api.get("/api/services/shop/operations")["data"]) == ["GET /cart", "POST /pay"], "other operations")
    kinds = {(one["name"], one["spanKind"]) for one in api.get("/api/operations", service="payment")["data"]}
    expect(kinds == {("POST /pay", "server"), ("charge", "internal"), ("publish", "producer"), ("take", "consumer")}, f"got {kinds}")
    kinds = {(one["name"], one["spanKind"]) for one in api.get("/api/operations", service="payment", spanKind="server")["data"]}
    expect(kinds == {("POST /pay", "server")}, f"of one kind, got {kinds}")
    kinds = {(one["name"], one["spanKind"]) for one in api.get("/api/v3/operations", service="shop")["operations"]}
    expect(kinds == {("GET /cart", "server"), ("POST /pay", "client")}, f"in v3, got {kinds}")


def check_searches(api, now):
    window = {"start": (now - 600_000 * MS) // 1000, "end": (now + 60_000 * MS) // 1000}
    shop, billing, shared = short(SHOP), short(BILLING), short(SHARED)
    for wanted, parameters in (
            ([shop], {"service": "shop"}), ([shop], {"service": "payment"}), ([billing], {"service": "billing"}),
            ([shop], {"service": "shop", "operation": "GET /cart"}), ([], {"service": "shop", "operation": "get /cart"}),
            ([shop], {"service": "shop", "tag": "http.status_code:500"}), ([], {"service": "shop", "tag": "http.status_code:501"}),
            ([], {"service": "payment", "tag": "http.status_code:500"}),  # it is on a span of the other service
            ([shop], {"service": "shop", "tags": json.dumps({"whole": "42", "truth": "true", "real": "2.5"})}),
            ([shop], {"service": "shop", "tags": json.dumps({"host.name": "web-1"})}),
            ([shop], {"service": "payment", "tags": json.dumps({"exception.message": "no"})}),
            ([shop], {"service": "shop", "tags": json.dumps({"error": "true"})}), ([], {"service": "billing", "tags": json.dumps({"error": "true"})}),
            ([billing], {"service": "billing", "tags": json.dumps({"error": "false"})}),
            ([shop], {"service": "shop", "tags": json.dumps({"span.kind": "client"})}),
            ([], {"service": "billing", "tags": json.dumps({"span.kind": "client"})}),
            ([shop], {"service": "shop", "minDuration": "800ms"}), ([], {"service": "shop", "minDuration": "901ms"}),
            ([shop], {"service": "shop", "maxDuration": "800ms"}), ([], {"service": "shop", "maxDuration": "699ms"}),
            ([billing], {"service": "billing", "minDuration": "4.9s", "maxDuration": "5.1s"}),
            ([shared], {"service": "caller"}), ([], {"service": "nobody"}),
            ([shop], {"service": "shop", "limit": 1})):
        got = api.found(**{**window, **parameters})
        expect(got == wanted, f"{parameters}: found {got}, want {wanted}")
    expect(api.found(service="billing", start=(now - 59_000 * MS) // 1000, end=window["end"]) == [], "a span that began before the window")
    expect(api.found(service="shop", start=(now - 1_000 * MS) // 1000, end=now // 1000) == [shop], "the end of the window is in")
    times = {"start_time_min": rfc3339(now - 600_000 * MS), "start_time_max": rfc3339(now + 60_000 * MS)}
    expect(api.found_v3(service_name="shop", **times) == {SHOP}, "v3 search by service")
    expect(api.found_v3(service_name="billing", operation_name="invoice", duration_min="4s", num_traces=5, **times) == {BILLING}, "v3 search")
    answer = api.found_v3(404, service_name="nobody", **times)
    expect(answer["error"]["httpCode"] == 404, f"v3 without a result says {answer}")


def typed_once(spans):
    """Spans by (id, kind): two may share an id."""
    return {(s["spanId"], s["kind"]): s for s in spans}


def check_traces(api, sent):
    def v3(trace_id):
        answer = api.get(f"/api/v3/traces/{trace_id}", raw_traces="true")
        spans = spans_of_otlp(answer["result"])[trace_id]
        for one in spans:
            one["attributes"].pop("@jaeger@warnings", None)
        return spans

    for trace_id in (SHOP, BILLING, BULK):
        expect_same(trace_id, spans_of_otlp({"resourceSpans": sent[trace_id]})[trace_id], v3(trace_id), "/api/v3/traces", True)
    expect(len(v3(BULK)) == BULK_SPANS, "the large trace is not whole")
    want = typed_once(spans_of_otlp({"resourceSpans": sent[SHARED]})[SHARED])
    have = typed_once(v3(SHARED))
    expect(len(v3(SHARED)) == 3 and have.keys() == want.keys(), f"of spans with one id there are {have.keys()}")
    huge = {one["name"]: one for one in v3(HUGE)}
    if api.prefix:
        expect(len(huge["upload"]["attributes"]["body"][1]) == 5_000_000, "the large span is whole over HTTP")
    else:
        expect("too large" in huge["upload"]["attributes"]["tailgate.span_cut"][1], "the large span says why it is cut")
        expect(huge["upload"]["status"] == [2, ""] and huge["upload"]["parentSpanId"] == f"{1:016x}", "the large span has its place")
    expect(huge["root"]["attributes"] == {"small": ["string", "yes"]}, "the small span beside it")
    for wanted in (SHOP, short(BILLING), BILLING.upper()):
        expect(api.get(f"/api/traces/{wanted}")["data"][0]["traceID"] == short(wanted.lower()), f"by the id {wanted}")
    missing = api.get("/api/traces/" + "f" * 32, 404)
    expect(missing["data"] is None and missing["errors"][0] == {"code": 404, "msg": "trace not found"}, f"not found says {missing}")
    expect(api.get("/api/v3/traces/" + "f" * 32, 404)["error"]["httpCode"] == 404, "not found in v3")
    bad = api.get("/api/traces/xyz", 400)
    expect(bad["errors"][0]["code"] == 400, f"a bad id says {bad}")
    both = api.get("/api/traces", traceID=[SHOP, "f" * 32, short(BILLING)])
    expect(sorted(one["traceID"] for one in both["data"]) == sorted([short(SHOP), short(BILLING)]), "traces by several ids")
    expect([one["traceID"] for one in both["errors"]] == ["f" * 32], f"the id that is not there: {both['errors']}")


def check_dependencies(api, now):
    answer = api.get("/api/dependencies", endTs=(now + 3_600_000 * MS) // MS, lookback=7 * 24 * 3600 * 1000)
    got = {(one["parent"], one["child"]): one["callCount"] for one in answer["data"]}
    want = {("shop", "shop"): 1, ("shop", "payment"): 1, ("payment", "payment"): 3, ("bulk", "bulk"): BULK_SPANS - 1,
            ("caller", "caller"): 1, ("caller", "callee"): 1, ("huge", "huge"): 1}
    expect(got == want, f"dependencies are {got}, want {want}")


def check_all(api, sent, now):
    check_lists(api)
    check_searches(api, now)
    check_traces(api, sent)
    check_dependencies(api, now)


def comparable(trace):
    """Whatever the order of keys, of spans and of the names of processes."""
    processes = {key: json.dumps(one, sort_keys=True) for key, one in trace["processes"].items()}
    spans = [{**one, "processID": processes[one["processID"]]} for one in trace["spans"]]
    return {**trace, "spans": sorted(spans, key=lambda one: json.dumps(one, sort_keys=True)), "processes": sorted(processes.values())}


def check_same_json(ours, theirs):
    """/api/traces/{id}: byte for byte what Jaeger says of the same trace when it does not adjust it."""
    for trace_id in (SHOP, BILLING, BULK, SHARED):
        mine, real = (comparable(api.get(f"/api/traces/{trace_id}", raw="true")["data"][0]) for api in (ours, theirs))
        expect(len(mine["spans"]) == len(real["spans"]), f"{len(mine['spans'])} spans, Jaeger has {len(real['spans'])}")
        for one, other in zip(mine["spans"], real["spans"]):
            for key in one.keys() | other.keys():
                expect(one.get(key) == other.get(key), f"{key} of {one['operationName']!r} is {one.get(key)!r}, Jaeger says {other.get(key)!r}")
        expect(mine == real, f"trace {trace_id} differs from Jaeger's")
        lists = [{key: one for key, one in api.get("/api/traces/" + trace_id).items() if key != "data"} for api in (ours, theirs)]
        expect(lists[0] == lists[1], f"the envelopes differ: {lists}")


def in_order(answer):
    """Whatever the order of lists."""
    if isinstance(answer, dict):
        return {key: in_order(one) for key, one in answer.items()}
    return sorted((in_order(one) for one in answer), key=json.dumps) if isinstance(answer, list) else answer


def check_same_lists(ours, theirs, now):
    window = f"endTs={now // MS + 3_600_000}&lookback=604800000"
    for path in ("/api/services", "/api/services/shop/operations", "/api/operations?service=payment", f"/api/dependencies?{window}",
                 "/api/v3/services", "/api/v3/operations?service=payment"):
        mine, real = (in_order(api.get(path)) for api in (ours, theirs))
        expect(mine == real, f"{path} says {mine}, Jaeger's {real}")


def send(daemon, batches):
    for batch in batches:
        request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", json.dumps({"resourceSpans": batch}).encode(),
                                         {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).close()


def test_jaeger_storage(tools, binary, directory):
    now = time.time_ns() // 1000 * 1000
    sent = traces(now)
    config = basic_config(ALL, {"store": {"directory": f"{directory}/store"}}, decision_wait="1s")
    with Daemon(binary, directory, config) as daemon, QueryOnlyJaeger(tools.jaeger(), directory, daemon.pages["web"]) as jaeger:
        api = Asked(jaeger.query)
        expect(api.get("/api/services")["data"] in ([], None), "services before any came")
        send(daemon, sent.values())
        until(lambda: len(api.get("/api/services")["data"] or []) == 7, "all is stored")
        check_all(api, sent, now)
        ours = Asked(daemon.pages["web"], "/jaeger")
        check_all(ours, sent, now)
        check_same_json(ours, api)
        check_same_lists(ours, api, now)
        expect(daemon.metrics().sum("tailgate_queries_total", result="failed") == 0, "a query failed")
    say(f"  a query-only Jaeger over the store: {len(sent)} traces by every route, one of {BULK_SPANS} spans")


def test_jaeger_storage_tls(tools, binary, directory):
    """With TLS and credentials, as for every page: without them the Jaeger's user is told what is wrong."""
    trusted, token = Authority(tools, directory), "a-token-of-the-jaeger-0123456789"
    with open(os.path.join(directory, "tokens"), "w") as out:
        out.write(f"jaeger: {token}\n")
    config = basic_config(ALL, {"store": {"directory": f"{directory}/store"}}, decision_wait="1s")
    config["web"].update({"tls": dict(zip(("cert_file", "key_file"), trusted.issue("server"))),
                          "auth": {"bearer_tokens_file": os.path.join(directory, "tokens")}})
    storage = "extensions::jaeger_storage::backends::tailgate::grpc"
    tls = [f"{storage}::tls::insecure=false", f"{storage}::tls::ca_file={trusted.ca}"]
    with Daemon(binary, directory, config) as daemon:
        send(daemon, [traces(time.time_ns())[BILLING]])
        for name, sets, said in (("plain", [], "unavailable"), ("no-token", tls, "unauthenticated"),
                                 ("token", [*tls, f"{storage}::headers::authorization=Bearer {token}"], None)):
            with QueryOnlyJaeger(tools.jaeger(), directory, daemon.pages["web"], name, sets) as jaeger:
                api = Asked(jaeger.query)
                if said is None:
                    until(lambda: api.get("/api/services")["data"] == ["billing"], "the service is listed")
                    expect(api.found(service="billing") == [short(BILLING)], "the trace is found")
                else:
                    answer = json.dumps(api.get("/api/services", 500)).lower()
                    expect(said in answer, f"{name}: the error is {answer}")
    say("  over TLS with a token; without one, and without TLS, the error says so")
