#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tailgate decide` as its users meet it: files, lines, exit codes. decide_test.py TAILGATE"""

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


def vote(policy, vote, span_id=None, attribute=None):
    return {"policy": policy, "vote": vote, "span_id": span_id, "attribute": attribute}


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
             "votes": [vote("slow", "not_sampled"), vote("pay \"now\"", "not_sampled"), vote("no-tests", "not_sampled")]},
            {"trace_id": A.hex(), "verdict": "sampled", "policy": "pay \"now\"", "close_reason": "timeout",
             "votes": [vote("slow", "not_sampled"), vote("pay \"now\"", "sampled", b"abcdefgh".hex(), "http.route"),
                       vote("no-tests", "not_sampled")]},
            {"trace_id": B.hex(), "verdict": "dropped", "policy": "no-tests", "close_reason": "timeout",
             "votes": [vote("no-tests", "dropped", b"87654321".hex(), "env")]},
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
        self.assertEqual(self.decide("-")[0], [])  # nothing is a TracesData of nothing

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
        self.assertEqual(errors, f"{path}:2: holds no spans, and its field 'resourceLogs' is not known\n"
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
