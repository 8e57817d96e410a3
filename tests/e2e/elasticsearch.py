# SPDX-License-Identifier: Apache-2.0
"""The elasticsearch exporter: config/to-elasticsearch.yaml, a real OpenSearch or Elasticsearch, and a real Jaeger over the same indices."""

import http.client
import http.server
import json
import os
import threading
import urllib.parse

from backends import Elasticsearch, OpenSearch, free_ports
from harness import QUICK, otlp_exporter, settled, shipped
from jaeger import Jaeger
from sdk import POLICIES, clients
from spans import expect_same_v1
from tailgate_process import Daemon, Failed, basic_config, expect, get, until
from tools import say


class Lossy:
    """Passes requests on, and says 503 instead of the first answer to a _bulk: it was done, and its sender cannot know."""

    def __init__(self, port):
        self.bulks, outer = 0, self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                to = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                to.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.startswith("Content-") and k != "Content-Length"})
                answer = to.getresponse()
                status, text = answer.status, answer.read()
                if self.path.startswith("/_bulk"):
                    outer.bulks += 1
                    status, text = (503, b"{}") if outer.bulks == 1 else (status, text)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_PUT = do_GET = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def by_span(documents, trace_id):
    """{span id: [document]} of a trace, with nothing and empty lists alike, which Jaeger does not tell apart."""
    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list) else value

    out = {}
    for document in documents.values():
        if document["traceID"] == trace_id:
            whole = plain({**document, **{k: document.get(k) or [] for k in ("references", "tags", "logs")}})
            whole["process"]["tags"] = whole["process"].get("tags") or []
            out.setdefault(document["spanID"], []).append(whole)
    return out


def found(jaeger, **query):
    status, text = get(jaeger.query, "/api/traces?" + urllib.parse.urlencode({"limit": 1000, **query}))
    expect(status == 200, f"/api/traces says {status}: {text[:500]}")
    return {trace["traceID"] for trace in json.loads(text)["data"] or []}


def storage_in(cluster):
    return {cluster.name: {"server_urls": [f"http://127.0.0.1:{cluster.port}"], "indices": {
        kind: {"shards": 1, "replicas": 0} for kind in ("spans", "services", "dependencies", "sampling")}}}


def test_elasticsearch(tools, binary, directory):
    check_exporter(Elasticsearch, tools, binary, directory)


def test_opensearch(tools, binary, directory):
    check_exporter(OpenSearch, tools, binary, directory)


