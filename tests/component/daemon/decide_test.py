#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tailgate decide` as its users meet it: files, lines, exit codes. decide_test.py TAILGATE"""

import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from tailgate_process import basic_config  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
POLICIES = [
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 1000}},
    {"name": "pay \"now\"", "type": "string_attribute", "string_attribute": {"key": "http.route", "values": ["/pay"]}},
    {"name": "no-tests", "type": "drop", "drop": {"drop_sub_policy": [
        {"name": "t", "type": "string_attribute", "string_attribute": {"key": "env", "values": ["test"]}}]}},
]
A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


SLOW = "duration 1 ms, wanted > 1000 ms"


def vote(policy, vote, why, span_id=None, attribute=None):
    return {"policy": policy, "vote": vote, "span_id": span_id, "attribute": attribute, "why": why}


class DecideTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.config = self.written("tailgate.yaml", json.dumps(basic_config(POLICIES, {"debug": {}})).encode())

    def written(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def decide(self, *arguments, stdin=b"", expect=0):
        done = subprocess.run([BINARY, "decide", "--config", self.config, *arguments], input=stdin,
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, expect, done.stderr.decode())
        return [json.loads(line) for line in done.stdout.decode().splitlines()], done.stderr.decode()

    def test_one_line_per_trace_in_the_order_of_first_spans(self):
        first = self.written("first.pb", otlp.request([
            otlp.span(C), otlp.span(A, span_id=b"12345678"), otlp.span(B, attributes=[("env", "test")], span_id=b"87654321")]))
        second = self.written("second.pb", otlp.request([
            otlp.span(A, attributes=[("http.route", "/pay")], span_id=b"abcdefgh", parent=b"12345678")]))
        lines, errors = self.decide(first, second)
        self.assertEqual(errors, "")
        self.assertEqual(lines, [
            {"trace_id": C.hex(), "verdict": "not_sampled", "policy": None, "close_reason": "timeout",
             "votes": [vote("slow", "not_sampled", SLOW), vote("pay \"now\"", "not_sampled", 'http.route on no span, wanted "/pay"'),
                       vote("no-tests", "not_sampled", 't: env on no span, wanted "test"')]},
            {"trace_id": A.hex(), "verdict": "sampled", "policy": "pay \"now\"", "close_reason": "timeout",
             "votes": [vote("slow", "not_sampled", SLOW),
                       vote("pay \"now\"", "sampled", 'http.route "/pay", wanted "/pay"', b"abcdefgh".hex(), "http.route"),
                       vote("no-tests", "not_sampled", 't: env on no span, wanted "test"')]},
            {"trace_id": B.hex(), "verdict": "dropped", "policy": "no-tests", "close_reason": "timeout",
             "votes": [vote("no-tests", "dropped", 't: env "test", wanted "test"', b"87654321".hex(), "env")]},
        ])

    def test_close_reasons(self):
        spans = self.written("spans.pb", otlp.request([otlp.span(A, name="n" * 500), otlp.span(B), otlp.span(C, parent=b"12345678")]))
        lines, _ = self.decide("--set", "sampling.decision_wait_after_root_received=1s",
                               "--set", "sampling.maximum_trace_size_bytes=400", spans)
        self.assertEqual([line["close_reason"] for line in lines], ["too_large", "root", "timeout"])
        self.assertEqual(lines[0]["votes"], [])

    def test_json_lines_standard_input_and_an_object_over_many_lines(self):
        one, two = otlp.json_request(A), otlp.json_request(B)
        lines, _ = self.decide("-", stdin=one + b"\r\n\n" + two)
        self.assertEqual([line["trace_id"] for line in lines], [A.hex(), B.hex()])
        pretty = self.written("pretty.json", json.dumps(json.loads(one), indent=2).encode())
        lines, _ = self.decide(pretty, "-", stdin=otlp.request([otlp.span(A), otlp.span(C)]))
        self.assertEqual([line["trace_id"] for line in lines], [A.hex(), C.hex()])

    def test_no_span_at_all_is_an_error_that_says_what_came_instead(self):
        for stdin, says in (
                (b"", "-: is empty: expected spans\n"),
                (b"{}\n", "the input holds no spans: nothing was judged\n"),
                (b"\n \n", "-: "),
                (b'{"foo":1}', "-:1: holds no spans: its field 'foo' is not known; expected OTLP, or JSON of Jaeger, Tempo or Zipkin\n"),
                (b'{"data":[]}', "-:1: holds no spans: expected traces under `data`, as Jaeger has them: {traceID, spans, processes}\n"),
                (b'{"total":1,"data":[{"traceID":"1","spans":7}]}', "-:1: expected what Jaeger's query API gives: data[0].spans: expected a list\n"),
                (b'{"batches":[]}', "-:1: holds no spans: "),
                (b'{"batches":[{"scopeSpans":3}]}', "-:1: expected what Tempo's query API gives: resourceSpans[0].scopeSpans: "),
                (b'{"traces":[{"traceID":"2f3e"}]}', "-:1: holds no spans: this looks like the answer of a search in Tempo"),
                # one error, however many lines the document has
                (b'{\n "resourceSpans": [\n  {\n   "scopeSpans": [\n', "-: at byte "),
                (b'{\n "data": [\n  5\n ]\n}\n', "-: expected what Jaeger's query API gives: data[0]: expected an object"),
                (b'{"data":[{"spans":[{"traceID":"1",}]}]}', "-:1: "),
                (b"[]", "-: holds no spans\n"), (b"[1]", "-: expected OTLP or a list of Zipkin's spans: "),
                (b"hello", "-: ")):
            lines, errors = self.decide("-", stdin=stdin, expect=1)
            self.assertEqual(lines, [], stdin)
            self.assertTrue(errors.startswith(says), (stdin, errors))
            self.assertEqual(len(errors.splitlines()), 1, (stdin, errors))

    def test_what_jaegers_query_api_gives_is_read(self):
        trace = {"traceID": "61" * 16, "processes": {"p1": {"serviceName": "shop", "tags": [{"key": "env", "type": "string", "value": "live"}]},
                                                     "p2": {"serviceName": "db", "tags": [{"key": "env", "type": "string", "value": "test"}]}},
                 "spans": [{"traceID": "61" * 16, "spanID": "1", "operationName": "GET /pay", "references": [], "startTime": 1700000000000000,
                            "duration": 1500000, "processID": "p1", "logs": [], "warnings": None,
                            "tags": [{"key": "http.route", "type": "string", "value": "/pay"}, {"key": "error", "type": "bool", "value": True}]},
                           {"traceID": "62" * 16, "spanID": "2", "operationName": "q", "startTime": 1700000000000000, "duration": 1, "processID": "p2"},
                           {"traceID": "61" * 16, "spanID": "3", "operationName": "q", "startTime": 1700000000000001, "duration": 2, "processID": "p1",
                            "references": [{"refType": "CHILD_OF", "traceID": "61" * 16, "spanID": "1"}]}]}
        document = {"total": 0, "limit": 0, "errors": None, "data": [trace, {"traceID": "c", "spans": [
            {"traceID": "c", "spanID": "1", "startTime": 5, "duration": 1}]}]}
        for text in (json.dumps(document), json.dumps(document, indent=2)):
            lines, errors = self.decide("--set", "sampling.decision_wait_after_root_received=1s", "-", stdin=text.encode())
            self.assertEqual(errors, "")
            self.assertEqual([(line["trace_id"], line["verdict"], line["policy"], line["close_reason"]) for line in lines],
                             [("61" * 16, "sampled", "slow", "root"), ("62" * 16, "dropped", "no-tests", "root"),
                              ("c".rjust(32, "0"), "not_sampled", None, "root")])

    def test_what_tempos_query_api_gives_is_read(self):
        def base64_of(data):
            return base64.b64encode(data).decode()

        spans = [{"traceId": base64_of(A), "spanId": base64_of(b"12345678"), "name": "GET", "kind": "SPAN_KIND_SERVER",
                  "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000002000000000",
                  "attributes": [{"key": "http.route", "value": {"stringValue": "/pay"}}],
                  "status": {"code": "STATUS_CODE_ERROR"}},
                 {"traceId": base64_of(A), "spanId": base64_of(b"abcdefgh"), "parentSpanId": base64_of(b"12345678"), "name": "q"}]
        resource = {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}}
        first = {"batches": [{**resource, "instrumentationLibrarySpans": [{"instrumentationLibrary": {}, "spans": spans}]}]}
        second = {"trace": {"resourceSpans": [{**resource, "scopeSpans": [{"scope": {}, "spans": spans}]}]}, "metrics": {}}
        errors_only = [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}]
        self.config = self.written("errors.yaml", json.dumps(basic_config(errors_only, {"debug": {}})).encode())
        for document in (first, second, second["trace"]):
            for text in (json.dumps(document), json.dumps(document, indent=1)):
                lines, errors = self.decide("--set", "sampling.decision_wait_after_root_received=1s", "-", stdin=text.encode())
                self.assertEqual(errors, "")
                self.assertEqual([(line["trace_id"], line["close_reason"]) for line in lines], [(A.hex(), "root")])
                self.assertEqual(lines[0]["votes"][0]["span_id"], b"12345678".hex())

    def test_zipkins_list_of_spans_is_read(self):
        spans = [{"traceId": A.hex(), "id": "1", "timestamp": 1700000000000000, "duration": 2000000, "localEndpoint": {"serviceName": "shop"}}]
        lines, _ = self.decide("-", stdin=json.dumps(spans).encode())
        self.assertEqual([(line["trace_id"], line["policy"]) for line in lines], [(A.hex(), "slow")])

    def test_a_summary_counts_by_verdict_and_by_policy(self):
        spans = self.written("spans.pb", otlp.request([
            otlp.span(A, attributes=[("http.route", "/pay")]), otlp.span(B, attributes=[("env", "test")]), otlp.span(C)]))
        done = subprocess.run([BINARY, "decide", "--summary", "--config", self.config, spans], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(lines[0], "3 traces: 1 sampled, 1 not_sampled, 1 dropped; 1 of 3 spans sampled")
        rows = {line.rsplit(None, 4)[0]: [int(n) for n in line.rsplit(None, 4)[1:]] for line in lines[3:]}
        self.assertEqual(rows, {"slow": [0, 0, 2, 0], "pay \"now\"": [1, 1, 1, 0], "no-tests": [1, 0, 2, 1]})

    def test_a_name_with_a_line_feed_stays_on_its_line_of_the_summary(self):
        policies = [{"name": "a\nb", "type": "always_sample"}]
        config = self.written("names.yaml", json.dumps(basic_config(policies, {"debug": {}})).encode())
        done = subprocess.run([BINARY, "decide", "--summary", "--config", config, "-"], capture_output=True, timeout=60,
                              input=otlp.request([otlp.span(A)]))
        lines = done.stdout.decode().splitlines()
        self.assertEqual(lines[0], "1 trace: 1 sampled, 0 not_sampled, 0 dropped; 1 of 1 spans sampled")
        self.assertEqual([line.split()[0] for line in lines[3:]], ["a\\x0ab"])

    def test_a_configuration_through_a_pipe_is_read_once(self):
        spans = self.written("spans.pb", otlp.request([otlp.span(A, attributes=[("http.route", "/pay")])]))
        script = f"{BINARY} decide --config <(cat {self.config}) {spans}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["policy"], 'pay "now"')

    def test_a_file_of_policies_alone_is_a_configuration(self):
        spans = self.written("spans.pb", otlp.request([otlp.span(A, attributes=[("http.route", "/pay")])]))
        self.config = self.written("policies.yaml", json.dumps({"policies": POLICIES}).encode())
        self.assertEqual([line["policy"] for line in self.decide(spans)[0]], ["pay \"now\""])
        self.config = self.written("policies.yaml", b"policies:\n  - {name: a, type: latencies}\n")
        self.assertIn("policies.yaml:2:", self.decide(spans, expect=1)[1])

    def test_a_receiver_that_marks_spans_adds_a_policy_of_ours(self):
        config = basic_config(POLICIES, {"debug": {}})
        config["receivers"]["jaeger"] = {"protocols": {"thrift_http": {"endpoint": "localhost:0"}}}
        self.config = self.written("jaeger.yaml", json.dumps(config).encode())
        lines, _ = self.decide("-", stdin=otlp.request([otlp.span(A)]))
        self.assertEqual([v["policy"] for v in lines[0]["votes"]], ["_debug", "slow", "pay \"now\"", "no-tests"])

    def test_blanks_and_a_byte_order_mark_before_json(self):
        one = otlp.json_request(A)
        pretty = json.dumps(json.loads(one), indent=2).encode()
        for stdin in (b"\n\n  " + one, b"\xef\xbb\xbf" + one + b"\n", b"\r\n" + pretty, b"\xef\xbb\xbf" + pretty):
            self.assertEqual([line["trace_id"] for line in self.decide("-", stdin=stdin)[0]], [A.hex()], stdin)
        for size in range(40, 200):  # whatever its length: 123 is a `{`
            request = otlp.request([otlp.span(B, name="n" * size)])
            self.assertEqual([line["trace_id"] for line in self.decide("-", stdin=request)[0]], [B.hex()], size)

    def test_a_compressed_file_is_told_by_name(self):
        _, errors = self.decide("-", stdin=gzip.compress(otlp.request([otlp.span(A)])), expect=1)
        self.assertEqual(errors, "-: expected OTLP, got gzip: `zcat FILE | tailgate decide ... -`\n")

    def test_a_bad_line_is_named_and_the_rest_is_judged(self):
        path = self.written("lines.json", otlp.json_request(A) + b"\n{\"resourceSpans\": 7}\n" + otlp.json_request(B) + b"\n")
        lines, errors = self.decide(path, expect=1)
        self.assertEqual([line["trace_id"] for line in lines], [A.hex(), B.hex()])
        self.assertIn(f"{path}:2: ", errors)
        self.assertEqual(len(errors.splitlines()), 1)

    def test_what_holds_no_spans_is_named(self):
        logs = b'{"resourceLogs":[{"scopeLogs":[]}]}'
        path = self.written("lines.json", otlp.json_request(A) + b"\n" + logs + b'\n{"resourceSpans":[{"scopeSpans":[]}]}\n{}\n')
        lines, errors = self.decide(path, expect=1)
        self.assertEqual([line["trace_id"] for line in lines], [A.hex()])
        self.assertEqual(errors, f"{path}:2: holds no spans: these are logs of OTLP, not traces\n"
                                 f"{path}:3: holds no spans\n")
        self.assertEqual(self.decide("-", stdin=b"\x0a\x02\x12\x00", expect=1)[1], "-: holds no spans\n")

    def test_text_that_is_not_unicode_is_read_and_named(self):
        bad = otlp.json_request(A).replace(b'"name": "', b'"name": "\\ud83d').replace(b'"name":"', b'"name":"\\ud83d')
        self.assertIn(b"ud83d", bad)
        lines, errors = self.decide("-", stdin=bad)
        self.assertEqual([line["trace_id"] for line in lines], [A.hex()])
        self.assertEqual(errors, "-:1: 1 text is not Unicode and read with U+FFFD\n")

    def test_a_bad_file_and_bad_ids_are_named_and_the_rest_is_judged(self):
        whole = otlp.request([otlp.span(A)])
        cut = self.written("cut.pb", whole[:-2])
        odd = self.written("odd.pb", otlp.request([otlp.span(b"short"), otlp.span(B)]))
        lines, errors = self.decide(cut, odd, expect=1)
        self.assertEqual([line["trace_id"] for line in lines], [B.hex()])
        self.assertIn(f"{cut}: ", errors)
        self.assertIn(f"{odd}: 1 span left out, first: resource_spans[0].scope_spans[0].spans[0].trace_id", errors)

    def test_what_cannot_be_opened_is_3_and_wrong_usage_is_2(self):
        good = self.written("good.pb", otlp.request([otlp.span(A)]))
        lines, errors = self.decide(good, good + ".none", expect=3)
        self.assertEqual(lines, [])
        self.assertIn(good + ".none", errors)
        self.decide(self.directory, expect=3)
        self.decide(expect=2)
        self.decide("--fast", good, expect=2)
        self.decide("--set", "sampling.policies.0.type=no_such", good, expect=1)

    def test_a_limit_as_the_last_rule_says_why(self):
        rules = [{"name": "rules", "type": "first_match", "first_match": [
            {"name": "errors", "policy": {"type": "status_code", "status_code": {"status_codes": ["ERROR"]}}},
            {"name": "rest", "policy": {"type": "rate_limiting", "rate_limiting": {
                "traces_per_second": 1, "burst_capacity": 1, "per": "service.name"}}}]}]
        self.config = self.written("rules.yaml", json.dumps(basic_config(rules, {"debug": {}})).encode())
        spans = self.written("spans.pb", otlp.request([otlp.span(A), otlp.span(B)]))
        lines, _ = self.decide(spans)
        self.assertEqual([(line["policy"], line["votes"][0]["why"]) for line in lines], [
            ("rules/rest", "rule rest: 1 trace, room in 1 a second for each service.name"),
            (None, "no rule matches: rule errors: no span with status ERROR; "
                   "rule rest: 1 trace, no room left in 1 a second for each service.name")])

    def test_rate_limits_run_on_the_time_of_the_spans(self):
        cap = [{"name": "cap", "type": "rate_limiting", "rate_limiting": {"spans_per_second": 1, "burst_capacity": 1}}]
        self.config = self.written("cap.yaml", json.dumps(basic_config(cap, {"debug": {}})).encode())
        second = 1_000_000_000
        start = 1_700_000_000 * second
        ids = [bytes([i]) * 16 for i in range(1, 7)]
        spans = self.written("spans.pb", otlp.request(
            [otlp.span(trace, end_ns=start + i * second // 2) for i, trace in enumerate(ids)]))
        for options in ([], ["--set", "sampling.use_tracestate=true"]):
            lines, _ = self.decide(*options, spans)
            self.assertEqual(sum(line["verdict"] == "sampled" for line in lines), 3, options)


if __name__ == "__main__":
    unittest.main()
