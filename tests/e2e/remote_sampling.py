# SPDX-License-Identifier: Apache-2.0
"""SDKs' own samplers for Jaeger's protocol, in Go, Node and Java, ask the daemon and sample as they are told: by the file, after
it has changed, and by probabilities that follow what comes in."""

import json
import os
import subprocess
import threading
import urllib.request

import otlp_bytes as otlp
from backends import jars
from tailgate_process import Daemon, basic_config, expect, until
from tools import program, say

GET, PAY = "GET /cart", "POST /pay"


class Client:
    """A program that prints once a second which share of the roots of each operation it samples."""

    def __init__(self, name, command, env=None):
        self.name, self.shares = name, {}
        self.process = subprocess.Popen(command + ["shop", GET, PAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, **(env or {})}, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.shares = json.loads(line)

    def samples(self, get, pay):
        """Whether the shares are these, as far as 10,000 tries tell: five sigma."""
        near = lambda share, p: abs(share - p) <= 5 * (p * (1 - p) / 10_000) ** 0.5  # noqa: E731
        return self.shares and near(self.shares[GET], get) and near(self.shares[PAY], pay)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.reader.join()


def start_clients(tools, daemon):
    http = f"http://127.0.0.1:{daemon.pages['sampling']}"
    grpc = {name: port for name, _, port in daemon.receivers if name == "jaeger"}["jaeger"]
    go = tools.go("remote_sampling_go")
    modules = tools.npm("remote_sampling_node")
    path = jars(tools, "remote_sampling_java")
    java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", path, program("remote_sampling_java", "Client.java")]
    return [Client("Go, HTTP", [go, f"{http}/sampling"]),
            Client("Node, HTTP", ["node", program("remote_sampling_node", "client.js"), http], {"NODE_PATH": modules}),
            Client("Java, gRPC on the Jaeger receiver's port", [*java, f"http://127.0.0.1:{grpc}"]),
            Client("Java, gRPC on the port of HTTP", [*java, http])]


def strategies(get, pay):
    return {"service_strategies": [{"service": "shop", "type": "probabilistic", "param": get, "operation_strategies": [
        {"operation": PAY, "type": "probabilistic", "param": pay}]}]}


def write(path, value):
    with open(path + ".new", "w") as out:
        json.dump(value, out)
    os.rename(path + ".new", path)


def flood(daemon):
    spans = [otlp.span(os.urandom(16), GET) for _ in range(200)]
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", otlp.request(spans, "shop"),
                                     {"Content-Type": "application/x-protobuf"})
    urllib.request.urlopen(request, timeout=10).close()


def test_remote_sampling(tools, binary, directory):
    file = os.path.join(directory, "strategies.json")
    write(file, strategies(0.25, 1))
    config = basic_config([{"name": "all", "type": "always_sample"}], {"debug": {}}, decision_wait="1s")
    config["receivers"] = {"jaeger": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}, **config["receivers"]}
    config["remote_sampling"] = {"http": {"endpoint": "127.0.0.1:0"}, "strategies_file": file,
                                 "default_sampling_probability": 1,
                                 "adaptive": {"traces_per_second": 5, "poll_interval": "6s", "operation_expiration": "1m"}}
    with Daemon(binary, directory, config) as daemon:
        clients = start_clients(tools, daemon)
        try:
            for client in clients:
                until(lambda: client.samples(0.25, 1), f"{client.name} samples 0.25 and 1, has {client.shares}", 60, 0.5)
                say(f"  {client.name}: {client.shares}")
            write(file, strategies(1, 0.5))
            for client in clients:
                until(lambda: client.samples(1, 0.5), f"{client.name} samples 1 and 0.5, has {client.shares}", 60, 0.5)
            say("  the file changed, and all of them follow")
            # The file no longer names the service: its probabilities follow what comes in. What is sent here is more than
            # the target, so that of GET falls; nobody sends POST.
            write(file, {"service_strategies": []})
            for client in clients:
                def follows():
                    flood(daemon)
                    return client.shares[GET] < 0.5 and client.shares[PAY] == 1
                until(follows, f"{client.name} samples less of what comes in numbers, has {client.shares}", 90, 0.2)
            say(f"  adaptive: {[client.shares[GET] for client in clients]} of {GET}, all of {PAY}")
            polls = daemon.metrics()
            for labels in ({"protocol": "http", "result": "adaptive"}, {"protocol": "grpc", "result": "file"}):
                expect(polls.sum("tailgate_remote_sampling_polls_total", **labels) > 0, f"no poll {labels}")
            expect(polls.sum("tailgate_remote_sampling_polls_total", result="refused") == 0, "polls are refused")
        finally:
            for client in clients:
                client.stop()
        expect(daemon.stop() == 0, "the daemon did not end with 0")
