#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to take spans from Kafka. kafka_cost.py TAILGATE... [--spans N] [--bytes N] [--each N] [--rounds N]

A real broker has N spans of so many bytes, so many of a trace in a record, in 6 partitions. A daemon that keeps none of
them reads all, as a group of its own; several binaries do so in turn. CPU seconds for a million spans are those of the
second half, when its memory has been touched before, and are told apart by thread: librdkafka's, ours that reads from it
(`kafka`), the sweeper with main (`tailgate`). Needs what the tests of tests/e2e with Kafka need."""

import argparse
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "support")]

import otlp_bytes as otlp  # noqa: E402
from backends import Kafka  # noqa: E402
from kafka_mock import Client  # noqa: E402
from tailgate_process import Daemon, basic_config, until  # noqa: E402
from tools import Tools  # noqa: E402

PARTITIONS = 6


def cpu_by_thread(pid):
    out = {}
    with open(f"/proc/{pid}/comm") as comm:
        main_thread = comm.read().rstrip("\n")
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as stat:
            head, _, rest = stat.read().rpartition(")")
            fields = rest.split()
        name = head.partition("(")[2]
        kind = "librdkafka" if name.startswith("rdk:") else "tailgate" if name == main_thread else name
        out[kind] = out.get(kind, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return out


def cost(binary, kafka, number, records, each):
    """Reads the whole topic. The CPU seconds of each kind of thread for a million spans."""
    verdicts = f"verdicts-{number}"
    kafka.topic(verdicts, PARTITIONS, "cleanup.policy=compact")
    config = basic_config([{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}],
                          {"debug": {}}, decision_wait="1s", memory_limit="2GiB")
    config["receivers"] = {"kafka": {
        "brokers": [kafka.broker], "topic": "spans", "verdicts_topic": verdicts, "group": f"tier-{number}"}}
    with tempfile.TemporaryDirectory() as directory, Daemon(binary, directory, config) as daemon:
        read = lambda: daemon.metrics().sum("tailgate_kafka_records_total")  # noqa: E731
        half = until(lambda: read() >= records / 2 and read(), "half of the records are read", 300, 0.1)
        before, began = cpu_by_thread(daemon.pid), time.monotonic()
        until(lambda: read() == records, "all records are read", 300, 0.2)
        took = time.monotonic() - began
        until(lambda: daemon.metrics().sum("tailgate_spans_not_sampled_total") == records * each, "all is decided", 300, 0.5)
        until(lambda: daemon.metrics().sum("tailgate_kafka_undecided_seconds") == 0, "all is committed", 60, 0.5)
        after = cpu_by_thread(daemon.pid)
        daemon.metrics().check_law()
    millions = (records - half) * each / 1e6
    per = {kind: (seconds - before.get(kind, 0)) / millions for kind, seconds in after.items()}
    print(f"{binary}: the last {millions:.2f} million read in {took:.1f} s; CPU seconds for a million spans: " +
          ", ".join(f"{kind} {per[kind]:.2f}" for kind in sorted(per) if per[kind] >= 0.005) +
          f"; in all {sum(per.values()):.2f}, without librdkafka's threads {sum(v for k, v in per.items() if k != 'librdkafka'):.2f}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="+")
    parser.add_argument("--spans", type=int, default=400_000)
    parser.add_argument("--bytes", type=int, default=1000, help="of a span")
    parser.add_argument("--each", type=int, default=8, help="spans in a record")
    parser.add_argument("--rounds", type=int, default=1, help="of the binaries in turn")
    options = parser.parse_args()
    cache = os.environ.get("TAILGATE_E2E_CACHE", os.path.join(HERE, "..", "..", "build", "e2e-cache"))
    with tempfile.TemporaryDirectory() as directory, Kafka(Tools(cache), directory) as kafka:
        kafka.topic("spans", PARTITIONS)
        client = Client(kafka.broker, **{"linger.ms": 50, "compression.codec": "lz4", "queue.buffering.max.kbytes": 1_000_000})
        blob = [("http.url", "https://shop.example.com/cart/"), ("blob", os.urandom((options.bytes - 130) // 2).hex())]
        records = options.spans // options.each
        for number in range(records):
            trace = os.urandom(16)
            spans = [otlp.span(trace, attributes=blob) for _ in range(options.each)]
            client.write("spans", number % PARTITIONS, trace.hex().encode(), otlp.request(spans))
            if number % 2000 == 0:
                client.flush()
        client.flush()
        client.close()
        print(f"{records * options.each} spans of some {options.bytes} bytes, {options.each} in a record", flush=True)
        for number in range(options.rounds * len(options.binary)):
            cost(options.binary[number % len(options.binary)], kafka, number, records, options.each)


if __name__ == "__main__":
    main()
