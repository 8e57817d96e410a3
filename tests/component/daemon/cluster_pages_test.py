#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cluster answers and limits together: any member says for all what became of traces, keeps what another has, and
names who did not answer; and a rate limit holds for all members. cluster_pages_test.py TAILGATE"""

import http.client
import json
import os
import signal
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from otlp_sink import Sink  # noqa: E402
from tailgate_process import Daemon, basic_config, free_ports, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
ERRORS = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
SHADOW = {"name": "try", "type": "always_sample"}


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), dict(answer.getheaders())
    finally:
        connection.close()


class ClusterPagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = folder.name
        self.sink = Sink()
        self.addCleanup(self.sink.close)
        self.daemons = {}

    def start(self, policies, names="abc", shadow=(), around=None, store=False, front="", **cluster):
        ports = {name: free_ports(2) for name in names + front}
        for name in names + front:
            config = basic_config(policies, {"otlphttp": {"endpoint": f"http://127.0.0.1:{self.sink.port}"}},
                                  decision_wait="500ms", shadow_policies=list(shadow))
            protocols = config["receivers"]["otlp"]["protocols"]
            protocols["grpc"]["endpoint"] = f"127.0.0.1:{ports[name][0]}"
            protocols["http"]["endpoint"] = f"127.0.0.1:{ports[name][1]}"
            directory = os.path.join(self.directory, name)
            os.mkdir(directory)
            config["journal"] = {"directory": os.path.join(directory, "journal"), "retain": "10m", "disk_free_min": 0}
            if around:
                config["keep_around"] = around
            config["web"]["queries"] = {"timeout": "4s"}
            if store and name != front:
                config["exporters"]["store"] = {"directory": os.path.join(directory, "store"),
                                                "sending_queue": {"batch": {"flush_timeout": "10ms"}}}
            config["cluster"] = {
                "self": name, "hold": "60s", "tls": {"insecure": True}, **cluster,
                "members": {"static": [{"name": n, "endpoint": f"127.0.0.1:{ports[n][0]}"} for n in names]}}
            if name == front:
                del config["cluster"]["self"]
            self.daemons[name] = Daemon(BINARY, directory, config)
            self.addCleanup(self.daemons[name].kill)
        until(lambda: all(self.page(n, "/cluster")["view"]["members"] == sorted(names) for n in names), "one view")
        # A member that was not there at the start of another is settled later.
        until(lambda: not any(self.page(n, "/cluster")["settling"] for n in names), "no change is running", 30)

    def page(self, name, path):
        return json.loads(get(self.daemons[name].pages["web"], path)[1])

    def send(self, name, traces, error=False, service="shop"):
        connection = http.client.HTTPConnection("127.0.0.1", self.daemons[name].http, timeout=10)
        connection.request("POST", "/v1/traces", otlp.request([otlp.span(t, error=error) for t in traces], service),
                           {"Content-Type": "application/x-protobuf"})
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()

    def homes(self, traces):
        """Which member has each, by the answers of one of them."""
        return {t: self.page("a", f"/explain/{t.hex()}").get("member", "a") for t in traces}

    def test_any_member_answers_for_all(self):
        self.start([ERRORS], shadow=[SHADOW])
        dropped, kept = [os.urandom(16) for _ in range(30)], [os.urandom(16) for _ in range(30)]
        self.send("a", dropped)
        self.send("b", kept, error=True)
        until(lambda: len(self.sink.traces) == 30, "the kept ones are at the backend")

        def listed(name):
            return ask(self.daemons[name].pages["web"], "GET", "/explain?limit=1000")

        for name in "abc":
            until(lambda: len(listed(name)[1]) == 60, "all are listed")
            status, all_, headers = listed(name)
            self.assertEqual({one["trace_id"] for one in all_}, {t.hex() for t in dropped + kept})
            self.assertEqual({one["member"] for one in all_}, {"a", "b", "c"})
            self.assertNotIn("tailgate-unanswered", headers)
            self.assertEqual([one["decided"] for one in all_], sorted((one["decided"] for one in all_), reverse=True))
        self.assertEqual(len(ask(self.daemons["b"].pages["web"], "GET", "/explain?limit=5")[1]), 5)
        status, report, _ = ask(self.daemons["c"].pages["web"], "GET", "/shadow")
        self.assertEqual(report["live"]["traces"], 60)
        self.assertEqual(report["live"]["kept_traces"], 30)
        self.assertEqual(report["policies"][0]["would_add"], 30)
        self.assertEqual(report["members"], ["c", "a", "b"])
        self.assertEqual(report["unanswered"], [])
        self.assertEqual(ask(self.daemons["a"].pages["web"], "GET", "/explain?polcy=x")[0], 400)

        # Kept after the fact, wherever it is.
        home = self.homes(dropped)
        self.assertEqual(set(home.values()), {"a", "b", "c"})
        wanted = [next(t for t in dropped if home[t] == m) for m in "abc"]
        status, begun, _ = ask(self.daemons["a"].pages["web"], "POST", "/keep",
                               {"trace_ids": [t.hex() for t in wanted] + ["ab" * 16], "reason": "incident 7"})
        self.assertEqual(status, 202, begun)

        def job():
            return ask(self.daemons["b"].pages["web"], "GET", f"/keep/{begun['job']}")[1]

        until(lambda: job()["state"] == "done", "the jobs are done")
        self.assertEqual(job()["kept_traces"], 3, job())
        self.assertEqual(job()["not_found"], 1, job())
        until(lambda: len(self.sink.traces) == 33, "they are at the backend")

        # Who is gone is named.
        self.daemons["c"].kill()
        status, all_, headers = listed("a")
        self.assertEqual(status, 200)
        self.assertIn("c (", headers["tailgate-unanswered"])
        self.assertEqual({one["member"] for one in all_}, {"a", "b"})
        status, report, _ = ask(self.daemons["a"].pages["web"], "GET", "/shadow")
        self.assertEqual([one["member"] for one in report["unanswered"]], ["c"])
        status, begun, _ = ask(self.daemons["a"].pages["web"], "POST", "/keep",
                               {"condition": "root.service == \"shop\"", "limit": 10, "reason": "incident 8"})
        self.assertEqual(status, 202)
        self.assertEqual([one["member"] for one in begun["unanswered"]], ["c"])
        until(lambda: job()["state"] == "done", "the jobs are done")
        self.assertLessEqual(job()["kept_traces"], 10)

    def test_any_member_searches_what_all_have_stored(self):
        self.start([ERRORS], store=True, front="f", search="fleet")
        dropped, kept = os.urandom(16), [os.urandom(16) for _ in range(30)]
        self.send("a", [dropped])
        self.send("a", kept, error=True, service="shop")
        self.send("b", [os.urandom(16)], error=True, service="pay")
        stored = {t.hex() for t in kept}

        def search(name, path):
            return ask(self.daemons[name].pages["web"], "GET", path)[1]

        def found(name):
            return {one["trace_id"] for one in search(name, "/api/search?service=shop&limit=100")["traces"]}

        for name in "abcf":
            until(lambda: found(name) == stored, f"{name} finds all of them")
            until(lambda: search(name, "/jaeger/api/services")["data"] == ["pay", "shop"], f"{name} finds the other one")
            self.assertEqual(search(name, "/api/search?service=shop&limit=100")["cut"], "")
            self.assertEqual(len(search(name, "/api/search?service=shop&limit=7")["traces"]), 7)
            self.assertEqual({one["traceID"] for one in search(name, "/jaeger/api/traces?service=shop&limit=100&start=1&end=4000000000000000")["data"]}, stored)
            query = "/tempo/api/search?q=%7Bresource.service.name%3D%22shop%22%7D&limit=100"
            self.assertEqual({one["traceID"].rjust(32, "0") for one in search(name, query)["traces"]}, stored)
            for trace in list(stored)[:6]:
                one = search(name, f"/api/trace/{trace}")
                self.assertIsNotNone(one["trace"])
                self.assertEqual(one["explained"]["verdict"], "sampled")
            # What was dropped comes out of the journal of the member that has it.
            self.assertIsNotNone(search(name, f"/api/trace/{dropped.hex()}")["trace"])
        homes = self.homes(kept)
        self.assertEqual(set(homes.values()), {"a", "b", "c"})

        # One that hangs costs a search half of its time, and what the others have is found.
        self.daemons["c"].hang()
        began = time.monotonic()
        answer = search("a", "/api/search?service=shop&limit=100")
        self.assertLess(time.monotonic() - began, 3.5)
        self.assertIn("their traces are missing: c (no answer in time)", answer["cut"])
        self.assertEqual({one["trace_id"] for one in answer["traces"]}, {t.hex() for t in kept if homes[t] != "c"})
        os.kill(self.daemons["c"].pid, signal.SIGCONT)

        # Who is gone is named.
        self.daemons["c"].kill()
        answer = search("a", "/api/search?service=shop&limit=100")
        self.assertIn("Not all members answered, their traces are missing: c (", answer["cut"])
        self.assertEqual({one["trace_id"] for one in answer["traces"]}, {t.hex() for t in kept if homes[t] != "c"})
        lost = next(t for t in kept if homes[t] == "c")
        status, error, _ = ask(self.daemons["a"].pages["web"], "GET", f"/api/trace/{lost.hex()}")
        self.assertEqual(status, 503)
        self.assertIn("not all members answered: c (", error["error"])

    def test_what_surrounds_triggers_is_kept_on_all_members(self):
        self.start([ERRORS], around={"policies": ["errors"], "before": "1m", "after": "3s"})
        dropped, triggers = ([os.urandom(16) for _ in range(30)] for _ in range(2))
        self.send("a", dropped)
        until(lambda: all(self.page("a", f"/explain/{t.hex()}").get("state") == "decided" for t in dropped), "they are decided")
        self.assertEqual(set(self.homes(dropped).values()), {"a", "b", "c"})
        self.send("b", triggers, error=True)
        until(lambda: len(self.sink.traces) == 60, "all that came before is kept", 30)
        self.assertEqual(set(self.homes(triggers).values()), {"a", "b", "c"})  # each of which has some
        jobs = self.page("c", "/keep")["jobs"]
        self.assertEqual(sorted(j["member"] for j in jobs), ["a", "b", "c"])
        self.assertEqual({(j["reason"], j["kind"], j["limit"]) for j in jobs}, {("around errors", "around", 334)})

    def kept(self, names="abc"):
        return sum(self.daemons[n].metrics().sum("tailgate_traces_decided_total", decision="sampled") for n in names)

    def test_a_limit_holds_for_all_members(self):
        rate, wanted = 100, {"a": 400, "b": 75, "c": 25}  # traces a second
        self.start([{"name": "cap", "type": "rate_limiting", "rate_limiting": {"traces_per_second": rate}}])
        stop = threading.Event()
        self.addCleanup(stop.set)

        def load(name):
            # As if it had been forwarded as often as may be: it is taken where it comes.
            connection = http.client.HTTPConnection("127.0.0.1", self.daemons[name].http, timeout=10)
            begin, sent = time.monotonic(), 0
            while not stop.is_set():
                count = int((time.monotonic() - begin) * wanted[name]) - sent
                if count > 0:
                    body = otlp.request([otlp.span(os.urandom(16)) for _ in range(count)])
                    connection.request("POST", "/v1/traces", body,
                                       {"Content-Type": "application/x-protobuf", "tailgate-hop": "3"})
                    self.assertEqual(connection.getresponse().read() is not None, True)
                    sent += count
                time.sleep(0.02)
            connection.close()

        threads = [threading.Thread(target=load, args=(name,)) for name in wanted]
        for one in threads:
            one.start()
        try:
            time.sleep(6)
            before, began = self.kept(), time.monotonic()
            time.sleep(14)
            per_second = (self.kept() - before) / (time.monotonic() - began)
            print(f"{per_second:.1f} traces a second of {rate} were kept by all", flush=True)
            shares = {n: self.daemons[n].metrics().sum("tailgate_cluster_limit_share", policy="cap") for n in wanted}
            print(f"shares {shares}", flush=True)
        finally:
            stop.set()
            for one in threads:
                one.join()
        self.assertLess(per_second, rate * 1.05)
        self.assertGreater(per_second, rate * 0.9)
        self.assertAlmostEqual(sum(shares.values()), 1, delta=0.1)
        self.assertGreater(shares["a"], 0.6)
        self.assertEqual(self.page("a", "/cluster")["limits"][0]["policy"], "cap")
        # Without the others each has its equal part.
        self.daemons["b"].kill()
        self.daemons["c"].kill()
        until(lambda: abs(self.page("a", "/cluster")["limits"][0]["share"] - 1 / 3) < 0.001, "an equal part", 10)
        self.assertEqual(self.daemons["a"].metrics().sum("tailgate_cluster_limit_members"), 0)

    def test_limits_may_be_each_members_own(self):
        self.start([{"name": "cap", "type": "rate_limiting", "rate_limiting": {"traces_per_second": 5}}], "ab",
                   limits="member")
        self.assertEqual(self.page("a", "/cluster")["limits"], [])


if __name__ == "__main__":
    unittest.main()
