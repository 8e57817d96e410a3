#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stored traces as people find them: /api/ of the page and `tailgate query`. query_test.py TAILGATE"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import h2_frames as h2  # noqa: E402
import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, basic_config, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "pay", "type": "string_attribute", "string_attribute": {"key": "http.route", "values": ["/pay"]}},
]
PAY, BROKEN, GONE = b"\x01" * 16, b"\x02" * 16, b"\x03" * 16
MARKUP = "<script>alert(1)</script>"
SECOND = 1_000_000_000


class QueryTest(unittest.TestCase):
    """One daemon for all: three traces came, two of them were kept."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.store = os.path.join(cls.directory.name, "store")
        cls.journal = os.path.join(cls.directory.name, "journal")
        config = basic_config(POLICIES, {"store": {"directory": cls.store}}, decision_wait="1s")
        config["journal"] = {"directory": cls.journal, "disk_free_min": 0}
        cls.daemon = Daemon(BINARY, cls.directory.name, config)
        cls.addClassCleanup(cls.daemon.kill)
        now = time.time_ns()
        root, child = b"\x0a" * 8, b"\x0b" * 8
        cls.send([otlp.span(PAY, "GET /pay", start_ns=now, end_ns=now + 2 * SECOND, span_id=root, attributes=[
                      ("http.route", "/pay"), (MARKUP, MARKUP)]),
                  otlp.span(PAY, "charge", parent=root, start_ns=now, end_ns=now + SECOND, span_id=child)])
        cls.send([otlp.span(BROKEN, MARKUP, start_ns=now - SECOND, end_ns=now - SECOND + 1000, error=True)])
        cls.send([otlp.span(GONE, "GET /gone", start_ns=now, end_ns=now + 3 * SECOND)])
        cls.web = cls.daemon.pages["web"]
        until(lambda: len(cls.search()["traces"]) == 2, "two traces in the store")

    @classmethod
    def send(cls, spans):
        request = urllib.request.Request(f"http://127.0.0.1:{cls.daemon.http}/v1/traces", otlp.request(spans, "shop"),
                                         {"Content-Type": "application/x-protobuf"})
        urllib.request.urlopen(request, timeout=10).close()

    @classmethod
    def api(cls, path, expect=200, **parameters):
        status, body = get(cls.web, path + ("?" + urllib.parse.urlencode(parameters) if parameters else ""))
        assert status == expect, f"{path} {parameters}: {status} {body}"
        return json.loads(body)

    @classmethod
    def search(cls, **parameters):
        return cls.api("/api/search", **parameters)

    def found(self, **parameters):
        return [one["trace_id"] for one in self.search(**parameters)["traces"]]

    def query(self, *arguments, expect=0):
        done = subprocess.run([BINARY, "query", *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def test_a_search_finds_by_each_condition_the_newest_first(self):
        pay, broken = PAY.hex(), BROKEN.hex()
        self.assertEqual(self.found(), [pay, broken])
        self.assertEqual(self.found(limit=1), [pay])
        self.assertEqual(self.found(service="shop"), [pay, broken])
        self.assertEqual(self.found(service="other"), [])
        self.assertEqual(self.found(operation="charge"), [pay])
        self.assertEqual(self.found(status="error"), [broken])
        self.assertEqual(self.found(min="1500ms"), [pay])
        self.assertEqual(self.found(max="1ms"), [broken])
        self.assertEqual(self.found(attributes="http.route=/pay"), [pay])
        self.assertEqual(self.found(attributes="http.route=/pay", operation="charge"), [])
        self.assertEqual(self.found(q='{ duration > 1s && resource.service.name = "shop" }'), [pay])
        self.assertEqual(self.found(q="{ } | count() > 1"), [pay])
        self.assertEqual(self.found(q="{ status = error }", status="ok"), [])
        self.assertEqual(self.found(since="1h"), [pay, broken])
        self.assertEqual(self.found(**{"from": "1000000000", "to": "1000000001"}), [])
        now = time.time_ns()
        for unit in (1, 1000, 1_000_000, 1_000_000_000):
            self.assertEqual(self.found(**{"from": str((now - 3600 * SECOND) // unit)}), [pay, broken])
        self.assertEqual(self.found(to="99999999999"), [pay, broken])  # beyond what 64 bits of nanoseconds hold
        one = self.search(limit=1)["traces"][0]
        self.assertEqual((one["spans"], one["errors"], one["policy"], one["root_name"]), (2, 0, "pay", "GET /pay"))
        self.assertEqual(one["duration_ns"], str(2 * SECOND))

    def test_decisions_that_are_only_remembered_are_marked(self):
        gone = [one for one in self.search(include="remembered")["traces"] if not one["stored"]]
        self.assertEqual([(one["trace_id"], one["verdict"]) for one in gone], [(GONE.hex(), "not_sampled")])
        for asked in ({"status": "ok"}, {"status": "unset"}, {"q": "{ }"}, {"attributes": "a=b"}):
            answer = self.search(include="remembered", **asked)
            self.assertEqual([one for one in answer["traces"] if not one["stored"]], [], asked)
            self.assertIn("not kept are left out", answer["cut"])
        self.assertEqual(self.found(q='{ trace:id = "%s" }' % PAY.hex().lstrip("0").upper()), self.found(service="shop")[:1])
        answer = self.api(f"/api/trace/{GONE.hex()}")
        self.assertIsNone(answer["trace"])
        self.assertEqual(answer["explained"]["verdict"], "not_sampled")

    def test_a_trace_comes_whole_with_why_it_was_kept(self):
        answer = self.api(f"/api/trace/{PAY.hex()}")
        spans = [span["name"] for resource in answer["trace"]["resourceSpans"]
                 for scope in resource["scopeSpans"] for span in scope["spans"]]
        self.assertEqual(sorted(spans), ["GET /pay", "charge"])
        self.assertEqual(answer["policy"], "pay")
        self.assertEqual([(v["policy"], v["vote"]) for v in answer["explained"]["votes"]],
                         [("errors", "not_sampled"), ("pay", "sampled")])
        self.assertEqual(self.api(f"/api/trace/{PAY.hex()}/otlp"), answer["trace"])

    def test_names_and_values_for_completion(self):
        self.assertEqual(self.api("/api/services"), {"services": ["shop"]})
        self.assertEqual(self.api("/api/operations", service="shop")["operations"],
                         sorted(["GET /pay", "charge", MARKUP]))
        self.assertIn("http.route", self.api("/api/attributes", prefix="http")["attributes"])
        self.assertEqual(self.api("/api/values", name="http.route"), {"values": ["/pay"]})

    def test_wrong_questions_say_what_was_wanted(self):
        for parameters, says in (({"limit": "0"}, "limit: expected 1 to 1000, got '0'"),
                                 ({"status": "bad"}, "status: expected unset, ok or error"),
                                 ({"min": "1"}, "min: expected a duration"), ({"min": "2s", "max": "1s"}, "max: expected no less"),
                                 ({"from": "yesterday"}, "from: expected a Unix time"), ({"attributes": "x"}, "attributes: expected key=value"),
                                 ({"q": "{ foo"}, "TraceQL: line 1, column 3: expected"), ({"other": "1"}, "got 'other'")):
            with self.subTest(parameters):
                self.assertIn(says, self.api("/api/search", expect=400, **parameters)["error"])
        self.assertIn("32 hex digits", self.api("/api/trace/xyz", expect=400)["error"])
        self.assertIn("not stored", self.api("/api/trace/" + "f" * 32, expect=404)["error"])

    def tried(self, form, text, expect=200, since=""):
        body = json.dumps({"form": form, "text": text, "since": since})
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}/api/try", body.encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        self.assertEqual(status, expect, body)
        return json.loads(body)

    def test_policies_are_tried_on_stored_traces(self):
        answer = self.tried("span", 'attributes["http.route"] == "/pay"')
        self.assertEqual((answer["traces"], answer["spans"], answer["kept_traces"], answer["kept_spans"]), (2, 3, 1, 2))
        self.assertEqual([t["trace_id"] for t in answer["kept"]], [PAY.hex()])
        self.assertEqual([t["trace_id"] for t in answer["not_kept"]], [BROKEN.hex()])
        self.assertEqual(answer["kept"][0]["root_name"], "GET /pay")
        self.assertNotEqual(answer["kept"][0]["why"], "")
        self.assertEqual([t["trace_id"] for t in self.tried("trace", "error_count >= 1")["kept"]], [BROKEN.hex()])
        answer = self.tried("policy", "- {name: slow, type: latency, latency: {threshold_ms: 1000}}\n"
                                      "- {name: never, type: latency, latency: {threshold_ms: 10000}}")
        self.assertEqual([(p["name"], p["decided"], p["sampled"], p["not_sampled"]) for p in answer["policies"]],
                         [("slow", 1, 1, 1), ("never", 0, 0, 2)])
        self.assertIn("wanted > 1000 ms", answer["kept"][0]["why"])
        self.assertEqual(self.tried("policy", "policies: [{name: all, type: always_sample}]", since="1h")["kept_traces"], 2)
        self.assertEqual(self.api("/api/policies")["policies"][0]["name"], "errors")  # the loaded ones are as they were

    def test_a_site_whose_name_leads_here_reads_nothing(self):
        for host, status in (("evil.example", 421), ("localhost:1", 200), ("127.0.0.1", 200), ("127.0.0.1.evil.example", 421)):
            for path in ("/", "/api/search", "/jaeger/api/services", "/tempo/api/v2/search/tags", "/explain"):
                with self.subTest(host=host, path=path):
                    request = urllib.request.Request(f"http://127.0.0.1:{self.web}{path}", headers={"Host": host})
                    try:
                        urllib.request.urlopen(request, timeout=10).close()
                        self.assertEqual(status, 200)
                    except urllib.error.HTTPError as error:
                        self.assertEqual(error.code, status)
                        self.assertIn(b"web.hosts", error.read())

    def test_a_trial_reads_neither_the_environment_nor_files(self):
        says = "expected no references to environment variables"
        self.assertIn(says, self.tried("policy", "{name: '${env:PATH}', type: always_sample}", 400)["error"])
        self.assertIn(says, self.tried("policy", "{name: a, type: '${HOME:-always_sample}'}", 400)["error"])
        self.assertEqual(self.tried("span", 'attributes["http.route"] == "${env:PATH}"')["kept_traces"], 0)
        self.assertIn("expected", self.tried("policy", "policy_files: [/etc/passwd]", 400)["error"])

    def test_a_wrong_trial_says_where(self):
        for form, text, says in (("span", "attributes[", "column"), ("policy", "{name: a, type: nothing}", "the policy:1:"),
                                 ("policy", "a: [", "the policy:1"), ("policy", "just words", "expected"),
                                 ("other", "x", "form: expected policy, span or trace"), ("span", " ", "text: expected")):
            with self.subTest(text):
                self.assertIn(says, self.tried(form, text, 400)["error"])
        self.assertIn("since: expected a duration", self.tried("span", "true", 400, since="soon")["error"])

    def test_a_damaged_block_is_said_on_stderr(self):
        copy = os.path.join(self.directory.name, "copy")
        shutil.copytree(self.store, copy)
        blocks = next(os.path.join(d, f) for d, _, files in os.walk(copy) for f in files if f == "traces.blocks")
        with open(blocks, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))
        done = subprocess.run([BINARY, "query", "--store", copy, "{}"], capture_output=True, text=True, timeout=60)
        self.assertIn(f"'{blocks}' is damaged.", done.stderr)
        self.assertIn("traces are left out or lack spans.", done.stderr)

    def test_queries_are_counted(self):
        before = self.daemon.metrics().sum("tailgate_queries_total", result="done")
        self.search()
        until(lambda: self.daemon.metrics().sum("tailgate_queries_total", result="done") > before, "one query more")

    def test_markup_in_names_stays_text(self):
        status, body = get(self.web, "/api/search")
        self.assertEqual(status, 200)
        connection = urllib.request.urlopen(f"http://127.0.0.1:{self.web}/api/search", timeout=10)
        self.assertEqual(connection.headers["content-type"], "application/json")
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.web}/trace/{BROKEN.hex()}", timeout=10)
        self.assertIn("script-src 'self'", page.headers["content-security-policy"])
        self.assertNotIn("alert(1)", page.read().decode())

    def test_grafana_finds_a_trace_as_in_a_tempo(self):
        self.assertEqual(get(self.web, "/tempo/api/echo"), (200, "echo\n"))
        found = self.api("/tempo/api/search", q='{ span.http.route = "/pay" }', start=int(time.time()) - 60, end=int(time.time()) + 60)
        self.assertEqual([one["traceID"] for one in found["traces"]], [PAY.hex().lstrip("0")])
        self.assertIn("span", [one["name"] for one in self.api("/tempo/api/v2/search/tags", limit=5000)["scopes"]])
        values = self.api("/tempo/api/v2/search/tag/span.http.route/values", q="{ status = }")
        self.assertEqual(values, {"tagValues": [{"type": "string", "value": "/pay"}]})
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}/tempo/api/v2/traces/{PAY.hex()}",
                                         headers={"Accept": "application/protobuf"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.assertEqual(answer.headers["content-type"], "application/protobuf")
            self.assertEqual(answer.read()[0], 0x0A)

    def test_grafana_dials_the_port_with_http2(self):
        """Its gRPC client does so, streaming or not. It must not be cut off, and a call must be told there is no such method."""
        connection = h2.Connection(self.web)
        connection.wait_settings()
        for _ in range(2):
            self.assertEqual(connection.call(h2.grpc_message(b"\x42\x02{}"), path="/tempopb.StreamingQuerier/Search"), 12)
        connection.close()

    def test_query_from_the_command_line_beside_the_daemon(self):
        out, _ = self.query("--store", self.store, '{ span.http.route = "/pay" }')
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([one["trace_id"] for one in lines], [PAY.hex()])
        self.assertEqual(lines[0]["policy"], "pay")
        out, _ = self.query("--store", self.store, "{}", "--format", "table")
        self.assertIn(PAY.hex(), out)
        self.assertEqual(len(out.splitlines()), 3)
        out, _ = self.query("--store", self.store, "{}", "--limit", "1", "--format", "otlp")
        self.assertEqual(json.loads(out), self.api(f"/api/trace/{PAY.hex()}/otlp"))
        out, _ = self.query("--store", self.store, "--trace", PAY.hex().upper(), "--format", "table")
        self.assertIn("kept by pay", out)
        self.assertRegex(out, r"shop GET /pay +\|=+\| +2.00s\n  shop charge +\|=+ +\| +1.00s")

    def test_query_finds_any_trace_in_a_journal(self):
        """Beside the daemon, and in a directory that no daemon has; marked as not kept."""
        copy = os.path.join(self.directory.name, "journal copy")
        until(lambda: json.loads(self.query("--journal", self.journal, "--trace", GONE.hex())[0])["verdict"] == "not_sampled",
              "the verdict is written")
        shutil.copytree(self.journal, copy)
        for directory in (self.journal, copy):
            out, error = self.query("--journal", directory, "--trace", GONE.hex(), "--format", "otlp")
            self.assertEqual(error, "")
            spans, = (scope for one in json.loads(out)["resourceSpans"] for scope in one["scopeSpans"])
            self.assertEqual([span["name"] for span in spans["spans"]], ["GET /gone"])
            self.assertIn({"key": "tailgate.verdict", "value": {"stringValue": "not_sampled"}}, spans["scope"]["attributes"])
            row = json.loads(self.query("--journal", directory, "--trace", GONE.hex().lstrip("0"))[0])
            self.assertEqual((row["trace_id"], row["verdict"], row["policy"], row["spans"], row["root_service"]),
                             (GONE.hex(), "not_sampled", "", 1, "shop"))
            row = json.loads(self.query("--journal", directory, "--trace", PAY.hex())[0])
            self.assertEqual((row["verdict"], row["policy"], row["spans"]), ("sampled", "pay", 2))
            out, _ = self.query("--journal", directory, "--trace", GONE.hex(), "--format", "table")
            self.assertIn("1 spans, 0 errors, not kept (not_sampled)", out)
            self.assertIn("not in the journal", self.query("--journal", directory, "--trace", "1", expect=4)[1])
        # With both the store is asked first.
        row = json.loads(self.query("--store", self.store, "--journal", copy, "--trace", PAY.hex())[0])
        self.assertNotIn("verdict", row)
        row = json.loads(self.query("--store", self.store, "--journal", copy, "--trace", GONE.hex())[0])
        self.assertEqual(row["verdict"], "not_sampled")
        self.assertIn("not in the store and not in the journal",
                      self.query("--store", self.store, "--journal", copy, "--trace", "1", expect=4)[1])
        # Without the ends nobody knows what was decided.
        for file in os.listdir(copy):
            if file.endswith(".ends"):
                os.remove(os.path.join(copy, file))
        self.assertEqual(json.loads(self.query("--journal", copy, "--trace", GONE.hex())[0])["verdict"], "unknown")
        self.assertIn("no verdict known", self.query("--journal", copy, "--trace", GONE.hex(), "--format", "table")[0])
        segment = next(one for one in sorted(os.listdir(copy)) if one.endswith(".requests"))
        with open(os.path.join(copy, segment), "w") as file:
            file.write("no file of ours, and no head of one")
        self.assertIn("1 places of the journal cannot be read, and may have spans of trace", self.query("--journal", copy, "--trace", GONE.hex(), expect=4)[1])
        self.assertIn("no files of a journal", self.query("--journal", self.store, "--trace", "1", expect=1)[1])
        self.assertIn("/nowhere", self.query("--journal", "/nowhere", "--trace", "1", expect=1)[1])

    def test_query_says_what_is_wrong(self):
        self.assertIn("no trace", self.query("--store", self.store, '{ name = "none" }', expect=4)[1])
        self.assertIn("not in the store", self.query("--store", self.store, "--trace", "1", expect=4)[1])
        self.assertIn("line 1, column 3", self.query("--store", self.store, "{ x", expect=1)[1])
        self.assertIn("/nowhere", self.query("--store", "/nowhere", "{}", expect=1)[1])
        for arguments, says in ((["{}"], "wants --store"), (["--store", "x"], "wants a query"),
                                (["--store", "x", "{}", "--trace", "1"], "wants a query"),
                                (["--store", "x", "--trace", "xy"], "hex digits"),
                                (["--store", "x", "{}", "--since", "soon"], "a duration"),
                                (["--store", "x", "{}", "--format", "xml"], "table, json or otlp"),
                                (["--journal", "x", "{}"], "by their id alone"),
                                (["--store", "x", "{}", "{}"], "one query")):
            with self.subTest(arguments):
                self.assertIn(says, self.query(*arguments, expect=2)[1])


if __name__ == "__main__":
    unittest.main()
