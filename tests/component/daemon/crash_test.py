#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load, with a durable queue and three backends. crash_test.py TAILGATE [--cycles N] [--seed N]

After the last restart: a trace that any backend has, or that was due two seconds before a kill, is whole at every backend.
"""

import argparse
import glob
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from otlp_sink import Sink  # noqa: E402
from tailgate_process import Daemon, basic_config, expect, until  # noqa: E402

WAIT = 0.4  # decision_wait
SPANS = 6
POLICY = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
EXPORTERS = ["otlphttp/well", "otlphttp/flaky", "file"]


class Load(threading.Thread):
    """Sends traces of two requests each until told to stop or the daemon is gone."""

    def __init__(self, port, seed):
        super().__init__()
        self.port, self.random = port, random.Random(seed)
        self.ending = False
        self.whole = {}   # trace id -> (span ids, when it is due): taken in whole before that
        self.others = 0   # too slow, or not answered: nothing is promised

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            while not self.ending:
                self.one(connection)
                time.sleep(0.004)
        except (OSError, http.client.HTTPException):
            self.others += 1
        finally:
            connection.close()

    def one(self, connection):
        trace = self.random.randbytes(16)
        ids = [self.random.randbytes(8) for _ in range(SPANS)]
        # One in sixty leaves in parts (2 MiB), one in four is not kept.
        size = 900_000 if self.random.randrange(60) == 0 else 300
        error = self.random.randrange(4) != 0
        spans = [otlp.span(trace, span_id=i, parent=b"" if i is ids[0] else ids[0], error=error and i is ids[-1],
                           attributes=[("text", "x" * size)]) for i in ids]
        start = time.monotonic()
        for half in (spans[:SPANS // 2], spans[SPANS // 2:]):
            connection.request("POST", "/v1/traces", otlp.request(half), {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                self.others += 1
                return
        if time.monotonic() - start > WAIT / 2:
            self.others += 1  # may have been decided between its halves
        elif error:
            self.whole[trace] = (set(ids), start + WAIT)


def file_spans(directory):
    """Trace id to span ids, of the file and those it was rotated to; a torn last line of a process that died is no line."""
    out, doubles, torn = {}, 0, 0
    for path in glob.glob(os.path.join(directory, "kept*")):
        with open(path, "rb") as file:
            lines = file.readlines()
        for line in lines:
            try:
                data = json.loads(line)
            except ValueError:
                torn += 1
                continue
            for resource in data["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        spans = out.setdefault(bytes.fromhex(span["traceId"]), set())
                        doubles += bytes.fromhex(span["spanId"]) in spans
                        spans.add(bytes.fromhex(span["spanId"]))
    return out, doubles, torn


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    r = random.Random(options.seed)
    sinks = {"otlphttp/well": Sink(), "otlphttp/flaky": Sink("flaky", options.seed)}
    with tempfile.TemporaryDirectory() as directory:
        kept = os.path.join(directory, "kept.json")
        queue = {"directory": os.path.join(directory, "queue")}
        retry = {"initial_interval": "100ms", "max_interval": "500ms"}
        exporters = {name: {"endpoint": f"http://127.0.0.1:{sink.port}", "sending_queue": queue, "retry_on_failure": retry}
                     for name, sink in sinks.items()}
        exporters["file"] = {"path": kept, "sending_queue": queue, "retry_on_failure": retry}
        config = basic_config([POLICY], exporters, decision_wait=f"{int(WAIT * 1000)}ms")
        whole, due_before_kill, others = {}, set(), 0
        for cycle in range(options.cycles):
            with Daemon(options.binary, directory, config) as daemon:
                expect("the durable queue was damaged" not in daemon.log(), "a kill leaves the queue sound")
                load = Load(daemon.http, r.randrange(1 << 32))
                load.start()
                time.sleep(r.uniform(0.2, 4.5))
                killed = time.monotonic()
                daemon.signal(signal.SIGKILL)
                daemon.wait()
                load.ending = True
                load.join()
                whole.update({t: ids for t, (ids, _) in load.whole.items()})
                due_before_kill |= {t for t, (_, due) in load.whole.items() if due < killed - 2}
                others += load.others
        # The last one finds everything and delivers it.
        for sink in sinks.values():
            sink.mode = "ok"
        with Daemon(options.binary, directory, config) as daemon:
            until(lambda: daemon.metrics().sum("tailgate_export_queue_spans") == 0, "everything is delivered", 60)
            expect(daemon.metrics().sum("tailgate_export_lost_spans_total") == 0, "spans were lost")
            expect(daemon.stop() == 0, "a clean end")
        at = {name: sink.snapshot() for name, sink in sinks.items()}
        at["file"], doubles, torn = file_spans(directory)
        doubles += sum(sink.doubles for sink in sinks.values())
    for sink in sinks.values():
        sink.close()

    anywhere = set().union(*at.values())
    must = (due_before_kill | anywhere) & set(whole)
    missing = {name: sum(trace not in at[name] for trace in must) for name in EXPORTERS}
    half = {name: sum(trace in at[name] and at[name][trace] != whole[trace] for trace in must) for name in EXPORTERS}
    print(f"{options.cycles} kills; {len(whole)} traces with an error taken in whole, {len(due_before_kill)} of them due 2 s before a kill; "
          f"{len(anywhere)} traces at some backend; missing {missing}, half {half}; {doubles} spans came again, "
          f"{torn} torn lines; {others} traces sent without a promise")
    expect(not any(missing.values()) and not any(half.values()), "a trace is missing or half at a backend")
    expect(len(due_before_kill) > 10 * options.cycles, "too little was tested")
    expect(others < len(whole) / 5, "too much was sent without a promise")


if __name__ == "__main__":
    main()
