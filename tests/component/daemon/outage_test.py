#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backend that is away, with a durable queue and a second backend that is well.

outage_test.py TAILGATE [--seconds N] [--well N] [--rate SPANS_PER_SECOND] [--slack SECONDS] [--modes MODE...]: for each mode of
being away, N seconds all well (--well, or as long as it is away), N seconds away, then back. Nothing may be lost, what waited comes in the order of its age and at twice the line rate at least, and the other backend's
latency stays what it was.
"""

import argparse
import http.client
import os
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from otlp_sink import SinkProcess  # noqa: E402
from tailgate_process import Daemon, basic_config, expect, until  # noqa: E402

MODES = ["down", "stopped", "busy", "reset", "partial", "slow"]
SPANS = 10
BATCH = 128 << 10
POLICY = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}


class Load(threading.Thread):
    """One request every 20 ms, of whole traces that are kept."""

    def __init__(self, port, rate):
        super().__init__()
        self.port, self.rate = port, rate
        self.ending = False
        self.sent = {}  # trace id -> when it was sent
        self.error = None

    def run(self):
        filler = otlp.field(9, otlp.attribute("text", "x" * 900))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        begin, traces = time.monotonic(), 0
        try:
            while not self.ending:
                due = int((time.monotonic() - begin) * self.rate / SPANS) - traces
                spans = []
                for _ in range(due):
                    trace = os.urandom(16)
                    self.sent[trace] = time.monotonic()
                    spans += [otlp.span(trace, span_id=bytes(7) + bytes([i + 1]), error=i == 0) + filler for i in range(SPANS)]
                traces += due
                if spans:
                    connection.request("POST", "/v1/traces", otlp.request(spans), {"Content-Type": "application/x-protobuf"})
                    answer = connection.getresponse()
                    answer.read()
                    expect(answer.status == 200, f"the daemon answers {answer.status}")
                time.sleep(0.02)
        except Exception as error:  # told by the main thread
            self.error = error


def p99(values):
    values = sorted(values)
    return values[int(0.99 * (len(values) - 1))]


def run(binary, mode, quiet_seconds, seconds, rate, slack):
    well, sick = SinkProcess(), SinkProcess()
    with tempfile.TemporaryDirectory() as directory:
        # Small batches: ten may be in flight and cross.
        queue = {"directory": os.path.join(directory, "queue"), "max_bytes": "20GiB", "sizer": "bytes",
                 "batch": {"min_size": BATCH, "max_size": BATCH, "flush_timeout": "50ms"}}
        retry = {"initial_interval": "500ms", "max_interval": "2s"}
        exporters = {f"otlphttp/{name}": {"endpoint": f"http://127.0.0.1:{sink.port}", "timeout": "3s", "compression": "none",
                                          "sending_queue": queue, "retry_on_failure": retry}
                     for name, sink in (("well", well), ("sick", sick))}
        with Daemon(binary, directory, basic_config([POLICY], exporters, decision_wait="100ms")) as daemon:
            load = Load(daemon.http, rate)
            load.start()
            time.sleep(quiet_seconds)
            away = time.monotonic()
            {"down": sick.end, "stopped": sick.pause}.get(mode, lambda: sick.mode(mode))()
            time.sleep(seconds)
            before = daemon.metrics()
            behind = before.sum("tailgate_export_oldest_seconds", exporter="otlphttp/sick")
            waiting = before.sum("tailgate_export_queue_spans", exporter="otlphttp/sick")
            back = time.monotonic()
            {"down": sick.start, "stopped": sick.resume}.get(mode, lambda: sick.mode("ok"))()

            # From the first success on: an open circuit asks only now and then.
            sent_at = lambda: daemon.metrics().sum("tailgate_export_spans_total", exporter="otlphttp/sick")  # noqa: E731
            already = sent_at()
            until(lambda: sent_at() > already, "the backend that is back gets something", 60)
            first = time.monotonic()
            until(lambda: daemon.metrics().sum("tailgate_export_oldest_seconds", exporter="otlphttp/sick") < 1.5,
                  "the backlog is drained", 60 + 2 * seconds, every=0.1)
            drained = time.monotonic() - first
            load.ending = True
            load.join()
            if load.error:
                raise load.error
            until(lambda: daemon.metrics().sum("tailgate_export_queue_spans") == 0, "all is delivered", 30)
            metrics = daemon.metrics()
            metrics.check_law()
            expect(metrics.sum("tailgate_spans_refused_total") == 0, "spans were refused")
            expect(daemon.stop() == 0, "a clean end")
            if mode != "partial":
                expect(metrics.sum("tailgate_export_lost_spans_total") == 0, "spans were lost")
                expect(metrics.sum("tailgate_export_failed_spans_total") == 0, "spans failed")
            else:
                rejected = metrics.sum("tailgate_export_failed_spans_total", reason="partial", exporter="otlphttp/sick")
                expect(rejected > 0, "rejected spans are not counted")
        for name, sink in (("well", well), ("sick", sick)):
            traces = sink.look("traces")["traces"]
            missing = sum(len(traces.get(trace, ())) != SPANS for trace in load.sent)
            expect(missing == 0, f"{missing} of {len(load.sent)} traces are not whole at the backend that is {name}")
        arrived = well.look("first")["first"]
        state = sick.look("order", "doubles")
        sick.end()
        well.end()

    latency = lambda a, b: [arrived[t] - at for t, at in load.sent.items() if a <= at < b]  # noqa: E731
    quiet, during = p99(latency(away - quiet_seconds * 0.8, away - 1)), p99(latency(away + 1, back - 1))
    # By age: batches in flight together may cross; at random it would be 0.33, newest first 0.5.
    backlog = [t for t in state["order"] if away < load.sent[t] < back]
    by_age = {t: i for i, t in enumerate(sorted(backlog, key=load.sent.get))}
    disorder = sum(abs(by_age[t] - i) for i, t in enumerate(backlog)) / max(1, len(backlog)) ** 2
    drain_rate = (waiting + rate * drained) / max(drained, 0.1)
    print(f"{mode}: {len(load.sent) * SPANS} spans, none lost, {state['doubles']} came twice; {waiting:.0f} spans waited, {behind:.1f} s behind; "
          f"{first - back:.1f} s to the first success, drained in {drained:.1f} s at {drain_rate:.0f} spans/s ({drain_rate / rate:.1f} x line rate); "
          f"disorder {disorder:.3f}; p99 latency of the other backend {quiet * 1000:.0f} -> {during * 1000:.0f} ms", flush=True)
    if mode in ("down", "stopped", "busy", "reset"):
        expect(waiting > rate * seconds * 0.7, "the backend was not away")
        expect(drain_rate >= 2 * rate, "drained too slowly")
        expect(disorder < 0.15, "the order is not that of age")
    expect(during <= 1.5 * quiet + slack, "the other backend waits longer")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--modes", nargs="+", default=MODES)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--well", type=float, help="seconds before, by default as many")
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--slack", type=float, default=0.02, help="seconds of latency that a machine busy with other things may add")
    options = parser.parse_args()
    for mode in options.modes:
        expect(mode in MODES, f"expected modes among {MODES}")
        run(options.binary, mode, options.well or options.seconds, options.seconds, options.rate, options.slack)


if __name__ == "__main__":
    main()
