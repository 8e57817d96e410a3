# SPDX-License-Identifier: Apache-2.0
"""Several backends behind one name: a file of hosts that only the sender sees, and Tailgates as backends on addresses of loopback."""

import contextlib
import json
import os
import subprocess
import threading

from examples import send
from servers import free_ports
from spans import spans_of_otlp
from tailgate_process import Daemon, basic_config, expect, until
from tools import Skip, say

NAME = "backends.test"
ALL = [{"name": "all", "type": "always_sample"}]
ENOUGH = 100  # traces


class Hosts:
    """What NAME stands for, in a file over /etc/hosts of a daemon that is started by `wrapped`."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "hosts")
        self.wrapper = os.path.join(directory, "with-hosts")
        with open(self.wrapper, "w") as out:
            out.write(f'#!/bin/sh\nexec unshare -rm sh -c \'mount --bind "$0" /etc/hosts && exec "$@"\' {self.path} "$TAILGATE_WRAPPED" "$@"\n')
        os.chmod(self.wrapper, 0o755)
        self.are("127.0.0.1")
        if subprocess.run([self.wrapper], env={**os.environ, "TAILGATE_WRAPPED": "true"}, capture_output=True).returncode != 0:
            raise Skip("no namespace of mounts to be had")

    def are(self, *addresses):
        with open(self.path, "w") as out:  # in place: it is mounted
            out.write("127.0.0.1 localhost\n" + "".join(f"{address} {NAME}\n" for address in addresses))


class Backend:
    def __init__(self, binary, directory, address, ports):
        home = os.path.join(directory, address)
        os.mkdir(home)
        self.address, self.kept = address, os.path.join(home, "kept.json")
        config = basic_config(ALL, {"file": {"path": self.kept}}, decision_wait="1s")
        for protocol, port in zip(("grpc", "http"), ports):
            config["receivers"]["otlp"]["protocols"][protocol]["endpoint"] = f"{address}:{port}"
        self.daemon = Daemon(binary, home, config)

    def has(self, ids):
        with open(self.kept) as lines:
            return {i for line in lines if line.endswith("\n") for i in spans_of_otlp(json.loads(line))} & ids


class Sender:
    """Ten traces at a time, five times a second, by one exporter."""

    def __init__(self, hosts, directory, exporter, endpoint):
        home = os.path.join(directory, exporter)
        os.mkdir(home)
        self.exporter, self.sent, self.over, self.failed = exporter, set(), threading.Event(), None
        retry = {"initial_interval": "100ms", "max_interval": "500ms"}
        settings = {"endpoint": endpoint, "tls": {"insecure": True}, "retry_on_failure": retry}
        self.daemon = Daemon(hosts.wrapper, home, basic_config(ALL, {exporter: settings}, decision_wait="1s", decision_wait_after_root_received="50ms"))
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.over.wait(0.2):
                self.sent |= set(send(self.daemon, "shop", 10))
        except Exception as error:  # told by the test's thread
            self.failed = error

    def end(self):
        self.over.set()
        self.thread.join()
        self.daemon.kill()


def test_balancing(_, binary, directory):
    """Traces go to all backends of a name, to a new one without a restart, and none is lost when one goes away."""
    os.environ["TAILGATE_WRAPPED"] = binary
    hosts, ports = Hosts(directory), free_ports(2)
    with contextlib.ExitStack() as stack:
        def backend(address):
            made = Backend(binary, directory, address, ports)
            stack.callback(made.daemon.kill)
            return made

        backends = [backend("127.0.0.1"), backend("127.0.0.2")]
        hosts.are("127.0.0.1", "127.0.0.2")
        senders = [Sender(hosts, directory, "otlp", f"{NAME}:{ports[0]}"), Sender(hosts, directory, "otlphttp", f"http://{NAME}:{ports[1]}")]
        for sender in senders:
            stack.callback(sender.end)

        def shares(wanted):
            """By exporter, traces at each of the backends; None while one has less than wanted."""
            for sender in senders:
                expect(sender.failed is None, f"{sender.exporter}: {sender.failed}")
            out = {sender.exporter: [len(one.has(set(sender.sent))) for one in backends] for sender in senders}
            return out if all(n >= wanted for counts in out.values() for n in counts) else None

        say(f"  two backends: {until(lambda: shares(ENOUGH), 'both backends get traces by both exporters', 60, 0.5)}")

        backends.append(backend("127.0.0.3"))
        hosts.are("127.0.0.1", "127.0.0.2", "127.0.0.3")
        say(f"  a third: {until(lambda: shares(ENOUGH), 'the new one gets traces by both exporters', 90, 0.5)}")
        connections = [one.daemon.metrics().sum("tailgate_connections") for one in backends]
        expect(max(connections) <= 2 * 4, f"{connections} connections: some are not closed")

        expect(backends[1].daemon.stop() == 0, "a backend did not end with 0")
        before = {sender.exporter: len(sender.sent) for sender in senders}
        until(lambda: all(len(sender.sent) >= before[sender.exporter] + ENOUGH for sender in senders), "more is sent", 60)
        for sender in senders:
            sender.over.set()
            sender.thread.join()
            until(lambda: sender.daemon.metrics().sum("tailgate_buffer_spans") == 0
                  and sender.daemon.metrics().sum("tailgate_export_queue_spans") == 0, f"{sender.exporter} has sent all", 60)
            expect(sender.daemon.metrics().sum("tailgate_export_lost_spans_total") == 0, f"{sender.exporter} lost spans")
            expect(sender.daemon.stop() == 0, "a sender did not end with 0")

        def missing():
            return {sender.exporter: len(sender.sent - set().union(*(one.has(sender.sent) for one in backends))) for sender in senders}
        until(lambda: not any(missing().values()), "every trace is at some backend", 30, 0.5)
        say(f"  one of them gone: {shares(0)} of {[len(sender.sent) for sender in senders]}, none missing")
