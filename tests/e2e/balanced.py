#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What breaks with Collectors where a cluster of Tailgates breaks nothing: the load of cluster_test.py, a span a request, to
a Collector whose `loadbalancing` exporter sends by trace id to three with `tail_sampling`, while a fourth comes, one goes,
and all restart in turn.

    balanced.py COLLECTOR [--traces N] [--longest SECONDS] [--seconds SECONDS] [--stretch N] [--seed N] [--plan STEPS]

COLLECTOR is built by run.py, in build/e2e-cache/collector; the options are those of cluster_test.py, and with the same ones
the traces are the same. The Collectors have it as good as can be: a member leaves DNS before it stops, and comes into it
when it answers; what cannot be sent is routed again and not dropped; verdicts are remembered for late spans.
"""

import argparse
import contextlib
import os
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "component", "daemon")]

from balancing import NAME, Hosts  # noqa: E402
from cluster_test import POLICY, common_parser, play, verdicts_of, with_plan  # noqa: E402
from otlp_sink import Sink  # noqa: E402
from servers import Server, free_ports  # noqa: E402
from tailgate_process import expect  # noqa: E402
from tools import say  # noqa: E402

SEEN = 7  # seconds until the resolver sees what DNS says: it asks each second, and Go reads its file of hosts every five
RETRY = {"enabled": True, "initial_interval": "100ms", "max_interval": "500ms", "max_elapsed_time": "0s"}
ENDS = {"telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}}}


class Collector(Server):
    def __init__(self, name, directory, command, address, port, parts):
        super().__init__(name, directory)
        self.address, self.port = address, port
        self.command = [*command, "--config", self.file("collector.yaml", parts)]

    def answers(self):
        socket.create_connection((self.address, self.port), timeout=1).close()
        return True


class Member(Collector):
    """It has a backend of its own, which outlives it."""

    def __init__(self, fleet, name, directory, command, address):
        self.sink = Sink()
        wait = f"{int(fleet.wait * 1000)}ms"
        super().__init__(name, directory, command, address, fleet.grpc, {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"{address}:{fleet.grpc}"}}}},
            "processors": {"tail_sampling": {
                "decision_wait": wait, "num_traces": 200_000, "policies": [POLICY],
                "decision_cache": {"sampled_cache_size": 200_000, "non_sampled_cache_size": 200_000}}},
            "exporters": {"otlphttp": {"endpoint": f"http://127.0.0.1:{self.sink.port}", "retry_on_failure": RETRY}},
            "service": {**ENDS, "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["tail_sampling"], "exporters": ["otlphttp"]}}}})


class Fleet:
    """As Load and verdicts_of() want it."""

    def __init__(self, stack, collector, directory, longest):
        self.wait, self.front = longest + 3, True
        self.grpc, self.http = free_ports(2)
        os.environ["TAILGATE_WRAPPED"] = collector
        self.hosts = Hosts(directory)
        self.members = {name: Member(self, name, directory, [collector], f"127.0.0.{i}")
                        for i, name in enumerate("abcd", 2)}
        for member in self.members.values():
            stack.callback(member.sink.close)
            stack.callback(member.stop)
        self.known = []
        for name in "abc":
            self.do("start", name)
        self.balancer = Collector("balancer", directory, [self.hosts.wrapper], "127.0.0.1", self.http, {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.http}"}}}},
            "exporters": {"loadbalancing": {
                "routing_key": "traceID", "retry_on_failure": RETRY, "sending_queue": {"enabled": True, "queue_size": 100_000, "num_consumers": 20},
                "protocol": {"otlp": {"tls": {"insecure": True}, "timeout": "1s", "retry_on_failure": {"enabled": False},
                                      "sending_queue": {"enabled": False}}},
                "resolver": {"dns": {"hostname": NAME, "port": str(self.grpc), "interval": "1s"}}}},
            "service": {**ENDS, "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["loadbalancing"]}}}})
        stack.enter_context(self.balancer)

    def doors(self):
        return [self.http]

    def do(self, what, name):
        member = self.members[name]
        if what in ("join", "start"):
            member.start()
            self.known.append(member.address)
        else:
            self.known.remove(member.address)
        self.hosts.are(*self.known)
        if what in ("leave", "stop"):
            time.sleep(SEEN)
            member.stop()


def measure(directory, options):
    """How many of the promised traces with an error were broken, how many lost."""
    with contextlib.ExitStack() as stack:
        fleet = Fleet(stack, os.path.abspath(options.binary), directory, options.longest)
        time.sleep(SEEN)
        loads = play(fleet, options)
        time.sleep(fleet.wait + 5)
        broken, lost, wrong, doubles = verdicts_of(fleet, loads)
        promised, errors = sum(len(x.whole) + len(x.quiet) for x in loads), sum(len(x.whole) for x in loads)
        say(f"  {promised} traces promised of {options.traces}, {errors} with an error, of them {len(broken)} broken and "
            f"{len(lost)} lost; {len(wrong)} others kept, {doubles} spans twice; {sum(x.refused for x in loads)} refusals")
        expect(promised > options.traces / 2, "most requests were refused or late")
        return len(broken), len(lost)


def test_balanced(tools, _, directory):
    collector = tools.go("collector")
    for plan in ("none", "plus", "minus", "rolling"):
        home = os.path.join(directory, plan)
        os.mkdir(home)
        say(f"  {plan}")
        found = measure(home, with_plan(common_parser().parse_args(
            [collector, "--longest", "6", "--seconds", "30", "--plan", plan])))
        # What is compared is the change: without one nothing is missing.
        expect(any(found) == (plan != "none"), f"{plan}: {found[0]} broken, {found[1]} lost")


def main():
    options = with_plan(common_parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args())
    with tempfile.TemporaryDirectory() as directory:
        measure(directory, options)


if __name__ == "__main__":
    main()
