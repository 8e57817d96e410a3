# SPDX-License-Identifier: Apache-2.0
"""What the page has to show: traces, hostile ones too, policies, and a daemon that has stored them."""

import json
import os
import secrets
import time
import urllib.parse
import urllib.request

from tailgate_process import basic_config, get, until

EVIL = "<script>window.hurt=1</script><img src=x onerror=\"window.hurt=1\">'\"&lt;"
EVIL_POLICY = "<script>window.hurt=1</script>"
POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 1500}},
    {"name": EVIL_POLICY, "type": "string_attribute", "string_attribute": {"key": "evil", "values": ["yes"]}},
    {"name": "tenth", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0.0001}},
]
SHADOW = [{"name": "slower", "type": "latency", "latency": {"threshold_ms": 5000}}]
MS = 1_000_000


# --- traces -------------------------------------------------------------------------------------------------------


def value(thing):
    return {"intValue": str(thing)} if isinstance(thing, int) else {"stringValue": thing}


def attributes(of):
    return [{"key": key, "value": value(one)} for key, one in of.items()]


def span(trace, number, parent, name, begin_ms, end_ms, now, error="", **more):
    out = {"traceId": trace, "spanId": f"{number:016x}", "name": name, "kind": 2, "startTimeUnixNano": str(now + begin_ms * MS),
           "endTimeUnixNano": str(now + end_ms * MS), "attributes": attributes(more.pop("has", {})), **more}
    if parent:
        out["parentSpanId"] = f"{parent:016x}"
    if error:
        out["status"] = {"code": 2, "message": error}
        out["events"] = [{"timeUnixNano": str(now + begin_ms * MS + 1000), "name": "exception", "attributes": attributes(
            {"exception.type": "CardDeclined", "exception.message": error})}]
    return out


def request(spans_of, resource=None, scope=None):
    """{service: spans} as OTLP."""
    return {"resourceSpans": [{"resource": {"attributes": attributes({"service.name": service, "deployment.environment": "prod",
                                                                      **(resource or {})})},
                               "scopeSpans": [{"scope": scope or {"name": "shop", "version": "1.2"}, "spans": spans}]}
                              for service, spans in spans_of.items()]}


def checkout(trace, now, linked, error="card declined"):
    """Eight spans of four services, of which the second database call is not on the critical path; a parent has not come."""
    return request({
        "frontend": [span(trace, 1, 0, "GET /checkout", 0, 1800, now, error and "500", has={
            "http.request.method": "GET", "http.response.status_code": 500 if error else 200, "url.path": "/checkout", "user.id": 4711,
            "server.address": "shop.example", "network.protocol.version": "1.1", "http.route": "/checkout", "client.address": "10.1.2.3",
            "user_agent.original": "Mozilla/5.0"})],
        "cart": [span(trace, 2, 1, "load cart", 20, 400, now, has={"cart.items": 3}),
                 span(trace, 3, 2, "SELECT carts", 30, 380, now, has={"db.system": "postgresql"}, kind=3)],
        "payment": [span(trace, 4, 1, "POST /charge", 420, 1750, now, error, links=[{"traceId": linked, "spanId": f"{1:016x}",
                                                                                   "attributes": attributes({"why": "retry of"})}]),
                    span(trace, 5, 4, "SELECT cards", 430, 600, now, has={"db.system": "postgresql"}, kind=3),
                    span(trace, 6, 4, "POST /v1/bank", 620, 1700, now, error)],
        "inventory": [span(trace, 7, 1, "reserve", 430, 700, now), span(trace, 8, 99, "audit", 500, 560, now)],
    })


def hostile(trace, now):
    """Markup in every field that is a text."""
    one = span(trace, 1, 0, EVIL, 0, 100, now, has={EVIL: EVIL, "evil": "yes"}, traceState=f"k={EVIL}", status={"code": 2, "message": EVIL},
               events=[{"timeUnixNano": str(now + MS), "name": EVIL, "attributes": attributes({EVIL: EVIL})}],
               links=[{"traceId": secrets.token_hex(16), "spanId": secrets.token_hex(8), "traceState": EVIL, "attributes": attributes({EVIL: EVIL})}])
    two = span(trace, 2, 1, EVIL, 10, 90, now)
    return request({EVIL: [one, two]}, resource={EVIL: EVIL}, scope={"name": EVIL, "version": EVIL, "attributes": attributes({EVIL: EVIL})})


def shared(trace, now):
    """As Zipkin's instrumentation sends it: the call and its handling have one id; the parent of the root is all zeros."""
    return request({
        "shop": [span(trace, 1, 0, "call the bank", 0, 100, now, parentSpanId="0" * 16, kind=3)],
        "bank": [span(trace, 1, 0, "take the call", 10, 90, now, parentSpanId="0" * 16, status={"code": 2},
                      events=[{"timeUnixNano": "0", "name": "without a time"}]),
                 span(trace, 2, 1, "INSERT", 20, 80, now, kind=1)],
    })


def quick(trace, now):
    return request({"quick": [span(trace, 1, 0, "GET /health", 0, 3, now)]})


def large(trace, now, size=10_000):
    """Six services, three children a span, an error here and there."""
    spans_of = {}
    for i in range(size):
        parent = (i - 1) // 3 + 1 if i else 0
        begin = i * 2000 // size
        spans_of.setdefault(f"service-{i % 6}", []).append(span(
            trace, i + 1, parent, f"operation {i % 37}", begin, 2000 if i == 0 else begin + 3 + i % 11, now,
            "failed" if i % 501 == 7 else "", has={"n": i, "http.route": f"/things/{i % 50}"}))
    return request(spans_of)


def send(port, otlp):
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", json.dumps(otlp).encode(),
                                                  {"content-type": "application/json"}), timeout=60).close()


class Site:
    """A daemon with a store, and the traces that it has."""

    def __init__(self, daemon, directory):
        self.daemon, self.directory, self.base = daemon, directory, f"http://127.0.0.1:{daemon.pages['web']}"
        self.checkout, self.hostile, self.dropped, self.large, self.linked, self.shared = (secrets.token_hex(16) for _ in range(6))
        now = time.time_ns() - 5_000 * MS
        self.begin_ms = now // MS
        send(daemon.http, checkout(self.linked, now - 60_000 * MS, self.checkout))
        send(daemon.http, checkout(self.checkout, now, self.linked))
        send(daemon.http, hostile(self.hostile, now))
        send(daemon.http, shared(self.shared, now))
        send(daemon.http, quick(self.dropped, now))
        send(daemon.http, large(self.large, now))
        for trace in (self.checkout, self.hostile, self.large, self.shared):
            until(lambda: get(daemon.pages["web"], f"/api/trace/{trace}/otlp")[0] == 200, f"trace {trace} is stored", 60, 0.2)
        until(lambda: json.loads(get(daemon.pages["web"], f"/explain/{self.dropped}")[1]).get("verdict") == "not_sampled", "the other is not", 60)

    def at(self, path, **parameters):
        return self.base + path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")


def config(directory):
    exporters = {"store": {"directory": os.path.join(directory, "store")}, "otlp/away": {
        "endpoint": "127.0.0.1:1", "tls": {"insecure": True}, "policies": ["slow"], "retry_on_failure": {"initial_interval": "100ms"}}}
    out = basic_config(POLICIES, exporters, decision_wait="3s",
                       decision_wait_after_root_received="500ms")
    out["sampling"]["shadow_policies"] = SHADOW
    out["service_graph"] = {"store": {"ttl": "1s"}}
    return out
