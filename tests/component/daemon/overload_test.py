#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Five times more than memory can hold: new traces are shed whole, those taken in arrive whole. overload_test.py TAILGATE"""

import json
import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import http.client  # noqa: E402

import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, basic_config, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
SECONDS = 20
TRACES_PER_SECOND = 800
SPANS = 4
FILLER = [("text", "x" * 1500)]


class Overload(unittest.TestCase):
    def test_error_traces_taken_in_arrive_whole(self):
        with tempfile.TemporaryDirectory() as directory:
            kept_path = os.path.join(directory, "kept.json")
            config = basic_config([{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}],
                                  {"file": {"path": kept_path}}, decision_wait="20s", memory_limit="96MiB", overload_min_wait="7s")
            with Daemon(BINARY, directory, config) as daemon:
                daemon.metrics()  # has every counter that the next one has
                errors = self.load(daemon)
                metrics = daemon.metrics()
                metrics.check_law()
                self.assertGreater(metrics.sum("tailgate_shed_ratio"), 0.1)
                self.assertGreater(metrics.sum("tailgate_traces_decided_total", close_reason="memory"), 1000)
                self.assertEqual(metrics.sum("tailgate_spans_shed_total", reason="overload"), SPANS * metrics.sum("tailgate_traces_shed_total"))
                shed = set()
                for trace in errors:
                    status, body = get(daemon.pages["web"], f"/explain/{trace.hex()}")
                    self.assertEqual(status, 200)
                    answer = json.loads(body)
                    if answer.get("shed") == "overload":
                        self.assertLess(answer["random"], answer["shed_threshold"].ljust(14, "0"))
                        shed.add(trace)
                until(lambda: daemon.metrics().sum("tailgate_shed_ratio") == 0, "the shedding ends", seconds=60)
                log = daemon.log()
                self.assertEqual(log.count("memory is short: traces are decided early"), 1, log)
                self.assertEqual(log.count("decision_wait=20s memory_limit=96MiB"), 1, log)
                until(lambda: "memory is enough again" in daemon.log(), "the end of it is logged", seconds=60)
                self.assertEqual(daemon.stop(), 0)
            spans = {}
            with open(kept_path) as lines:
                for line in lines:
                    for resource in json.loads(line)["resourceSpans"]:
                        for scope in resource["scopeSpans"]:
                            for span in scope["spans"]:
                                spans.setdefault(span["traceId"], set()).add(span["spanId"])
            accepted = [trace for trace in errors if trace not in shed]
            whole = sum(len(spans.get(trace.hex(), ())) == SPANS for trace in accepted)
            print(f"{len(errors)} traces with an error, {len(shed)} shed, {whole} of the other {len(accepted)} whole")
            self.assertGreater(len(accepted), 500)
            self.assertGreater(len(shed), 100)
            self.assertGreaterEqual(whole, 0.99 * len(accepted))
            self.assertFalse([trace for trace in shed if trace.hex() in spans])

    def load(self, daemon):
        """Each trace comes in two halves, a quarter of a second apart; a tenth of them has an error in its last span."""
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http, timeout=30)
        errors, waiting = [], []
        begin = time.monotonic()
        batch = TRACES_PER_SECOND // 20
        for step in range(SECONDS * 20):
            fresh = [os.urandom(16) for _ in range(batch)]
            spans = [otlp.span(trace, attributes=FILLER) for trace in fresh for _ in range(SPANS // 2)]
            waiting.append(fresh)
            if len(waiting) > 5:
                for i, trace in enumerate(waiting.pop(0)):
                    bad = i % 10 == 0
                    if bad:
                        errors.append(trace)
                    spans += [otlp.span(trace, attributes=FILLER), otlp.span(trace, attributes=FILLER, error=bad)]
            self.post(connection, spans)
            time.sleep(max(0.0, begin + (step + 1) / 20 - time.monotonic()))
        for rest in waiting:
            self.post(connection, [otlp.span(trace, attributes=FILLER) for trace in rest for _ in range(SPANS // 2)])
        connection.close()
        return errors

    def post(self, connection, spans):
        connection.request("POST", "/v1/traces", otlp.request(spans), {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        self.assertEqual(answer.status, 200)


if __name__ == "__main__":
    unittest.main()
