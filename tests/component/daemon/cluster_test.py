#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cluster under load while it changes. cluster_test.py TAILGATE [--traces N] [--rate N] [--longest SECONDS] [--seed N]
[--plan STEPS] [--front] [--behind SECONDS] [--alone] [--journal]

Three members, each with a backend of its own. Traces come one span a request, each request to any of them, while a fourth
joins, one leaves, and all restart in turn. A trace is promised when all its requests were answered OK in time. At the
end every promised trace with an error is whole at one backend, of the others there is nothing (so nothing was decided
twice), the members agree on who is there, any of them explains a trace, and the counters add up.

--front: everything goes to a daemon that owns nothing, whose list changes --behind the others'. --alone: without the
section `cluster`, where traces must break. --plan 5:kill:b,8:start:b: kill -9, after which only what that member had
may be broken; with --journal nothing may be. PLANS has some by their names. A step fat
sends a member large requests, so that a later replay takes a while before it comes to what was open at the kill.
"""

import argparse
import contextlib
import heapq
import http.client
import json
import os
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from otlp_sink import Sink  # noqa: E402
from tailgate_process import Daemon, Failed, basic_config, expect, free_ports, get, until  # noqa: E402

SPANS = 6
TOKEN = "a-token-of-the-members-0123456789"
POLICY = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
# (seconds, what, member)
PLAN = [(3, "join", "d"), (6, "stop", "b"), (10, "start", "b"), (13, "stop", "c"), (16, "start", "c"), (19, "stop", "a"),
        (22, "start", "a"), (25, "stop", "d"), (28, "start", "d")]
PLANS = {
    "all": PLAN,
    "none": [],
    "plus": [(4, "join", "d")],
    "minus": [(4, "leave", "b")],
    "rolling": [(4, "stop", "a"), (7, "start", "a"), (10, "stop", "b"), (13, "start", "b"), (16, "stop", "c"), (19, "start", "c")],
    # A member comes back while the time of another change is running: it does not know what was open before its replay.
    # It is away for less than a home waits for the spans that it had taken.
    "kills": [(3, "kill", "b"), (5, "start", "b"), (8, "join", "d"), (10, "kill", "a"), (11, "start", "a"), (14, "kill", "c"),
              (16, "start", "c"), (20, "kill", "d"), (21, "start", "d"), (23, "kill", "b"), (24, "start", "b")],
    "kill": [(5, "kill", "b"), (7, "start", "b")],
    # While the first three settle, a had everything of before. It is back when they have settled; until then its absence
    # is longer than what is left of a trace's wait.
    "away": [(4, "stop", "a"), (12, "start", "a")],
    # The same, and one of those that waited for it ends while they wait.
    "both": [(4, "stop", "a"), (12, "start", "a"), (12.2, "kill", "b"), (13, "start", "b")],
    # The first three have just settled, or are about to, when it is noticed.
    "noticed": [(10, "kill", "a"), (17.3, "start", "a")],
    # Once the first three are settled. Traces that were open when d came come out of the journal behind large requests.
    "replay": [(9, "fat", "b"), (12, "join", "d"), (13, "kill", "b"), (13.3, "start", "b")],
    "front": [(4, "kill", "front"), (4.5, "start", "front"), (6, "kill", "b"), (7, "kill", "front"), (7.5, "start", "front"),
              (8, "start", "b"), (10, "kill", "front"), (10.5, "start", "front")],  # with --front
}


class Member:
    def __init__(self, fleet, name, owner=True):
        self.fleet, self.name, self.owner = fleet, name, owner
        self.grpc, self.http = free_ports(2)
        self.sink = Sink()
        self.directory = os.path.join(fleet.directory, name or "front")
        os.mkdir(self.directory)
        self.daemon = None
        self.serving = False
        self.ends = []  # the last metrics of its processes

    def config(self, names):
        config = basic_config([POLICY], {"otlphttp": {
            "endpoint": f"http://127.0.0.1:{self.sink.port}",
            "retry_on_failure": {"initial_interval": "100ms", "max_interval": "500ms"}}},
            decision_wait=f"{int(self.fleet.wait * 1000)}ms")
        protocols = config["receivers"]["otlp"]["protocols"]
        protocols["grpc"]["endpoint"] = f"127.0.0.1:{self.grpc}"
        protocols["http"]["endpoint"] = f"127.0.0.1:{self.http}"
        protocols["grpc"]["auth"] = {"bearer_tokens_file": self.fleet.tokens}  # of the members' port
        if self.fleet.journal:
            config["journal"] = {"directory": os.path.join(self.directory, "journal"), "disk_free_min": 0,
                                 "retain": "10m" if os.environ.get("KEEP") else "0s"}  # to be looked at
        if not self.fleet.alone:
            config["cluster"] = {
                "members": {"static": [{"name": n, "endpoint": f"127.0.0.1:{self.fleet.members[n].grpc}"} for n in names]},
                "settle": f"{int((self.fleet.wait + 2) * 1000)}ms", "hold": "20s", "tls": {"insecure": True},
                "bearer_token": TOKEN}
            if self.owner:
                config["cluster"]["self"] = self.name
        return config

    def start(self):
        self.daemon = Daemon(self.fleet.binary, self.directory, self.config(self.fleet.names))
        self.serving = True

    def page(self):
        return json.loads(get(self.daemon.pages["web"], "/cluster")[1])

    def relist(self):
        """The list in its file changes, as a ConfigMap does: the new file takes the place of the old one."""
        path = os.path.join(self.directory, "tailgate.yaml")
        with open(path + ".new", "w") as out:
            json.dump(self.config(self.fleet.names), out, indent=1)
        os.rename(path + ".new", path)

    def stop(self):
        """SIGTERM. Its pages answer until the end, but for what it does last."""
        self.serving = False
        code = self.daemon.stop(30)
        expect(code == 0, f"{self.name} ended with {code}:\n{self.daemon.log()[-3000:]}")
        for loss in ("spans not sent in time", "and are lost"):
            expect(loss not in self.daemon.log(), f"{self.name} left spans:\n{self.daemon.log()[-3000:]}")


class Fleet:
    def __init__(self, options, directory):
        self.binary, self.directory, self.alone = options.binary, directory, options.alone
        self.behind, self.unsure, self.awaited = options.behind, 0, 0
        self.journal = options.journal
        self.wait = options.longest + 3  # spans are on their way for a while where the machine is busy
        self.members = {}
        self.tokens = os.path.join(directory, "tokens")
        with open(self.tokens, "w") as out:
            out.write(f"members: {TOKEN}\n")
        for name in "abcd":
            self.members[name] = Member(self, name)
        self.names = ["a", "b", "c"]
        self.front = None
        for name in self.names:
            self.members[name].start()
        if options.front:
            self.front = Member(self, "", owner=False)
            self.front.start()

    def all(self):
        return [*self.members.values(), *([self.front] if self.front else [])]

    def doors(self):
        if self.front:
            return [self.front.http]
        return [m.http for m in self.members.values() if m.serving]

    def fatten(self, member):
        """Traces that nobody keeps, taken where they come as if they had been forwarded as often as may be."""
        connection = http.client.HTTPConnection("127.0.0.1", member.http, timeout=30)
        for _ in range(1000):
            body = otlp.request([otlp.span(os.urandom(16)) for _ in range(500)])
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf", "tailgate-hop": "3"})
            connection.getresponse().read()
        connection.close()

    def relist(self, but):
        for other in self.all():
            if other is but or other.daemon is None:
                continue
            if other is self.front and self.behind:
                threading.Timer(self.behind, other.relist).start()
            else:
                other.relist()
                time.sleep(0.3)

    def do(self, what, name):
        member = self.front if name == "front" else self.members[name]
        if what == "join":
            self.names.append(name)
            member.start()
            self.relist(member)
        elif what == "leave":
            member.stop()
            self.names.remove(name)
            self.relist(member)
        elif what == "stop":
            member.stop()
        elif what == "fat":
            self.fatten(member)
        elif what == "kill":
            member.serving = False
            self.unsure += member.daemon.metrics().sum("tailgate_journal_parts_total", result="unsure")
            member.daemon.kill()
        elif what == "start":
            if not self.alone:
                self.awaited += sum(one["awaited"] for m in self.members.values() if m.serving
                                    for one in m.page()["members"])
            member.start()


class Load(threading.Thread):
    """Sends its traces, a span a request. A request that is refused goes to another door."""

    def __init__(self, fleet, traces, options, seed):
        super().__init__(daemon=True)
        self.fleet, self.traces, self.options = fleet, traces, options
        self.random = random.Random(seed)
        self.connections = {}
        self.whole, self.others, self.quiet = {}, set(), set()
        self.refused = self.sent = 0
        self.began = {}  # of promised traces, seconds after the start

    def post(self, body):
        doors = self.fleet.doors()
        self.random.shuffle(doors)
        for port in doors * (40 if self.fleet.front else 3):
            connection = self.connections.get(port) or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            self.connections[port] = connection
            try:
                connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.sent += 1
                    return True
                self.refused += 1
            except (OSError, http.client.HTTPException):
                connection.close()
                self.connections.pop(port, None)
            time.sleep(0.02)
        return False

    def run(self):
        """The spans of all traces in the order of their times."""
        begin = time.monotonic()
        events, state = [], {}
        for n in range(self.traces):
            trace = self.random.randbytes(16)
            first = n * self.options.seconds / self.traces
            ids = [self.random.randbytes(8) for _ in range(SPANS)]
            error = self.random.randrange(SPANS) if self.random.random() < 0.5 else None
            state[trace] = [ids, error, True, None]
            times = sorted([0, *(self.random.uniform(0, self.random.choice([1, self.options.longest])) for _ in ids[1:])])
            for k, after in enumerate(times):
                heapq.heappush(events, (first + after, trace, k))
        while events:
            due, trace, k = heapq.heappop(events)
            now = time.monotonic() - begin
            if due > now:
                time.sleep(due - now)
            ids, error, good, began = state[trace]
            began = began or time.monotonic()
            state[trace][3] = began
            span = otlp.span(trace, span_id=ids[k], parent=ids[0] if k else b"", error=k == error,
                             attributes=[("trace", trace.hex()), ("k of n", f"{k} of {SPANS}")])
            if not self.post(otlp.request([span])) or time.monotonic() - began > self.fleet.wait - 2:
                state[trace][2] = False
        for trace, (ids, error, good, began) in state.items():
            self.began[trace] = began - begin
            if not good:
                self.others.add(trace)
            elif error is None:
                self.quiet.add(trace)
            else:
                self.whole[trace] = set(ids)


def explain_everywhere(fleet, trace):
    """Any member says what became of a trace, wherever its home is."""
    for member in fleet.members.values():
        if member.daemon is None or not member.daemon.alive():
            continue
        status, text = get(member.daemon.pages["web"], f"/explain/{trace.hex()}")
        expect(status == 200 and '"verdict":"sampled"' in text, f"{member.name} explains {trace.hex()}: {status} {text}")


def check_views(fleet):
    """All agree at the end, and say so."""
    def agree():
        pages = [m.page() for m in fleet.all() if m.daemon and m.daemon.alive()]
        unsettled = any(p["settling"] or any(m["awaited"] for m in p["members"]) for p in pages)
        return pages if len({p["view"]["version"] for p in pages}) == 1 and not unsettled else None

    pages = until(agree, "all members have one view", 40)
    for page in pages:
        expect(page["view"]["members"] == sorted(fleet.names), f"a view of {page['view']}")
        expect(page["disagreeing"] == 0, f"somebody disagrees: {page}")


def where(fleet, loads, traces):
    """Of the first of them: when they began, and how many of their spans are at which backend."""
    began = {t: at for load in loads for t, at in load.began.items()}
    return "".join(f"\n  {t.hex()} began at {began[t]:.1f} s: " + ", ".join(
        f"{len(m.sink.traces[t])} at {m.name}" for m in fleet.members.values() if t in m.sink.traces) for t in
        sorted(traces, key=began.get)[:40])


def verdicts_of(fleet, loads):
    """(broken, lost, wrong, doubles) of the promised traces."""
    sinks = [m.sink.traces for m in fleet.members.values()]
    broken, lost, wrong = [], [], []
    for load in loads:
        for trace, ids in load.whole.items():
            have = [s[trace] for s in sinks if trace in s]
            if not have:
                lost.append(trace)
            elif len(have) != 1 or have[0] != ids:
                broken.append(trace)
        wrong += [trace for trace in load.quiet if any(trace in s for s in sinks)]
    return broken, lost, wrong, sum(m.sink.doubles for m in fleet.members.values())


def play(fleet, options):
    """Sends what the options say, and changes the fleet meanwhile. Returns the loads."""
    loads = [Load(fleet, options.traces // 4, options, options.seed + i) for i in range(4)]
    begin = time.monotonic()
    for load in loads:
        load.start()
    for at, what, name in options.plan:
        time.sleep(max(0, begin + at - time.monotonic()))
        print(f"{time.monotonic() - begin:6.1f} s  {what} {name}", flush=True)
        fleet.do(what, name)
    for load in loads:
        load.join()
    return loads


def run(options, directory):
    fleet = Fleet(options, directory)
    try:
        begin = time.monotonic()
        loads = play(fleet, options)
        alive = [m for m in fleet.all() if m.daemon and m.daemon.alive()]
        time.sleep(fleet.wait)
        until(lambda: all(m.daemon.metrics().sum("tailgate_buffer_spans") == 0 for m in alive), "all is decided", 40)
        until(lambda: all(m.daemon.metrics().sum("tailgate_export_queue_spans") == 0 for m in alive), "all is sent", 40)
        for member in alive:
            member.daemon.metrics().check_law()
        broken, lost, wrong, doubles = verdicts_of(fleet, loads)
        promised = sum(len(x.whole) + len(x.quiet) for x in loads)
        text = (f"{promised} traces promised of {options.traces}, {sum(x.sent for x in loads)} spans, "
                f"{sum(x.refused for x in loads)} refusals: {len(broken)} broken, {len(lost)} lost, {len(wrong)} kept in "
                f"part, {doubles} spans twice; {time.monotonic() - begin:.0f} s")
        print(text, flush=True)
        if options.alone:
            expect(broken or lost, "without a cluster nothing broke: the test sees nothing")
            return
        late = sum(m.daemon.metrics().sum("tailgate_late_spans_total") for m in alive)
        unsure = fleet.unsure + sum(m.daemon.metrics().sum("tailgate_journal_parts_total", result="unsure") for m in alive)
        print(f"{late:.0f} spans came late, of {unsure:.0f} parts it could not be told at once whose they are", flush=True)
        expect(promised > options.traces * 0.5, text)
        expect(options.name != "away" or fleet.awaited == 2, f"{fleet.awaited} members said that they wait for a")
        # What a member had that was killed is gone, and nothing else.
        kills = [at for at, what, _ in options.plan if what == "kill" and not options.journal]
        began = {t: at for load in loads for t, at in load.began.items()}
        bad = [t for t in broken + lost + wrong if not any(at - fleet.wait < began[t] < at + 4 for at in kills)]
        expect(not bad, text + where(fleet, loads, bad))
        check_views(fleet)
        explain_everywhere(fleet, next(reversed(loads[0].whole)))
    finally:
        for member in fleet.all():
            if member.daemon is not None:
                member.daemon.kill()
            member.sink.close()


def common_parser(**more):
    """The options of the load and the plan."""
    parser = argparse.ArgumentParser(**more)
    parser.add_argument("binary")
    parser.add_argument("--traces", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=0, help="of load")
    parser.add_argument("--longest", type=float, default=4, help="seconds of a trace")
    parser.add_argument("--stretch", type=float, default=1, help="of the plan")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plan", default="all", help="3:join:d,6:stop:b, or a name of PLANS")
    return parser


def with_plan(options):
    options.name, steps = options.plan, PLANS.get(options.plan)
    if steps is None:
        steps = [(float(t), what, name) for t, what, name in (s.split(":") for s in options.plan.split(","))]
    options.plan = [(at * options.stretch, what, name) for at, what, name in steps]
    options.seconds = options.seconds or (options.plan[-1][0] if options.plan else 8) + 2
    return options


def main():
    parser = common_parser()
    parser.add_argument("--behind", type=float, default=0, help="seconds that the front's list changes after the others'")
    parser.add_argument("--front", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--journal", action="store_true")
    options = with_plan(parser.parse_args())
    with tempfile.TemporaryDirectory() if not os.environ.get("KEEP") else contextlib.nullcontext(tempfile.mkdtemp()) as directory:
        try:
            run(options, directory)
        except Failed as failure:
            print(f"failed: {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
