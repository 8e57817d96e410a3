#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The past of a journal: a trace that was dropped is found by its id, and kept after the fact. keep_test.py TAILGATE"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from otlp_sink import Sink  # noqa: E402
from tailgate_process import Daemon, basic_config, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
POLICY = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text.startswith("{") else text
    finally:
        connection.close()


class KeepTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.sink = Sink()
        self.addCleanup(self.sink.close)
        self.config = basic_config([POLICY], {"otlphttp": {"endpoint": f"http://127.0.0.1:{self.sink.port}"}},
                                   decision_wait="500ms")
        self.config["journal"] = {"directory": os.path.join(self.directory.name, "journal"), "retain": "10m",
                                  "disk_free_min": 0}

    def start(self):
        daemon = Daemon(BINARY, self.directory.name, self.config)
        self.addCleanup(daemon.kill)
        return daemon

    def send(self, daemon, trace, name="work", service="shop", seconds=0.001, error=False):
        start = time.time_ns()
        ids = [os.urandom(8) for _ in range(2)]
        spans = [otlp.span(trace, name=name, span_id=i, parent=b"" if i is ids[0] else ids[0], error=error,
                           start_ns=start, end_ns=start + int(seconds * 1e9)) for i in ids]
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http, timeout=10)
        connection.request("POST", "/v1/traces", otlp.request(spans, service), {"Content-Type": "application/x-protobuf"})
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        return set(ids)

    def decided(self, daemon, traces):
        until(lambda: all(ask(daemon.pages["web"], "GET", f"/explain/{t.hex()}")[1]["state"] == "decided" for t in traces),
              "all are decided")

    def job(self, daemon, body):
        status, begun = ask(daemon.pages["web"], "POST", "/keep", body)
        self.assertEqual((status, begun["state"]), (202, "waiting"))
        return until(lambda: (lambda s: s if s["state"] not in ("waiting", "running") else None)(
            ask(daemon.pages["web"], "GET", f"/keep/{begun['job']}")[1]), "the job ends")

    def test_by_id(self):
        daemon = self.start()
        dropped, kept = os.urandom(16), os.urandom(16)
        ids = self.send(daemon, dropped)
        self.send(daemon, kept, error=True)
        self.decided(daemon, [dropped, kept])
        until(lambda: kept in self.sink.snapshot(), "the kept one is delivered")
        self.assertNotIn(dropped, self.sink.snapshot())
        # Every door finds it.
        web = daemon.pages["web"]
        status, found = ask(web, "GET", f"/api/trace/{dropped.hex()}")
        self.assertEqual(status, 200)
        self.assertEqual(len(found["trace"]["resourceSpans"][0]["scopeSpans"][0]["spans"]), 2)
        self.assertIn({"key": "tailgate.verdict", "value": {"stringValue": "not_sampled"}},
                      found["trace"]["resourceSpans"][0]["scopeSpans"][0]["scope"]["attributes"])
        self.assertEqual(get(web, f"/jaeger/api/traces/{dropped.hex()}")[0], 200)
        self.assertEqual(get(web, f"/tempo/api/traces/{dropped.hex()}")[0], 200)
        self.assertEqual(get(web, f"/jaeger/api/traces/{os.urandom(16).hex()}")[0], 404)
        # Kept after the fact: once, with all its spans, and its late ones follow.
        done = self.job(daemon, {"trace_ids": [dropped.hex(), kept.hex(), os.urandom(16).hex()], "reason": "incident 7"})
        self.assertEqual({k: done[k] for k in ("state", "kept_traces", "kept_spans", "already_kept", "not_found")},
                         {"state": "done", "kept_traces": 1, "kept_spans": 2, "already_kept": 1, "not_found": 1})
        until(lambda: self.sink.snapshot().get(dropped) == ids, "it is delivered")
        late = self.send(daemon, dropped)
        until(lambda: self.sink.snapshot().get(dropped) == ids | late, "its late spans are too")
        metrics = daemon.metrics()
        metrics.check_law()
        self.assertEqual(metrics.sum("tailgate_spans_kept_after_total", reason="incident 7"), 2)
        # After a restart what was dropped before it is there as well.
        again = os.urandom(16)
        ids = self.send(daemon, again)
        self.decided(daemon, [again])
        self.assertEqual(daemon.stop(), 0)
        daemon = self.start()
        done = self.job(daemon, {"trace_ids": [again.hex()], "reason": "later"})
        self.assertEqual((done["state"], done["kept_spans"]), ("done", 2))
        until(lambda: self.sink.snapshot().get(again) == ids, "it is delivered")

    def test_after_a_kill(self):
        """What a job has kept comes back while no exporter has it, and stays kept."""
        self.config["exporters"]["otlphttp"]["retry_on_failure"] = {"initial_interval": "100ms", "max_interval": "500ms"}
        self.sink.mode = "busy"
        daemon = self.start()
        trace = os.urandom(16)
        ids = self.send(daemon, trace)
        self.decided(daemon, [trace])
        done = self.job(daemon, {"trace_ids": [trace.hex()], "reason": "incident 7"})
        self.assertEqual((done["state"], done["kept_spans"]), ("done", 2))
        daemon.kill()
        self.assertNotIn(trace, self.sink.snapshot())
        self.sink.mode = "ok"
        daemon = self.start()
        until(lambda: self.sink.snapshot().get(trace) == ids, "it is delivered")
        ids |= self.send(daemon, trace)
        until(lambda: self.sink.snapshot().get(trace) == ids, "its late spans are too")
        # Once, over another end.
        self.assertEqual(daemon.stop(), 0)
        daemon = self.start()
        done = self.job(daemon, {"trace_ids": [trace.hex()], "reason": "twice"})
        self.assertEqual((done["kept_traces"], done["already_kept"]), (0, 1))
        self.assertEqual(self.sink.doubles, 0)
        daemon.metrics().check_law()

    def test_by_condition(self):
        daemon = self.start()
        slow = [os.urandom(16) for _ in range(5)]
        others = [os.urandom(16) for _ in range(20)]
        for trace in slow:
            self.send(daemon, trace, service="checkout", seconds=3)
        for i, trace in enumerate(others):
            self.send(daemon, trace, service="checkout" if i % 2 else "cart", seconds=0.1 if i % 2 else 5)
        failed = os.urandom(16)
        self.send(daemon, failed, service="checkout", seconds=4, error=True)
        self.decided(daemon, slow + others + [failed])
        condition = 'root.service == "checkout" and duration > 2s'
        done = self.job(daemon, {"condition": condition, "reason": "slow checkouts"})
        self.assertEqual({k: done[k] for k in ("state", "found", "kept_traces", "already_kept", "progress")},
                         {"state": "done", "found": 6, "kept_traces": 5, "already_kept": 1, "progress": 1})
        until(lambda: set(slow) <= set(self.sink.snapshot()), "they are delivered")
        self.assertFalse(set(others) & set(self.sink.snapshot()))
        done = self.job(daemon, {"condition": 'duration > 2s', "reason": "two", "limit": 2})
        self.assertEqual(done["kept_traces"], 2)
        done = self.job(daemon, {"condition": 'duration > 2s', "reason": "before", "to": "2020-01-01T00:00:00Z"})
        self.assertEqual((done["found"], done["kept_traces"]), (0, 0))
        status, answer = ask(daemon.pages["web"], "GET", "/keep")
        self.assertEqual((status, [j["reason"] for j in answer["jobs"]]), (200, ["before", "two", "slow checkouts"]))
        self.assertEqual({k: answer["jobs"][1][k] for k in ("kind", "state", "condition", "limit")},
                         {"kind": "condition", "state": "done", "condition": "duration > 2s", "limit": 2})

    def command(self, *arguments):
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_commands(self):
        daemon = self.start()
        dropped, kept = os.urandom(16), os.urandom(16)
        self.send(daemon, dropped, seconds=3)
        self.send(daemon, kept, error=True)
        self.decided(daemon, [dropped, kept])
        web = f"127.0.0.1:{daemon.pages['web']}"
        code, out, error = self.command("keep", "--web", web, "--reason", "by hand", dropped.hex())
        self.assertEqual((code, error), (0, ""))
        self.assertEqual(json.loads(out)["kept_traces"], 1)
        until(lambda: dropped in self.sink.snapshot(), "it is delivered")
        self.assertEqual(self.command("keep", "--web", web, "--reason", "r", os.urandom(16).hex())[0], 4)
        code, _, error = self.command("keep", "--web", web, "--reason", "r", "--condition", "duration >")
        self.assertEqual(code, 1)
        self.assertIn("condition", error)
        self.assertEqual(self.command("keep", "--web", "127.0.0.1:1", "--reason", "r", "1")[0], 3)
        self.assertEqual(self.command("keep", "--web", web, "1")[0], 2)
        code, out, _ = self.command("keep", "--web", web, "--reason", "r", kept.hex())
        self.assertEqual((code, json.loads(out)["already_kept"]), (0, 1))
        self.assertIn("again", json.loads(out)["hint"])
        code, out, _ = self.command("keep", "--web", web, "--reason", "r", "--again", kept.hex())
        self.assertEqual((code, json.loads(out)["kept_spans"]), (0, 2))
        self.assertEqual(self.command("keep", "--web", web, "--reason", "r", "--again", "--condition", "duration > 1s")[0], 2)

        policies = os.path.join(self.directory.name, "new.yaml")
        with open(policies, "w") as out:
            out.write("policies: [{name: slow, type: latency, latency: {threshold_ms: 2000}}]")
        directory = self.config["journal"]["directory"]
        code, out, error = self.command("replay", "--journal", directory, "--config", policies, "--last", "10m")
        self.assertEqual(code, 0, error)
        told = json.loads(out)
        self.assertEqual((told["traces"], told["requests"]), (2, 2))
        self.assertEqual(told["would_keep"]["policies"]["slow"]["traces"], 1)
        self.assertEqual(list(told["kept"]["policies"]), ["errors"])  # not what was kept after the fact
        self.assertEqual({k: told["kept"]["policies"]["errors"][k] for k in ("traces", "spans")}, {"traces": 1, "spans": 2})
        self.assertEqual(self.command("replay", "--journal", self.directory.name, "--config", policies)[0], 1)
        self.assertEqual(self.command("replay", "--config", policies)[0], 2)

    def tried(self, daemon, expect=200, **body):
        status, answer = ask(daemon.pages["web"], "POST", "/api/try", {"form": "policy", "of": "received", **body})
        self.assertEqual(status, expect, answer)
        return answer

    def test_what_if(self):
        daemon = self.start()
        self.assertIs(ask(daemon.pages["web"], "GET", "/api/policies")[1]["past"], True)
        slow, failed, others = os.urandom(16), os.urandom(16), [os.urandom(16) for _ in range(4)]
        self.send(daemon, slow, seconds=3)
        self.send(daemon, failed, seconds=3, error=True)
        for trace in others:
            self.send(daemon, trace)
        self.decided(daemon, [slow, failed, *others])
        policies = "[{name: slow, type: latency, latency: {threshold_ms: 2000}}, {name: never, type: latency, latency: {threshold_ms: 9000}}]"
        # The verdicts of then come to the disk with the next commit.
        answer = until(lambda: (lambda a: a if a["kept"]["traces"] else None)(self.tried(daemon, text=policies, since="10m")),
                       "what was kept is known")
        self.assertEqual({k: answer[k] for k in ("requests", "traces", "spans", "left_out", "judged_early", "damaged", "cut", "kept_cut")},
                         {"requests": 6, "traces": 6, "spans": 12, "left_out": 0, "judged_early": 0, "damaged": 0, "cut": "", "kept_cut": False})
        now, then = answer["would_keep"], answer["kept"]
        self.assertEqual((now["traces"], now["spans"], list(now["policies"])), (2, 4, ["slow"]))
        self.assertEqual((then["traces"], then["spans"], list(then["policies"])), (1, 2, ["errors"]))
        self.assertTrue(0 < then["bytes"] < now["bytes"] < answer["bytes"])
        self.assertEqual(answer["newly_kept"], [{"trace_id": slow.hex(), "policy": "slow"}])
        # The command says the same.
        path = os.path.join(self.directory.name, "new.yaml")
        with open(path, "w") as out:
            out.write(f"policies: {policies}")
        code, out, error = self.command("replay", "--journal", self.config["journal"]["directory"], "--config", path)
        self.assertEqual(code, 0, error)
        self.assertEqual(json.loads(out), {k: v for k, v in answer.items() if k != "cut"})
        # Conditions, and what is wrong with a question.
        self.assertEqual(self.tried(daemon, form="trace", text="duration > 2s")["would_keep"]["traces"], 2)
        self.assertEqual(self.tried(daemon, form="span", text='name == "none"')["would_keep"]["traces"], 0)
        self.assertIn("the policy:1:", self.tried(daemon, 400, text="{name: a, type: nothing}")["error"])
        self.assertIn("column", self.tried(daemon, 400, form="span", text="attributes[")["error"])
        self.assertIn("stored or received", self.tried(daemon, 400, text="x", of="all")["error"])
        # Nothing of it touched the daemon.
        self.assertNotIn(slow, self.sink.snapshot())
        daemon.metrics().check_law()

    def test_what_if_is_bounded(self):
        self.config["web"]["queries"] = {"trial_bytes": "256KiB", "max_bytes": "1MiB"}
        daemon = self.start()
        for _ in range(20):
            self.send(daemon, os.urandom(16), name="x" * 60_000)
        # More than is looked at, and more than there is room for at a time.
        answer = self.tried(daemon, text="{name: all, type: always_sample}")
        self.assertIn("web.queries", answer["cut"])
        self.assertLess(answer["requests"] + answer["left_out"], 20)
        self.assertGreater(answer["judged_early"] + answer["left_out"], 0)
        self.assertNotEqual(answer["from"], "")
        until(lambda: daemon.metrics().sum("tailgate_searches_cut_total") == 1, "it is counted")

    def test_what_if_without_a_past(self):
        del self.config["journal"]["retain"]
        daemon = self.start()
        self.assertIs(ask(daemon.pages["web"], "GET", "/api/policies")[1]["past"], False)
        self.assertIn("a journal with retain", self.tried(daemon, 400, text="{name: all, type: always_sample}")["error"])

    def test_alert(self):
        self.config["keep"] = {"alerts": [{"alert": "Slow", "condition": 'root.service == "{service}" and duration > 1s'}]}
        daemon = self.start()
        slow, other = os.urandom(16), os.urandom(16)
        self.send(daemon, slow, service="checkout", seconds=3)
        self.send(daemon, other, service="cart", seconds=3)
        self.decided(daemon, [slow, other])

        def alert(name, **labels):
            return {"status": "firing", "labels": {"alertname": name, **labels}, "startsAt": now, "fingerprint": "f1"}

        now = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime())
        web = daemon.pages["web"]
        status, first = ask(web, "POST", "/keep/alert", {"alerts": [alert("Slow", service="checkout"), alert("Other")]})
        self.assertEqual((status, len(first["jobs"])), (202, 1))
        self.assertIn("keep.alerts", first["errors"][0])
        until(lambda: slow in self.sink.snapshot(), "what the alert is about is kept")
        again = ask(web, "POST", "/keep/alert", {"alerts": [alert("Slow", service="checkout")]})[1]
        self.assertEqual(again["jobs"], first["jobs"])
        self.assertEqual(ask(web, "POST", "/keep/alert", {"alerts": [alert("Other")]})[0], 400)
        status, answer = ask(web, "POST", "/keep/alert", {"alerts": [alert("Slow")]})
        self.assertEqual(status, 400)
        self.assertIn("'service'", answer["errors"][0])
        resolved = {**alert("Other"), "status": "resolved"}
        self.assertEqual(ask(web, "POST", "/keep/alert", {"alerts": [resolved]}), (202, {"jobs": []}))
        self.assertNotIn(other, self.sink.snapshot())

    def test_around(self):
        self.config["keep_around"] = {"policies": ["errors"], "before": "1m", "after": "1s"}
        daemon = self.start()
        before, failed = os.urandom(16), os.urandom(16)
        self.send(daemon, before)
        self.decided(daemon, [before])
        self.assertNotIn(before, self.sink.snapshot())
        self.send(daemon, failed, error=True)
        until(lambda: {before, failed} <= set(self.sink.snapshot()), "what surrounds the trigger is kept")
        self.assertEqual(daemon.metrics().sum("tailgate_spans_kept_after_total", reason="around errors"), 2)

    def test_open_trace(self):
        self.config["sampling"]["decision_wait"] = "2s"
        daemon = self.start()
        trace = os.urandom(16)
        ids = self.send(daemon, trace)
        status, begun = ask(daemon.pages["web"], "POST", "/keep", {"trace_ids": [trace.hex()], "reason": "early"})
        self.assertEqual(status, 202)
        ids |= self.send(daemon, trace)
        done = until(lambda: (lambda s: s if s["state"] == "done" else None)(
            ask(daemon.pages["web"], "GET", f"/keep/{begun['job']}")[1]), "the job ends")
        self.assertEqual((done["kept_traces"], done["kept_spans"]), (1, 4))
        again = self.job(daemon, {"trace_ids": [trace.hex(), trace.hex()], "reason": "twice"})
        self.assertEqual((again["kept_traces"], again["already_kept"]), (0, 2))
        until(lambda: self.sink.snapshot().get(trace) == ids, "all of it is delivered")
        self.assertEqual(self.sink.doubles, 0)
        daemon.metrics().check_law()

    def test_other_machines(self):
        self.config["web"]["endpoint"] = "0.0.0.0:0"
        daemon = self.start()
        web = daemon.pages["web"]
        for method, path in (("POST", "/keep"), ("POST", "/keep/alert"), ("DELETE", "/keep/1")):
            status, answer = ask(web, method, path, {"trace_ids": ["1"], "reason": "r"} if method == "POST" else None)
            self.assertEqual(status, 403, path)
            self.assertIn("web.auth", answer["error"])
        self.assertEqual(ask(web, "GET", "/keep/1")[0], 404)

    def test_bad_requests(self):
        daemon = self.start()
        for body, words in (({}, "trace_ids, or a condition"), ({"trace_ids": ["xyz"], "reason": "r"}, "hex"),
                            ({"trace_ids": ["1"]}, "reason"), ({"trace_ids": [], "reason": "r"}, "list"),
                            ({"condition": "duration >", "reason": "r"}, "condition"),
                            ({"trace_ids": ["1"], "reason": "r", "colour": 1}, "colour"),
                            ({"condition": "duration > 1s", "reason": "r", "from": "yesterday"}, "from"),
                            ({"condition": "duration > 1s", "reason": "r", "limit": 0}, "limit")):
            status, answer = ask(daemon.pages["web"], "POST", "/keep", body)
            self.assertEqual(status, 400, body)
            self.assertIn(words, answer["error"], body)
        self.assertEqual(ask(daemon.pages["web"], "GET", "/keep/99")[0], 404)
        self.assertEqual(ask(daemon.pages["web"], "DELETE", "/keep/99")[0], 404)
        self.assertEqual(ask(daemon.pages["web"], "DELETE", "/explain")[0], 405)


if __name__ == "__main__":
    unittest.main()
