#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A journal under load, with kill -9 and SIGTERM at random moments. restart_test.py TAILGATE [--kills N] [--stops N] [--seed N] [--ack LEVEL]

The exporter's queue is in memory, so that nothing but the journal brings back what was open or not sent. At the end: a trace
with an error whose requests were all answered OK is whole at the backend, also when a kill came between them. Then a full
journal, both ways that it can fail, and files that are not as they should be.
"""

import argparse
import glob
import http.client
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from otlp_sink import Sink  # noqa: E402
from tailgate_process import Daemon, basic_config, expect, get, until  # noqa: E402

WAIT = 3.0  # decision_wait
SPANS = 6
POLICY = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}


def config_of(directory, sink, ack="journal", **journal):
    config = basic_config([POLICY], {"otlphttp": {"endpoint": f"http://127.0.0.1:{sink.port}",
                                                  "retry_on_failure": {"initial_interval": "100ms", "max_interval": "500ms"}}},
                          decision_wait=f"{int(WAIT * 1000)}ms")
    config["journal"] = {"directory": os.path.join(directory, "journal"), "ack": ack, "disk_free_min": 0, **journal}
    return config


class Load(threading.Thread):
    """Sends traces of two requests each, over restarts of the daemon. A trace that it was not told OK for is not promised."""

    def __init__(self, seed):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.port, self.ending = 0, False
        self.whole, self.others, self.sent = {}, 0, 0
        self.waiting = []  # (when the second half goes, trace, span ids, spans, error, begun)

    def post(self, connection, spans):
        try:
            connection.request("POST", "/v1/traces", otlp.request(spans), {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            self.sent += len(spans)
            return answer.status == 200
        except (OSError, http.client.HTTPException):
            connection.close()
            return False

    def run(self):
        port, connection = 0, None
        while not self.ending or self.waiting:
            if self.port != port:
                port = self.port
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            now = time.monotonic()
            if self.waiting and self.waiting[0][0] <= now:
                _, trace, ids, spans, error, begun = self.waiting.pop(0)
                good = self.post(connection, spans[SPANS // 2:])
                # Too late a half may find its trace decided.
                if not good or time.monotonic() - begun > WAIT * 0.8:
                    self.others += 1
                elif error:
                    self.whole[trace] = set(ids)
                continue
            if self.ending:
                time.sleep(0.01)
                continue
            trace = self.random.randbytes(16)
            ids = [self.random.randbytes(8) for _ in range(SPANS)]
            size = 40_000 if self.random.randrange(20) == 0 else 300
            error = self.random.randrange(3) != 0
            spans = [otlp.span(trace, span_id=i, parent=b"" if i is ids[0] else ids[0], error=error and i is ids[-1],
                               attributes=[("text", "x" * size)]) for i in ids]
            begun = time.monotonic()
            if self.post(connection, spans[:SPANS // 2]):
                self.waiting.append((begun + self.random.uniform(0, 1.2), trace, ids, spans, error, begun))
                self.waiting.sort(key=lambda w: w[0])
            else:
                self.others += 1
            time.sleep(0.004)


def cycles(options, directory, how, count):
    r = random.Random(options.seed)
    sink = Sink()
    config = config_of(directory, sink, options.ack)
    loads = [Load(r.randrange(1 << 32)) for _ in range(2)]
    slowest, replayed = 0, 0
    for cycle in range(count + 1):
        started = time.monotonic()
        with Daemon(options.binary, directory, config) as daemon:
            slowest = max(slowest, time.monotonic() - started)
            for load in loads:
                load.port = daemon.http
                if cycle == 0:
                    load.start()
            if cycle == count:
                for load in loads:
                    load.ending = True
                    load.join()
                time.sleep(WAIT + 0.5)
                until(lambda: daemon.metrics().sum("tailgate_buffer_spans") == 0, "everything is decided", 60)
                until(lambda: daemon.metrics().sum("tailgate_export_queue_spans") == 0, "everything is delivered", 60)
                metrics = daemon.metrics()
                metrics.check_law()
                replayed += metrics.sum("tailgate_spans_replayed_total")
                expect(metrics.sum("tailgate_journal_replayed_requests_total", result="failed") == 0, "not replayed")
                expect(daemon.stop() == 0, "a clean end")
                break
            time.sleep(r.uniform(0.1, 2.5))
            metrics = daemon.metrics()
            metrics.check_law()
            replayed += metrics.sum("tailgate_spans_replayed_total")
            if how == signal.SIGKILL:
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            else:
                expect(daemon.stop() == 0, "a clean end")
    at = sink.snapshot()
    whole = {trace: ids for load in loads for trace, ids in load.whole.items()}
    others = sum(load.others for load in loads)
    missing = [t for t in whole if t not in at]
    cut = [t for t in whole if t in at and not whole[t] <= at[t]]
    print(f"{count} x {how.name}, ack {options.ack}: {len(whole)} traces to keep, {len(missing)} missing, {len(cut)} cut, "
          f"{sink.doubles} spans came again, {replayed:.0f} spans replayed, {others} traces without a promise, "
          f"ready after {slowest:.2f} s at most")
    sink.close()
    expect(not missing and not cut, "spans of acknowledged requests were lost")
    expect(len(whole) > 10 * count and replayed > 0, "too little was tested")


def one(port, spans):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/v1/traces", otlp.request(spans), {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("retry-after"), answer.read()
    finally:
        connection.close()


def big(trace):
    return [otlp.span(trace, attributes=[("noise", os.urandom(24_000).hex())]) for _ in range(20)]


def full(options, directory):
    """max_bytes is reached while nothing may be deleted: refused with a retry time, or passed by; well again after it."""
    sink = Sink("busy")
    for on_failure in ("refuse", "memory"):
        shutil.rmtree(os.path.join(directory, "journal"), ignore_errors=True)
        config = config_of(directory, sink, max_bytes="64MiB", on_failure=on_failure, compression="none")
        with Daemon(options.binary, directory, config) as daemon:
            refused = 0
            for n in range(90):
                status, retry, body = one(daemon.http, big(os.urandom(16)))
                if status == 200:
                    continue
                refused += 1
                expect(status == 503 and retry == "1" and b"journal" in body, f"{status} {retry} {body}")
            metrics = daemon.metrics()
            metrics.check_law()
            expect(metrics.sum("tailgate_journal_bytes") <= 64 << 20, "the journal is larger than it may be")
            expect(metrics.sum("tailgate_journal_failing") == 1, "it says that it fails")
            expect("the journal cannot be written" in daemon.ready()[1], "/ready says so too")
            if on_failure == "refuse":
                expect(refused > 0, "a full journal refuses")
                expect(metrics.sum("tailgate_requests_refused_total", reason="journal") == refused, "refusals are counted")
            else:
                expect(refused == 0 and metrics.sum("tailgate_journal_requests_total", result="passed_by") > 0,
                       "requests pass a full journal by")
            until(lambda: one(daemon.http, big(os.urandom(16)))[0] == 200 and
                  daemon.metrics().sum("tailgate_journal_failing") == 0, "it is well again when traces are decided", 30, 0.3)
            expect(daemon.stop() == 0, "a clean end")
    sink.close()


def traced(metrics):
    return metrics.sum("tailgate_buffer_spans")


def passed_by(options, directory):
    """At SIGTERM what the journal does not have is decided, although the rest is handed over."""
    sink = Sink()
    config = config_of(directory, sink, max_bytes="64MiB", on_failure="memory", compression="none")
    with Daemon(options.binary, directory, config) as daemon:
        until(lambda: one(daemon.http, big(os.urandom(16)))[0] == 200 and
              daemon.metrics().sum("tailgate_journal_failing") == 1, "the journal is full", 30, 0)
        trace = os.urandom(16)
        expect(one(daemon.http, [otlp.span(trace, error=True)])[0] == 200, "taken without it")
        expect(daemon.stop() == 0, "a clean end")
        expect("the journal does not have all that is open" in daemon.log(), "the log says so")
    until(lambda: trace in sink.snapshot(), "what passed by is decided")
    sink.close()


def half_replayed(options, directory):
    """A file that cannot be read holds the replay up. An end then decides nothing, since there may be more of a trace."""
    sink = Sink()
    config = config_of(directory, sink)
    config["shutdown"] = {"undecided": "decide"}
    path = config["journal"]["directory"]
    shutil.rmtree(path, ignore_errors=True)
    trace, ids = os.urandom(16), [os.urandom(8) for _ in range(3)]
    for one_id in ids:
        with Daemon(options.binary, directory, config) as daemon:
            expect(one(daemon.http, [otlp.span(trace, span_id=one_id, error=True)])[0] == 200, "taken")
            daemon.signal(signal.SIGKILL)
            daemon.wait()
    files = [f for f in sorted(glob.glob(os.path.join(path, "*.requests"))) if os.path.getsize(f) > 32]
    os.rename(files[1], files[1] + ".aside")
    os.mkdir(files[1])  # it can be opened, and not be read
    with Daemon(options.binary, directory, config) as daemon:
        until(lambda: daemon.metrics().sum("tailgate_journal_segments", state="unreadable") == 1, "a metric says it")
        expect("cannot be read" in daemon.ready()[1], "/ready says so too")
        until(lambda: traced(daemon.metrics()) == 1, "what came before is replayed")
        expect(one(daemon.http, [otlp.span(os.urandom(16))])[0] == 200, "requests are taken meanwhile")
        time.sleep(WAIT + 0.5)
        expect(traced(daemon.metrics()) == 1, "and nothing is decided")
        expect(daemon.stop() == 0, "a clean end")
        expect(daemon.log().count("a file of the journal cannot be read") == 1, "said once")
    expect(not sink.snapshot(), f"a part was decided: {sink.snapshot()}")
    os.rmdir(files[1])
    os.rename(files[1] + ".aside", files[1])
    with Daemon(options.binary, directory, config) as daemon:
        until(lambda: sink.snapshot().get(trace) == set(ids), "the whole trace is delivered")
        expect(daemon.stop() == 0, "a clean end")
    sink.close()


def damaged(options, directory):
    """A torn tail, a damaged file and one of a newer version: said, the rest is used, nothing is deleted."""
    sink = Sink()
    config = config_of(directory, sink)
    path = config["journal"]["directory"]
    shutil.rmtree(path, ignore_errors=True)
    traces = []
    for n in range(3):
        with Daemon(options.binary, directory, config) as daemon:
            traces.append(os.urandom(16))
            expect(one(daemon.http, [otlp.span(traces[-1], error=True)])[0] == 200, "taken")
            daemon.signal(signal.SIGKILL)
            daemon.wait()
    files = sorted(glob.glob(os.path.join(path, "*.requests")))
    files = [f for f in files if os.path.getsize(f) > 32]
    expect(len(files) == 3, f"one file with a request for each start, got {files}")
    expect(all(os.stat(f).st_mode & 0o077 == 0 for f in files), "the files are for their owner only")
    with open(files[0], "ab") as out:
        out.write(b"TGB\x01 half a block")
    with open(files[1], "r+b") as out:  # in the middle of the only block
        out.seek(80)
        out.write(b"\xff\xff\xff")
    newer = os.path.join(path, "0000000000000.requests")
    shutil.copy(files[0], newer)
    with open(newer, "r+b") as out:
        out.seek(8)
        out.write(b"\x09")  # and with it a checksum that is wrong
    with Daemon(options.binary, directory, config) as daemon:
        until(lambda: len(sink.snapshot()) == 2, "the two that can be read are delivered")
        expect(traces[0] in sink.snapshot() and traces[2] in sink.snapshot(), "those that are whole")
        expect("a file is not as it should be" in daemon.log(), "the log says so")
        expect(daemon.metrics().sum("tailgate_journal_segments", state="unreadable") == 1, "and a metric")
        with_same = basic_config([POLICY], config["exporters"])
        with_same["journal"] = config["journal"]
        other = os.path.join(directory, "other")
        os.mkdir(other)
        second = Daemon(options.binary, other, with_same, ready=False)
        expect(second.wait() == 3 and "another process" in second.log(), f"one writer: {second.log()}")
        expect(daemon.stop() == 0, "a clean end")
    expect(os.path.exists(newer), "what cannot be read stays")
    sink.close()


def explained(options, directory):
    """Verdicts of an earlier process are known to /explain, and nothing that only that process knew."""
    sink = Sink()
    config = config_of(directory, sink, retain="10m")
    kept, other = os.urandom(16), os.urandom(16)
    with Daemon(options.binary, directory, config) as daemon:
        for trace in (kept, other):
            expect(one(daemon.http, [otlp.span(trace, error=trace is kept)])[0] == 200, "taken")
        until(lambda: kept in sink.snapshot() and traced(daemon.metrics()) == 0, "both are decided")
        time.sleep(1.2)  # ends are written once a second
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with Daemon(options.binary, directory, config) as daemon:
        until(lambda: "the journal is replayed" in daemon.log(), "it is replayed")
        for trace, verdict, policy in ((kept, "sampled", "errors"), (other, "not_sampled", None)):
            status, text = get(daemon.pages["web"], f"/explain/{trace.hex()}")
            expect(status == 200, f"{verdict}: {status} {text}")
            said = json.loads(text)
            expect((said["verdict"], said["policy"], said["close_reason"]) == (verdict, policy, "timeout"), text)
            expect(said["verdict_only"] and said["spans"] is None and said["votes"] == [], text)
        expect(daemon.stop() == 0, "a clean end")
    sink.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--stops", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--ack", default="journal")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    for work in (lambda d: cycles(options, d, signal.SIGKILL, options.kills),
                 lambda d: cycles(options, d, signal.SIGTERM, options.stops),
                 lambda d: full(options, d), lambda d: passed_by(options, d), lambda d: half_replayed(options, d),
                 lambda d: damaged(options, d), lambda d: explained(options, d)):
        with tempfile.TemporaryDirectory() as directory:
            work(directory)


if __name__ == "__main__":
    main()
