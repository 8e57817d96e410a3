# SPDX-License-Identifier: Apache-2.0
"""deploy/kubernetes/balancer.yaml: real Collectors' `loadbalancing` exporter in front of three Tailgates, by trace id."""

import contextlib
import json
import os
import re
import textwrap
import urllib.request

import otlp_bytes as otlp
from servers import Server, free_ports
from spans import spans_of_otlp
from tailgate_process import Daemon, basic_config, expect, until
from tools import say, text_of

MANIFEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "kubernetes", "balancer.yaml")
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "high-availability.md")
KEEP = [{"name": "all", "type": "always_sample"}]
TRACES, SPANS = 200, 6


def shipped_config():
    """The Collector's configuration in the manifest."""
    text = text_of(MANIFEST)
    block = re.search(r"  collector\.yaml: \|\n((?:    .*\n)+)", text)[1]
    return textwrap.dedent(block)


class Balancer(Server):
    """The Collector with the shipped configuration, but for its ports, and a list of gateways in place of a name in DNS."""

    def __init__(self, binary, directory, name, gateways):
        super().__init__(name, directory)
        grpc, self.port = free_ports(2)
        config = shipped_config()
        for old, new in (("0.0.0.0:4317", f"127.0.0.1:{grpc}"), ("0.0.0.0:4318", f"127.0.0.1:{self.port}")):
            expect(old in config, f"want {old} in {MANIFEST}")
            config = config.replace(old, new)
        hosts = ", ".join(f'"{gateway}"' for gateway in gateways)
        config, changed = re.subn(r"dns: \{.*\}", f"static: {{hostnames: [{hosts}]}}", config)
        expect(changed == 1, f"want one resolver in {MANIFEST}")
        path = os.path.join(self.home, "collector.yaml")
        with open(path, "w") as out:
            out.write(config + "  telemetry: {metrics: {level: none}}\n")
        self.command = [binary, "--config", path]

    def answers(self):
        return self.post([]) == 200

    def post(self, spans):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/traces", otlp.request(spans),
                                         {"Content-Type": "application/x-protobuf"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status


def send(ids, to):
    """Each span in a request of its own, by the Collectors that `to(half, n)` names."""
    for n in range(SPANS):
        for half in (0, 1):
            parent = b"" if n == 0 else bytes([1] * 8)
            to(half, n).post([otlp.span(trace, f"op {n}", parent, span_id=bytes([n + 1] * 8))
                              for trace in ids[half::2]])


def homes(files):
    """{trace id: [index of the gateway that kept it, for each span]}"""
    out = {}
    for i, path in enumerate(files):
        for line in text_of(path).splitlines():
            for trace, spans in spans_of_otlp(json.loads(line)).items():
                out.setdefault(bytes.fromhex(trace), []).extend([i] * len(spans))
    return out


def test_by_trace_id(tools, binary, directory):
    expect(shipped_config() in text_of(PAGE), f"the example in {PAGE} is not that of {MANIFEST}")
    collector = tools.go("collector")
    with contextlib.ExitStack() as stack:
        daemons, files = [], []
        for i in range(4):
            home = os.path.join(directory, f"gateway-{i}")
            os.mkdir(home)
            files.append(os.path.join(home, "kept.json"))
            config = basic_config(KEEP, {"file": {"path": files[-1]}}, decision_wait="6s", decision_wait_after_root_received="2s")
            daemons.append(stack.enter_context(Daemon(binary, home, config)))
        gateways = [f"127.0.0.1:{daemon.grpc}" for daemon in daemons]
        three = [stack.enter_context(Balancer(collector, directory, f"balancer-{i}", gateways[:3])) for i in range(2)]
        four = stack.enter_context(Balancer(collector, directory, "balancer-of-four", gateways))
        whole, moved = ([os.urandom(16) for _ in range(TRACES)] for _ in range(2))
        send(whole, lambda half, n: three[(half + n) % 2])
        send(moved, lambda _, n: three[0] if n < SPANS / 2 else four)  # a fourth gateway comes in between

        def held():
            return sum(daemon.metrics().sum("tailgate_spans_forwarded_total") for daemon in daemons)
        until(lambda: held() >= 2 * TRACES * SPANS, "all is decided", 30, 0.1)
        for daemon in daemons:
            expect(daemon.stop() == 0, "a gateway did not end with 0")
        have = homes(files)
        good = sum(len(have.get(trace, ())) == SPANS and len(set(have[trace])) == 1 for trace in whole)
        expect(good == TRACES, f"{good} of {TRACES} traces are whole at one gateway")
        shares = [sum(have[trace][0] == i for trace in whole) for i in range(3)]
        expect(min(shares) > TRACES / 10, f"the gateways have {shares} of {TRACES} traces")
        say(f"  {TRACES} traces of {SPANS} spans by two Collectors: each whole at one of three gateways, {shares}")
        split = sum(len(set(have[trace])) > 1 for trace in moved)
        expect(0.15 * TRACES < split < 0.4 * TRACES, f"{split} of {TRACES} open traces are split when a fourth gateway comes")
        say(f"  {split} of {TRACES} open traces are split when a fourth gateway comes")
