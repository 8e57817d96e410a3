#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs that three members decide together. members.py TAILGATE LOAD [--rate N] [--traces N] [--rounds N]

Three members, each behind a front of its own that gets N spans/s: first each a cluster by itself, then one cluster. So
both have the same processes and hops, and differ in how requests are cut into parts. Prints CPU seconds of the members
for a million spans, over 20 s after 17 s of warming up, and how many times the load of one member three members of a
cluster take for each core second."""

import argparse
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support")]

from tailgate_process import Daemon, basic_config, free_ports  # noqa: E402

NAMES = "abc"
WARM_S, SECONDS, SETTLE_S = 17, 20, 9
POLICIES = [  # those of load
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 1000}},
    {"name": "routes", "type": "string_attribute",
     "string_attribute": {"key": "http.route", "values": ["/checkout", "/pay", "/refund"]}},
    {"name": "baseline", "type": "probabilistic", "probabilistic": {"sampling_percentage": 1}},
]


def members(name, together):
    return NAMES if together else [name]


def run(options, together):
    """CPU seconds for a million spans, and spans/s."""
    with tempfile.TemporaryDirectory() as directory:
        free = free_ports(2 * len(NAMES))
        ports = {name: free[2 * i:2 * i + 2] for i, name in enumerate(NAMES)}
        daemons, loads = [], []

        def now():
            spans = sum(daemon.metrics().sum("tailgate_spans_received_total") for daemon in daemons)
            return sum(daemon.cpu_seconds() for daemon in daemons), spans, time.monotonic()

        try:
            for name in NAMES:
                home = f"{directory}/{name}"
                os.mkdir(home)
                config = basic_config(POLICIES, {"file": {"path": f"{home}/kept.json"}}, decision_wait="5s",
                                      memory_limit="2GiB")
                for protocol, port in zip(("grpc", "http"), ports[name]):
                    config["receivers"]["otlp"]["protocols"][protocol]["endpoint"] = f"127.0.0.1:{port}"
                listed = [{"name": other, "endpoint": f"127.0.0.1:{ports[other][0]}"}
                          for other in members(name, together)]
                config["cluster"] = {"self": name, "tls": {"insecure": True}, "members": {"static": listed}}
                daemons.append(Daemon(options.tailgate, home, config))
            time.sleep(SETTLE_S)
            for name in NAMES:
                listed = ", ".join(f'{{name: {other}, endpoint: "127.0.0.1:{ports[other][0]}"}}'
                                   for other in members(name, together))
                loads.append(subprocess.Popen(
                    [options.load, "--daemon", options.tailgate, "--like-sdk", "--traces", str(options.traces),
                     "--rate", str(options.rate), "--seconds", str(WARM_S + SECONDS + 2), "--connections", "2",
                     "--ids", str(ord(name)),
                     "--set", f"cluster={{members: {{static: [{listed}]}}, tls: {{insecure: true}}}}"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(WARM_S)
            begin = now()
            time.sleep(SECONDS)
            cpu, spans, seconds = (b - a for a, b in zip(begin, now()))
            for load in loads:
                load.wait()  # it says FAILED, since the members decide
        finally:
            for load in loads:
                load.terminate()
            for daemon in daemons:
                daemon.kill()
        if spans / seconds < 0.95 * len(NAMES) * options.rate:
            raise SystemExit(f"the members got {spans / seconds:.0f} spans/s for {len(NAMES) * options.rate}")
        return cpu / spans * 1e6, spans / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tailgate")
    parser.add_argument("load")
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--traces", type=int, default=8, help="in a request, with 10 spans of each")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    alone_sum = together_sum = 0
    for _ in range(options.rounds):
        alone, alone_rate = run(options, False)
        together, together_rate = run(options, True)
        alone_sum += alone
        together_sum += together
        print(f"alone {alone:.2f} at {alone_rate:.0f}/s, together {together:.2f} at {together_rate:.0f}/s: "
              f"{3 * alone / together:.2f} times", flush=True)
    print(f"of the means: {3 * alone_sum / together_sum:.2f} times")


if __name__ == "__main__":
    main()