def check_exporter(kind, tools, binary, directory):
    """Jaeger shows what is written, by id, service, tag and duration; the documents are Jaeger's own; a retry doubles nothing."""
    with kind(tools, directory) as cluster, Lossy(cluster.port) as lossy:
        dead = free_ports(1)[0]
        sets = [f"exporters.elasticsearch.endpoints=[http://127.0.0.1:{dead}, http://127.0.0.1:{lossy.port}]",
                "exporters.elasticsearch.replicas=0", "exporters.elasticsearch.shards=1",
                "exporters.elasticsearch.retry_on_failure.initial_interval=200ms"]
        with shipped("to-elasticsearch.yaml", binary, directory, [*QUICK, *sets]) as daemon:
            sent = clients(tools, daemon)[0].send()["keep"]
            metrics = settled(daemon, "elasticsearch")
            spans = sum(map(len, sent.values()))
            expect(lossy.bulks > 1 and metrics.sum("tailgate_export_failures_total", exporter="elasticsearch") > 0, "nothing was retried")
            expect(metrics.sum("tailgate_export_failed_spans_total", exporter="elasticsearch") == 0, "spans failed")
            expect(daemon.stop() == 0, "the daemon did not end with 0")
        ours = cluster.documents("jaeger-span-*")
        mine = {i: d for i, d in ours.items() if d["traceID"] in sent}
        expect(len(mine) == spans, f"{len(mine)} documents, sent were {spans} spans")
        for name, field in (("span", "traceID"), ("service", "serviceName")):
            mapping = cluster.call("GET", f"/jaeger-{name}-*/_mapping")
            kinds = {m["mappings"]["properties"][field]["type"] for m in mapping.values()}
            expect(kinds == {"keyword"}, f"jaeger-{name}-* has no mappings of the template: {kinds}")
        say(f"  {spans} spans, {spans} documents after a retry and with one of two endpoints dead")

        with Jaeger(tools.jaeger(), directory, storage=storage_in(cluster)) as jaeger:
            by_tag = 0
            for trace_id, trace in sent.items():
                # In microseconds, and arrays as text: so the storage has them, whoever writes.
                expect_same_v1(trace_id, trace, until(lambda: jaeger.trace_v1(trace_id), f"{trace_id} is in Jaeger", 60, 0.1))
                root = next(s for s in trace if not s["parentSpanId"])
                took = max(s["end"] - s["start"] for s in trace) // 1000
                expect(trace_id in found(jaeger, service=root["service"], operation=root["name"]), f"trace {trace_id} is not found by service")
                expect(trace_id in found(jaeger, service=root["service"], minDuration=f"{took}us"), f"trace {trace_id} is not found by duration")
                expect(trace_id not in found(jaeger, service=root["service"], minDuration=f"{took + 1_000_000}us"), f"{trace_id} is found by any duration")
                searched = next(({k: v} for s in trace for k, (t, v) in s["attributes"].items() if t == "string" and v.strip("/").isalnum()), {})  # Jaeger asks by regexp
                tags, by_tag = json.dumps(searched), by_tag + len(searched)
                expect(trace_id in found(jaeger, service=root["service"], tags=tags), f"trace {trace_id} is not found by {tags}")
                services = lambda: json.loads(get(jaeger.query, "/api/services")[1])["data"]  # noqa: E731
                until(lambda: root["service"] in services(), f"{root['service']} is among the services", 60, 0.1)  # after a refresh
            expect(by_tag > 0, "no trace has a tag to search by")
            say("  Jaeger shows them, and finds them by service, operation, tag and duration")

            # The same daemon's output through Jaeger itself, into the same cluster.
            second = os.path.join(directory, "second")
            os.mkdir(second)
            exporters = {**otlp_exporter(jaeger), "elasticsearch": {"endpoint": f"http://127.0.0.1:{cluster.port}", "create_templates": False}}
            policies = [{"name": "all", "type": "always_sample"}]
            with Daemon(binary, second, basic_config(policies, exporters, decision_wait="2s")) as daemon:
                for client in clients(tools, daemon)[2:]:
                    sent = {i: s for traces in client.send().values() for i, s in traces.items()}
                    settled(daemon, "otlp")
                    settled(daemon, "elasticsearch")
                    for trace_id, trace in sent.items():
                        twice = until(lambda: (lambda d: d if sum(map(len, d.values())) == 2 * len(trace) else None)(
                            by_span(cluster.documents("jaeger-span-*"), trace_id)), f"{trace_id} is there twice", 60, 0.2)
                        for span_id, (one, other) in twice.items():
                            for field in {*one, *other}:
                                expect(one.get(field) == other.get(field),
                                       f"{field} of span {span_id}: {one.get(field)!r} and {other.get(field)!r}")
                    say(f"  {client.name}: {sum(map(len, sent.values()))} documents as Jaeger writes them, field by field")
                expect(daemon.stop() == 0, "the daemon did not end with 0")


def test_jaeger_opensearch(tools, binary, directory):
    """Jaeger writes what is kept into OpenSearch: each trace comes back by another Jaeger that has nothing else, the rest is not there."""
    with OpenSearch(tools, directory) as cluster:
        kept, dropped = {}, set()
        with Jaeger(tools.jaeger(), directory, storage=storage_in(cluster)) as jaeger:
            with Daemon(binary, directory, basic_config(POLICIES, otlp_exporter(jaeger), decision_wait="2s")) as daemon:
                for client in clients(tools, daemon)[2:]:
                    sent = client.send()
                    kept.update(sent["keep"])
                    dropped.update(sent["drop"])
                metrics = settled(daemon, "otlp")
                spans = sum(map(len, kept.values()))
                expect(metrics.sum("tailgate_export_spans_total", exporter="otlp") == spans, "not all was sent")
                expect(daemon.stop() == 0, "the daemon did not end with 0")

            def written():  # Jaeger answers before it has written
                try:
                    found = cluster.documents("jaeger-span-*")
                except Failed:  # the index is not made yet
                    return None
                return found if len([d for d in found.values() if d["traceID"] in kept]) == spans else None

            documents = until(written, f"{spans} documents are in OpenSearch", 60, 0.2)
            expect(not dropped & {d["traceID"] for d in documents.values()}, "a trace that was not kept is in OpenSearch")
        with Jaeger(tools.jaeger(), directory, "reader", storage=storage_in(cluster)) as jaeger:
            for trace_id, trace in kept.items():
                expect_same_v1(trace_id, trace, until(lambda: jaeger.trace_v1(trace_id), f"{trace_id} is in Jaeger", 60, 0.1))
                service = trace[0]["service"]
                expect(trace_id in found(jaeger, service=service), f"trace {trace_id} is not found by its service {service}")
            for trace_id in dropped:
                expect(jaeger.trace_v1(trace_id) is None, f"trace {trace_id} was not kept and is there")
    say(f"  {len(kept)} traces written by Jaeger and read by another, {len(dropped)} others not there")
