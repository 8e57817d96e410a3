#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the binary counts over all spans, and serves at /metrics/spans. metrics_spans_test.py TAILGATE"""

import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, Metrics, basic_config, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
CALLS = "traces_spanmetrics_calls_total"
SERVER, CLIENT = 2, 3


def send(port, spans, service="test"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", otlp.request(spans, service),
                                     {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status


class SignalsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def start(self, **more):
        config = basic_config([{"name": "none", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0}}],
                              {"debug": {}}, decision_wait="200ms")
        for section in ("span_metrics", "service_graph"):
            if section in more:
                more[section].setdefault("start_at_zero", "0s")  # figures are compared at once
        config.update(more)
        daemon = Daemon(BINARY, self.directory.name, config)
        self.addCleanup(daemon.kill)
        return daemon

    def spans_page(self, daemon):
        status, text = get(daemon.pages["metrics"], "/metrics/spans", timeout=60)
        self.assertEqual(status, 200)
        return Metrics(text)

    def test_off_there_is_no_page(self):
        self.assertEqual(get(self.start().pages["metrics"], "/metrics/spans")[0], 404)

    def test_what_is_counted_is_what_was_taken(self):
        daemon = self.start(span_metrics={"dimensions": ["zone"], "sizes": True})
        expected = {}
        lock = threading.Lock()

        def sender(seed):
            chance = random.Random(seed)
            for _ in range(30):
                spans, service = [], f"service-{chance.randrange(3)}"
                for _ in range(chance.randrange(1, 40)):
                    name, zone, kind = f"op-{chance.randrange(5)}", f"z{chance.randrange(2)}", chance.choice([SERVER, CLIENT])
                    error = chance.random() < 0.2
                    spans.append(otlp.span(chance.randbytes(16), name, error=error, kind=kind, attributes=[("zone", zone)]))
                    key = (service, name, kind, error, zone)
                    with lock:
                        expected[key] = expected.get(key, 0) + 1
                spans.append(otlp.span(bytes(16)))  # refused: an id of zeros
                self.assertEqual(send(daemon.http, spans, service), 200)

        senders = [threading.Thread(target=sender, args=(seed,)) for seed in range(4)]
        for one in senders:
            one.start()
        for one in senders:
            one.join()
        page = self.spans_page(daemon)
        kinds = {SERVER: "SPAN_KIND_SERVER", CLIENT: "SPAN_KIND_CLIENT"}
        for (service, name, kind, error, zone), count in expected.items():
            self.assertEqual(page.sum(CALLS, service=service, span_name=name, span_kind=kinds[kind], zone=zone,
                                      status_code="STATUS_CODE_ERROR" if error else "STATUS_CODE_UNSET"), count)
        metrics = daemon.metrics()
        taken = metrics.sum("tailgate_spans_received_total") - metrics.sum("tailgate_spans_refused_total")
        self.assertEqual(page.sum(CALLS), taken)
        self.assertEqual(page.sum("traces_spanmetrics_latency_count"), taken)
        self.assertEqual(page.sum("traces_spanmetrics_latency_bucket", le="0.002"), taken)  # each takes 1 ms
        self.assertAlmostEqual(page.sum("traces_spanmetrics_latency_sum"), taken / 1000, 6)
        self.assertGreater(page.sum("traces_spanmetrics_size_total"), taken * 50)
        self.assertEqual(metrics.sum("tailgate_span_metrics_series"), len(expected))
        self.assertEqual(daemon.stop(), 0)

    def test_a_new_series_reads_0_until_its_scraper_has_seen_that(self):
        daemon = self.start(span_metrics={"start_at_zero": "2s"}, service_graph={"start_at_zero": "2s"})
        self.assertEqual(send(daemon.http, [otlp.span(os.urandom(16), kind=SERVER) for _ in range(3)]), 200)
        names = CALLS, "traces_service_graph_request_total"
        page = self.spans_page(daemon)
        for name in names:
            self.assertEqual([value for one, _, value in page.samples if one == name], [0])
        self.assertEqual(json.loads(get(daemon.pages["web"], "/api/service_map")[1])["edges"][0]["requests"], 3)
        until(lambda: [self.spans_page(daemon).sum(name) for name in names] == [3, 3], "they have their values")

    def test_openmetrics_for_who_asks_for_it(self):
        daemon = self.start(span_metrics={})
        self.assertEqual(send(daemon.http, [otlp.span(os.urandom(16))]), 200)
        for accept, kind, end in (("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text", "# EOF\n"),
                                  ("text/plain", "text/plain; version=0.0.4", "1\n")):
            connection = http.client.HTTPConnection("127.0.0.1", daemon.pages["metrics"], timeout=10)
            connection.request("GET", "/metrics/spans", headers={"Accept": accept})
            answer = connection.getresponse()
            self.assertTrue(answer.getheader("content-type").startswith(kind))
            self.assertTrue(answer.read().decode().endswith(end))
            connection.close()

    def test_a_reload_of_policies_keeps_the_dimensions(self):
        daemon = self.start(span_metrics={"dimensions": ["zone"]})
        span = lambda: otlp.span(os.urandom(16), attributes=[("zone", "a")])  # noqa: E731
        self.assertEqual(send(daemon.http, [span()]), 200)
        with open(daemon.path) as text:
            config = json.load(text)
        config["sampling"]["policies"].append({"name": "all", "type": "always_sample"})
        with open(daemon.path, "w") as out:
            json.dump(config, out, indent=1)
        until(lambda: daemon.metrics().sum("tailgate_config_reloads_total", result="success") >= 1, "the policies are loaded")
        self.assertEqual(send(daemon.http, [span()]), 200)
        self.assertEqual(self.spans_page(daemon).sum(CALLS, zone="a"), 2)

    def test_many_names_stay_within_their_bound(self):
        daemon = self.start(span_metrics={"series_max": 1000})
        until(lambda: send(daemon.http, [otlp.span(os.urandom(16), "first")]) == 200, "it takes spans")
        for at in range(0, 100_000, 1000):
            self.assertEqual(send(daemon.http, [otlp.span(os.urandom(16), f"GET /user/{1_000_000 + at + i}") for i in range(1000)]), 200)
        page, metrics = self.spans_page(daemon), daemon.metrics()
        self.assertEqual(page.sum(CALLS), 100_001)
        self.assertEqual(page.sum(CALLS, otel_metric_overflow="true"), 100_001 - 1000)
        self.assertEqual(metrics.sum("tailgate_span_metrics_series"), 1000)
        self.assertEqual(metrics.sum("tailgate_span_metrics_overflow_spans_total"), 100_001 - 1000)
        self.assertEqual(metrics.sum("tailgate_span_metrics_id_names_total"), 999)
        self.assertEqual(page.sum(CALLS, span_name="first"), 1)
        until(lambda: "span names look as if they had ids in them" in daemon.log(), "the log says so")
        self.assertEqual(daemon.stop(), 0)

    def exemplars(self, daemon):
        """Trace ids behind the buckets of the OpenMetrics page."""
        connection = http.client.HTTPConnection("127.0.0.1", daemon.pages["metrics"], timeout=10)
        connection.request("GET", "/metrics/spans", headers={"Accept": "application/openmetrics-text"})
        text = connection.getresponse().read().decode()
        connection.close()
        found = re.findall(r'^\w+_bucket\{.*\} \d+ # \{trace_id="([0-9a-f]{32})",span_id="[0-9a-f]{16}"\} [0-9.e+-]+ \d+\.\d{3}$', text, re.M)
        self.assertEqual(len(found), text.count("trace_id="))
        return found

    def test_every_exemplar_is_of_a_trace_that_was_kept(self):
        kept_path = os.path.join(self.directory.name, "kept.json")
        config = {"sampling": {"decision_wait": "200ms", "memory_limit": "512MiB", "policies": [
            {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}]},
            "exporters": {"file": {"path": kept_path}}}
        daemon = self.start(span_metrics={"exemplars": {"enabled": True}}, **config)
        start = 1_700_000_000_000_000_000
        for i in range(200):
            name, took = f"op-{i % 7}", 1_000_000 * 3 ** (i % 9)
            trace, error = os.urandom(16), i % 4 == 0
            self.assertEqual(send(daemon.http, [otlp.span(trace, name, error=error, start_ns=start, end_ns=start + took),
                                                otlp.span(trace, "inner", start_ns=start, end_ns=start + took // 2)]), 200)
        until(lambda: daemon.metrics().sum("tailgate_traces_decided_total") == 200, "all are decided")
        found = set(self.exemplars(daemon))
        self.assertGreater(len(found), 20)

        def written():
            with open(kept_path) as text:
                return set(re.findall(r'"traceId":"([0-9a-f]{32})"', text.read()))

        until(lambda: len(written()) == 50, "all that was kept is written")
        kept = written()
        self.assertEqual(found - kept, set())
        metrics = daemon.metrics()
        self.assertGreaterEqual(metrics.sum("tailgate_span_metrics_exemplars"), len(found))
        self.assertEqual(metrics.sum("tailgate_span_metrics_exemplars_skipped_total", reason="full"), 0)

    def test_the_service_graph_and_who_asks_for_it(self):
        daemon = self.start(service_graph={"store": {"ttl": "500ms"}})
        requests = "traces_service_graph_request_total"
        for _ in range(20):
            trace, root, call = os.urandom(16), os.urandom(8), os.urandom(8)
            # The called first: sides come in any order, and in different requests.
            self.assertEqual(send(daemon.http, [otlp.span(trace, parent=call, kind=SERVER, error=True)], "shop"), 200)
            self.assertEqual(send(daemon.http, [otlp.span(trace, span_id=root, kind=SERVER),
                                                otlp.span(trace, parent=root, span_id=call, kind=CLIENT),
                                                otlp.span(trace, parent=root, kind=CLIENT, attributes=[("db.name", "carts")]),
                                                otlp.span(trace, parent=root, kind=CLIENT, attributes=[("peer.service", "mail")])], "web"), 200)
        until(lambda: daemon.metrics().sum("tailgate_service_graph_waiting_spans") == 0, "nothing waits")
        page = self.spans_page(daemon)
        for client, server, kind, failed in (("web", "shop", "", 20), ("user", "web", "virtual_node", 0),
                                             ("web", "carts", "database", 0), ("web", "mail", "virtual_node", 0)):
            labels = {"client": client, "server": server, "connection_type": kind}
            self.assertEqual(page.sum(requests, **labels), 20)
            self.assertEqual(page.sum("traces_service_graph_request_failed_total", **labels), failed)
        self.assertEqual(page.sum(requests), 80)
        self.assertEqual(daemon.metrics().sum("tailgate_service_graph_edges"), 4)

        status, text = get(daemon.pages["web"], "/jaeger/api/dependencies")
        self.assertEqual(status, 200)
        self.assertEqual(sorted((one["parent"], one["child"], one["callCount"]) for one in json.loads(text)["data"]),
                         [("user", "web", 20), ("web", "carts", 20), ("web", "mail", 20), ("web", "shop", 20)])
        services = json.loads(get(daemon.pages["web"], "/api/service_map")[1])
        self.assertTrue(services["on"])
        shop = next(one for one in services["edges"] if one["server"] == "shop")
        self.assertEqual((shop["requests"], shop["failed"], sum(shop["server_buckets"]), len(shop["server_buckets"])),
                         (20, 20, 20, len(services["bounds_ns"]) + 1))
        self.assertEqual(daemon.stop(), 0)

    def test_without_a_service_graph_the_view_is_told_so(self):
        self.assertEqual(json.loads(get(self.start().pages["web"], "/api/service_map")[1]), {"on": False, "bounds_ns": [], "edges": [], "overflow": 0})

    def test_what_has_no_room_among_the_edges_is_told_of(self):
        daemon = self.start(service_graph={"edges_max": 2})
        for i in range(2):
            for peer in ("carts", "users"):
                call = otlp.span(os.urandom(16), parent=os.urandom(8), kind=CLIENT, attributes=[("db.name", peer)])
                self.assertEqual(send(daemon.http, [call], ("carts", "users")[i]), 200)
        services = json.loads(get(daemon.pages["web"], "/api/service_map")[1])
        self.assertEqual((len(services["edges"]), services["overflow"]), (2, 2))
        self.assertEqual(daemon.metrics().sum("tailgate_service_graph_overflow_requests_total"), 2)

    def test_too_many_series_for_the_memory_is_an_error(self):
        path = os.path.join(self.directory.name, "bad.yaml")
        config = basic_config([], {"debug": {}})
        config["span_metrics"] = {"series_max": 1_000_000}
        with open(path, "w") as out:
            json.dump(config, out, indent=1)
        done = subprocess.run([BINARY, "check", path], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"bad\.yaml:\d+:\d+: span_metrics: expected span metrics and a service graph that fit a quarter of memory_limit; these can take")


if __name__ == "__main__":
    unittest.main()
