#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kafka receiver against librdkafka's mock brokers. kafka_test.py TAILGATE [NAME...] [--cycles N] [--members N] [--seed N]

The last test has several members of a group under load while they are killed, stopped and started again, N times. The
spans of a trace come one by one. Every trace with an error must be whole at the backend in the end and of the others
there must be nothing; and whenever a committed offset is seen, every kept span below it must be at the backend already."""

import argparse
import concurrent.futures
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from kafka_mock import Client, Mock  # noqa: E402
from otlp_sink import Sink  # noqa: E402
from tailgate_process import Daemon, basic_config, expect, until  # noqa: E402

SPANS, VERDICTS, GROUP, PARTITIONS = "spans", "verdicts", "tier", 6
POLICY = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}


def config(brokers, sink, wait="1s", receiver=(), queue=(), **sampling):
    out = basic_config([POLICY], {"otlphttp": {
        "endpoint": f"http://127.0.0.1:{sink.port}", "compression": "none",
        "sending_queue": {"batch": {"flush_timeout": "50ms"}, **dict(queue)},
        "retry_on_failure": {"initial_interval": "100ms", "max_interval": "500ms"}}}, decision_wait=wait, **sampling)
    out["receivers"] = {"kafka": {
        "brokers": [brokers], "topic": SPANS, "group": GROUP, "session_timeout": "3s", "heartbeat_interval": "300ms",
        "commit_interval": "200ms", "verdicts_topic": VERDICTS, "verdicts_read_back": "0s", **dict(receiver)}}
    out["shutdown_timeout"] = "5s"
    return out


def json_request(trace, span, error, blob=0):
    made = {"traceId": trace.hex(), "spanId": span.hex(), "name": "n", "status": {"code": 2 if error else 0},
            "attributes": [{"key": "blob", "value": {"stringValue": "x" * blob}}]}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [made]}]}]}).encode()


class Topic:
    """What was written, so that it can be told what must be where."""

    def __init__(self, mock):
        self.mock, self.lock = mock, threading.Lock()
        self.records = {p: [] for p in range(PARTITIONS)}  # of each partition: (trace, span, kept)
        self.spans = {}                                    # trace -> its spans
        self.kept = set()

    def write(self, trace, error, blob=0, as_json=False):
        """A record of one span."""
        partition, span = trace[-1] % PARTITIONS, os.urandom(8)
        value = json_request(trace, span, error) if as_json else otlp.request(
            [otlp.span(trace, span_id=span, error=error, attributes=[("blob", "x" * blob)] if blob else ())])
        with self.lock:
            self.spans.setdefault(trace, set()).add(span)
            if error:
                self.kept.add(trace)
            self.records[partition].append((trace, {span}))
            self.mock.client.write(SPANS, partition, trace.hex().encode(), value)

    def poison(self, partition, value, client=None):
        with self.lock:
            self.records[partition].append((None, set()))
            (client or self.mock.client).write(SPANS, partition, b"poison", value)
            return len(self.records[partition]) - 1

    def check_commits(self, sink):
        """No committed offset is beyond a record of which the backend has not all that is kept."""
        committed = self.mock.client.committed(GROUP, SPANS, list(range(PARTITIONS)))
        have = sink.snapshot()  # asked later, so it has what was committed
        with self.lock:
            for partition, offset in committed.items():
                expect(offset <= len(self.records[partition]), "an offset beyond the topic is committed")
                for at, (trace, spans) in enumerate(self.records[partition][:offset]):
                    if trace in self.kept:
                        expect(spans <= have.get(trace, set()),
                               f"partition {partition} is committed up to {offset}, and the backend has not what is at {at}")
        return committed

    def all_committed(self, sink):
        committed = self.check_commits(sink)
        return all(committed.get(p, 0) == len(records) for p, records in self.records.items())

    def check_end(self, sink):
        have = sink.snapshot()
        lost = [t for t in self.kept if t not in have]
        broken = [t for t in self.kept if t in have and have[t] != self.spans[t]]
        wrong = [t for t in have if t not in self.kept]
        text = f"{len(self.spans)} traces, {len(self.kept)} to keep: {len(lost)} lost, {len(broken)} broken, {len(wrong)} wrong"
        expect(not lost and not broken and not wrong, text)
        return text + f"; {sink.doubles} spans came again"


class Real:
    def __init__(self, brokers):
        self.brokers, self.client = brokers, Client(brokers)

    def __exit__(self, *_):
        self.client.close()


class Case:
    """`brokers`: real ones, which have the topics; without, there is a mock."""

    def __init__(self, binary, directory, brokers=None):
        self.binary, self.directory, self.daemons = binary, directory, []
        self.sink = Sink()
        self.mock = Real(brokers) if brokers else Mock({SPANS: PARTITIONS, VERDICTS: PARTITIONS})
        self.topic = Topic(self.mock)

    def start(self, name="a", **settings):
        home = os.path.join(self.directory, name)
        os.makedirs(home, exist_ok=True)
        daemon = Daemon(self.binary, home, config(self.mock.brokers, self.sink, **settings), cwd=home)
        self.daemons.append(daemon)
        return daemon

    def close(self):
        for daemon in self.daemons:
            daemon.kill()
        self.mock.__exit__()
        self.sink.close()


def trace_ids(count, seed=1):
    chance = random.Random(seed)
    return [chance.randbytes(16) for _ in range(count)]


def partitions_of(daemon):
    return {labels["partition"] for name, labels, _ in daemon.metrics().samples if name == "tailgate_kafka_lag"}


def owned(daemon, count):
    return until(lambda: len(partitions_of(daemon)) == count and partitions_of(daemon), f"the daemon has {count} partitions", 40, 0.1)


def test_consumes(case):
    """What is kept arrives whole, all offsets are committed in the end, verdicts are in their topic, and all is counted."""
    for number, trace in enumerate(trace_ids(300)):
        for _ in range(3):
            case.topic.write(trace, number % 3 == 0)
    daemon = case.start()
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 40, 0.1)
    print("  " + case.topic.check_end(case.sink))
    metrics = daemon.metrics()
    metrics.check_law()
    expect(metrics.sum("tailgate_kafka_records_total") == 900, "900 records are not counted")
    expect(metrics.sum("tailgate_spans_received_total", receiver="kafka", format="otlp_proto") == 900, "900 spans are not counted")
    expect(metrics.sum("tailgate_kafka_lag") == 0, "there is a lag")
    verdicts = case.mock.client.read(VERDICTS, list(range(PARTITIONS)))
    expect({key for _, _, key, _ in verdicts} == {t.hex().encode() for t in case.topic.spans}, f"{len(verdicts)} verdicts")
    expect(all(bytes.fromhex(key.decode())[-1] % PARTITIONS == p for p, _, key, _ in verdicts), "a verdict is in another partition")
    sampled = {key for _, _, key, value in verdicts if value[1] == 0}
    expect(sampled == {t.hex().encode() for t in case.topic.kept}, "a verdict is wrong")
    expect(daemon.stop() == 0, "the daemon did not end with 0")


def test_poison(case):
    """A record that is no request, and one that is too large, go to dead letters with their offsets; the partition goes on."""
    for trace in trace_ids(40):
        case.topic.write(trace, True)
    at = [case.topic.poison(2, b"\x0a\xff"), case.topic.poison(2, b"\x0a\x02\x12\x7f"), case.topic.poison(3, b"\x0a\x80\x40" + b"x" * 20_000)]
    for trace in trace_ids(40, 2):
        case.topic.write(trace, True)
    letters = os.path.join(case.directory, "letters", "poison.json")
    daemon = case.start(receiver={"max_record_bytes": 10_000, "dead_letters": {"path": letters}})
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 40, 0.1)
    print("  " + case.topic.check_end(case.sink))
    with open(letters) as lines:
        found = [json.loads(line) for line in lines]
    told = sorted((one["partition"], int(one["offset"]), one["reason"]) for one in found)
    expect(told == [(2, at[0], "malformed"), (2, at[1], "malformed"), (3, at[2], "too_large")], f"dead letters: {told}")
    expect(all(one["topic"] == SPANS and one["key"] == "cG9pc29u" for one in found), f"dead letters: {found}")
    metrics = daemon.metrics()
    expect(metrics.by("tailgate_kafka_poison_records_total", "reason") == {"malformed": 2, "too_large": 1}, "poison is not counted")
    metrics.check_law()


def test_poison_json(case):
    """Poison gives the memory of its conversion back, however much of it comes; and what could never be converted in the
    memory for requests is poison too, and not waited for."""
    size, large = 500_000, 3_000_000
    for trace in trace_ids(20):
        case.topic.write(trace, True, as_json=True)
    for number in range(24):
        case.topic.poison(number % PARTITIONS, json_request(os.urandom(16), os.urandom(8), False, size)[:-4])
    case.mock.client.flush()
    client = Client(case.mock.brokers, **{"message.max.bytes": 2 * large})
    case.topic.poison(1, json_request(os.urandom(16), os.urandom(8), False, large), client)
    client.flush()
    client.close()
    for trace in trace_ids(20, 2):
        case.topic.write(trace, True, as_json=True)
    daemon = case.start(memory_limit="96MiB", receiver={"encoding": "otlp_json", "queue_bytes": "5MiB"})
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 40, 0.1)
    print("  " + case.topic.check_end(case.sink))
    metrics = daemon.metrics()
    expect(metrics.by("tailgate_kafka_poison_records_total", "reason") == {"malformed": 24, "too_large": 1}, "poison is not counted")
    expect(metrics.sum("tailgate_kafka_paused") == 0, "the partitions are paused")
    metrics.check_law()


def test_hands_over(case):
    """At SIGTERM open traces are forgotten, undecided and uncommitted, and the next process decides them whole."""
    first = case.start(wait="5s")
    owned(first, PARTITIONS)
    for trace in trace_ids(60):
        case.topic.write(trace, True)
    until(lambda: first.metrics().sum("tailgate_buffer_spans") == 60, "60 spans are held", 30, 0.1)
    second = case.start("b", wait="5s")
    expect(first.stop() == 0, "the daemon did not end with 0")
    log = first.log()
    expect(not case.sink.snapshot(), "a trace was decided when the daemon ended")
    expect(not case.mock.client.committed(GROUP, SPANS, list(range(PARTITIONS))), f"an offset was committed: {log[-2000:]}")
    for trace in list(case.topic.spans):
        case.topic.write(trace, False)
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 60, 0.1)
    print("  " + case.topic.check_end(case.sink))
    second.metrics().check_law()


def test_comes_and_goes(case):
    """Members commit while another comes and goes, and no rebalance costs a member its partitions."""
    stop, trouble = threading.Event(), []
    members = [case.start("a"), case.start("b")]
    for member in members:
        owned(member, PARTITIONS // 2)
    sender = threading.Thread(target=load, args=(case.topic, stop, 1, trouble))
    sender.start()
    try:
        until(lambda: case.topic.check_commits(case.sink), "an offset is committed", 30, 0.1)
        third = case.start("c")
        owned(third, PARTITIONS // 3)
        expect(third.stop() == 0, "the third member did not end with 0")
        for member in members:
            owned(member, PARTITIONS // 2)
    finally:
        stop.set()
        sender.join()
    expect(not trouble, "\n".join(trouble))
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 60, 0.1)
    lost = [member.metrics().by("tailgate_kafka_rebalances_total", "change").get("lost", 0) for member in members]
    expect(lost == [0, 0], f"partitions were lost: {lost}, {members[0].log()[-2000:]}")
    print("  " + case.topic.check_end(case.sink))


def test_late_spans(case):
    """Late spans follow the verdict of an earlier owner, which they learn from the topic of verdicts."""
    first = case.start()
    ids = trace_ids(60)
    for number, trace in enumerate(ids):
        case.topic.write(trace, number % 2 == 0)
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 40, 0.1)
    first.kill()
    for number, trace in enumerate(ids):  # an error that comes late keeps nothing
        case.topic.write(trace, False)
    second = case.start()
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 60, 0.1)
    print("  " + case.topic.check_end(case.sink))
    metrics = second.metrics()
    expect(metrics.sum("tailgate_kafka_verdicts_total", what="read") == 60, "60 verdicts are not read")
    expect(metrics.by("tailgate_late_spans_total", "decision")["sampled"] == 30, "30 spans do not follow")
    expect(metrics.sum("tailgate_traces_decided_total") == 0, "a trace was decided again")


def test_memory(case):
    """When memory is short the partitions are paused; nothing is refused, decided early or lost."""
    daemon = case.start(wait="10s", memory_limit="96MiB", receiver={"queue_bytes": "2MiB"})
    owned(daemon, PARTITIONS)
    for wave in (1, 2):  # of 24 MB; the mock keeps 5 MB of a partition
        for trace in trace_ids(400, wave):
            case.topic.write(trace, True, blob=60_000)
        if wave == 1:
            until(lambda: daemon.metrics().sum("tailgate_kafka_records_total") == 400, "400 records are read", 30, 0.02)
    until(lambda: daemon.metrics().sum("tailgate_kafka_paused") == 1, "the partitions are paused", 40, 0.02)
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 120, 0.3)
    print("  " + case.topic.check_end(case.sink))
    metrics = daemon.metrics()
    early = metrics.sum("tailgate_traces_decided_total", close_reason="memory")
    expect(early == 0, f"{early:.0f} traces were decided early")
    metrics.check_law()


def test_full_queue(case):
    """A backend is away until the exporter's queue is full: the partitions are paused, what is pushed out meanwhile is not
    settled, and it is read again when the backend is back."""
    case.sink.mode = "busy"
    daemon = case.start(queue={"max_bytes": "2MiB"})
    owned(daemon, PARTITIONS)
    for trace in trace_ids(200):
        case.topic.write(trace, True, blob=60_000)
    pushed_out = lambda: daemon.metrics().sum("tailgate_export_dropped_spans_total", reason="queue_full")  # noqa: E731
    until(lambda: pushed_out() > 0, "a trace is pushed out", 30, 0.05)
    for trace in trace_ids(20, 2):
        case.topic.write(trace, True)
    until(lambda: daemon.metrics().sum("tailgate_kafka_paused") == 1, "the partitions are paused", 20, 0.05)
    case.topic.check_commits(case.sink)
    case.sink.mode = "ok"
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 60, 0.2)
    print(f"  {pushed_out():.0f} pushed out; " + case.topic.check_end(case.sink))
    daemon.metrics().check_law()


def test_static_member(case):
    """A member with an instance_id that comes back in time has its partitions again, and nobody else is troubled."""
    a = case.start("a", receiver={"instance_id": "tier-a"})
    b = case.start("b", receiver={"instance_id": "tier-b"})
    both = until(lambda: partitions_of(a) | partitions_of(b) if partitions_of(a) and partitions_of(b) and
                 len(partitions_of(a)) + len(partitions_of(b)) == PARTITIONS else None, "both have partitions", 40, 0.1)
    expect(len(both) == PARTITIONS, "a partition is with both")
    before, had = b.metrics().sum("tailgate_kafka_rebalances_total"), partitions_of(a)
    a.kill()
    a = case.start("a", receiver={"instance_id": "tier-a"})
    until(lambda: partitions_of(a) == had, "it has its partitions again", 20, 0.1)
    expect(b.metrics().sum("tailgate_kafka_rebalances_total") == before, "the other member was troubled")


def test_fenced(case):
    """A member whose instance_id another process has taken ends at once, and does not say that brokers are away."""
    daemon = case.start(receiver={"instance_id": "tier-a"})
    owned(daemon, PARTITIONS)
    case.mock.fence()
    until(lambda: "another process may have its instance_id" in daemon.log(), "the member is told so", 30, 0.1)
    until(lambda: daemon.metrics().sum("tailgate_kafka_member") == 0, "its metric says so", 10, 0.1)
    began = time.monotonic()
    expect(daemon.stop(30) == 0, "the daemon did not end with 0")
    took = time.monotonic() - began
    print(f"  ended in {took:.1f} s")
    expect("the brokers do not answer" not in daemon.log(), daemon.log()[-1000:])


def test_brokers_away(case):
    """Brokers that go and come back lose nothing; a daemon ends in time while they are away."""
    daemon = case.start()
    owned(daemon, PARTITIONS)
    ids = trace_ids(30)
    for trace in ids:
        case.topic.write(trace, True)
    until(lambda: daemon.metrics().sum("tailgate_kafka_records_total") == 30, "30 records are read", 30, 0.05)
    case.mock.down()
    time.sleep(3)
    case.mock.up()
    for trace in ids:
        case.topic.write(trace, False)
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 60, 0.2)
    print("  " + case.topic.check_end(case.sink))
    case.mock.down()
    began = time.monotonic()
    expect(daemon.stop(30) == 0, "the daemon did not end with 0")
    print(f"  ended in {time.monotonic() - began:.1f} s without brokers")
    case.mock.up()


def test_brokers_stay_away(case):
    """A daemon that has committed offsets, and has more to commit, does not wait for brokers until its session is over."""
    daemon = case.start(receiver={"session_timeout": "60s"})
    owned(daemon, PARTITIONS)
    for trace in trace_ids(30):
        case.topic.write(trace, False)
    until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 30, 0.1)
    for trace in trace_ids(30):
        case.topic.write(trace, False)
    until(lambda: daemon.metrics().sum("tailgate_kafka_records_total") == 60, "60 records are read", 30, 0.05)
    case.mock.down()
    time.sleep(2)  # what is settled meanwhile waits for brokers
    began = time.monotonic()
    expect(daemon.stop(50) == 0, "the daemon did not end with 0")
    took = time.monotonic() - began
    print(f"  ended in {took:.1f} s without brokers, and with offsets to commit")
    expect(took < 20, f"the daemon ended after {took:.1f} s")
    case.mock.up()


def test_check(case):
    """`check` names each key that is wrong."""
    path = os.path.join(case.directory, "bad.yaml")
    bad = config("nowhere", case.sink, receiver={
        "topic": "a b", "encoding": "avro", "instance_id": "a/b", "session_timeout": "5s", "heartbeat_interval": "3s",
        "queue_bytes": 1, "verdicts_topic": "", "verdicts_read_back": "1m", "dead_letters": {}, "grup": "x"})
    bad["journal"] = {"directory": case.directory}
    with open(path, "w") as out:
        json.dump(bad, out)
    said = subprocess.run([case.binary, "check", "--config", path], capture_output=True, text=True, timeout=60)
    for key in ("brokers", "topic", "encoding", "instance_id", "heartbeat_interval", "queue_bytes", "verdicts_topic",
                "verdicts_read_back", "dead_letters.path", "grup"):
        expect(f"receivers.kafka.{key}" in said.stderr, f"nothing about {key}: {said.stderr}")
    expect("expected no `journal` beside it" in said.stderr, f"nothing about the journal: {said.stderr}")
    expect(said.returncode == 1, f"check says {said.returncode}")


def load(topic, stop, seed, trouble):
    """Traces of 3 to 6 spans over up to a second, a third of them with an error at their beginning."""
    chance, waiting = random.Random(seed), []
    try:
        while not stop.is_set() or waiting:
            now = time.monotonic()
            if not stop.is_set():
                for _ in range(4):
                    trace, error = chance.randbytes(16), chance.random() < 0.33
                    topic.write(trace, error)
                    waiting += [(now + chance.random(), trace) for _ in range(chance.randint(2, 5))]
            waiting.sort(key=lambda one: one[0])
            while waiting and waiting[0][0] <= now:
                topic.write(waiting.pop(0)[1], False)
            time.sleep(0.02)
        topic.mock.client.flush()
    except Exception:  # whatever it is
        trouble.append(traceback.format_exc())


def watch(topic, sink, stop, trouble, seen):
    try:
        while not stop.is_set():
            seen.append(sum(topic.check_commits(sink).values()))
            time.sleep(0.1)
    except Exception:  # whatever it is
        trouble.append(traceback.format_exc())


def test_chaos(case, cycles=4, members=3, seed=1, also=None):
    """Members are killed, stopped and started while traces are open: nothing is lost, nothing is broken. `also` is called
    in the middle."""
    chance, trouble, seen, stop, stop_watch = random.Random(seed), [], [], threading.Event(), threading.Event()
    names = [chr(ord("a") + i) for i in range(members)]
    settings = {name: {"wait": "2s", "receiver": {"instance_id": f"tier-{name}"} if number == 0 else {}} for number, name in enumerate(names)}
    running = {name: case.start(name, **settings[name]) for name in names}
    threads = [threading.Thread(target=load, args=(case.topic, stop, seed, trouble)),
               threading.Thread(target=watch, args=(case.topic, case.sink, stop_watch, trouble, seen))]
    for thread in threads:
        thread.start()
    killed = stopped = 0
    try:
        for cycle in range(cycles):
            if also is not None and cycle == cycles // 2:
                also()
            time.sleep(1 + 5 * chance.random() ** 2)
            expect(not trouble, "\n".join(trouble))
            name = chance.choice(names)
            if chance.random() < 0.75:
                running[name].kill()
                killed += 1
            else:
                running[name].metrics().check_law()
                expect(running[name].stop() == 0, "a member did not end with 0")
                stopped += 1
            time.sleep(chance.choice([0, 0.5, 4]))
            running[name] = case.start(name, **settings[name])
        stop.set()
        threads[0].join()
        expect(not trouble, "\n".join(trouble))
        until(lambda: case.topic.all_committed(case.sink), "all offsets are committed", 90, 0.3)
    finally:
        stop.set()
        stop_watch.set()
        for thread in threads:
            thread.join()
    expect(not trouble, "\n".join(trouble))
    for daemon in running.values():
        expect(daemon.alive(), f"a member has ended: {daemon.log()[-2000:]}")
        daemon.metrics().check_law()
    print(f"  {killed} kills, {stopped} stops, {len(set(seen))} commits seen: " + case.topic.check_end(case.sink))


def main():
    tests = {name.removeprefix("test_"): test for name, test in globals().items() if name.startswith("test_")}
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    def run(name):
        """Whether it is good, and what to say of it."""
        directory = tempfile.mkdtemp()
        case, began = Case(os.path.abspath(options.binary), directory), time.monotonic()
        try:
            more = (options.cycles, options.members, options.seed) if name == "chaos" else ()
            tests[name](case, *more)
            return True, f"{name}: ok, {time.monotonic() - began:.1f} s"
        except Exception as failure:  # of one test; the others go on
            logs = "".join("\n  --- " + daemon.log()[-3000:] for daemon in case.daemons)
            return False, f"{name}: failed: {failure!r}{logs}"
        finally:
            case.close()
            if not os.environ.get("KEEP"):
                shutil.rmtree(directory)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(3) as pool:  # they wait most of the time
        for good, says in pool.map(run, options.names or tests):
            failed += not good
            print(says, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
