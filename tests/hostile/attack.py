#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks a daemon of its own making, one attack after the other, while good clients keep sending.

    attack.py TAILGATE [--seconds N] [--only NAME]... [--tls]

For each attack: did the good clients get their answers, what did it cost in memory and CPU, is the daemon still there
and does its account add up. Prints a table in Markdown; exits with 1 when something that must hold does not.
Attackers connect from 127.0.0.2 and up, since the daemon's limit per address is theirs to exhaust, not the good
clients'. Standard library only. See docs/measured/hostile-input.md.
"""

import argparse
import gzip
import multiprocessing
import os
import platform
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import connections  # noqa: E402
import h2_frames as h2  # noqa: E402
import otlp_bytes as otlp  # noqa: E402
from connections import PROTOBUF, post  # noqa: E402
from good_clients import GoodClients, GrpcClient, HttpClient  # noqa: E402
from table import ATTACKS, TLS_ATTACKS  # noqa: E402
from tailgate_process import Daemon, Failed, basic_config, expect, until  # noqa: E402

LIMIT_MIB = 512 * 1.1  # of the daemon's whole RSS, whatever happens


def run_attacker(attack, ports, seconds, pipe):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    try:
        pipe.send(attack.run(ports, time.monotonic() + seconds))
    except BaseException as error:
        pipe.send(error)
        raise


def settle(daemon, seconds):
    """Waits until the daemon's RSS stands still, and gives it."""
    last, since = daemon.rss_mib(), time.monotonic()
    end = since + seconds
    while time.monotonic() < end and time.monotonic() - since < 2:
        time.sleep(0.1)
        now = daemon.rss_mib()
        if abs(now - last) > 0.5:
            last, since = now, time.monotonic()
    return daemon.rss_mib()


def warm_up(daemon, seconds):
    """Ordinary traffic of all kinds and sizes: what the daemon takes once and for all, it takes here."""
    deadline = time.monotonic() + seconds
    http_client, grpc_client = HttpClient(daemon.http, True), GrpcClient(daemon.grpc, True)

    def large(count):
        return otlp.request([otlp.span(os.urandom(16), attributes=[("key", "v" * 100)]) for _ in range(count)])

    while True:
        for _ in range(20):
            expect(http_client.send() == "ok" and grpc_client.send() == "ok", "a warm-up request was refused")
        body = large(500)
        for _ in range(4):
            post(daemon.http, body, PROTOBUF)
            post(daemon.http, gzip.compress(body), {**PROTOBUF, "Content-Encoding": "gzip"})
            grpc_client.connection.call(h2.grpc_message(body))
        post(daemon.http, large(10000), PROTOBUF)
        if time.monotonic() >= deadline:
            break
    http_client.drop()
    grpc_client.drop()


def make_certificate(directory):
    """A self-signed one, and the context of clients that trust it."""
    files = [os.path.join(directory, name) for name in ("cert.pem", "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=files[0])
    context.check_hostname = False
    return files, context


def start_daemon(binary, directory, attack=None, certificate=None):
    config = basic_config(
        [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}],
        {"file": {"path": os.path.join(directory, "kept.json"), "rotation": {"max_megabytes": 10, "max_backups": 1}}})
    if certificate:
        for protocol in config["receivers"]["otlp"]["protocols"].values():
            protocol["tls"] = {"cert_file": certificate[0], "key_file": certificate[1]}
    limit = None
    if attack is not None and attack.files:
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (attack.files, attack.files))  # noqa: E731
    return Daemon(binary, directory, config, preexec_fn=limit)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def run_one(daemon, attack, seconds, long_run):
    """A row of the table and what did not hold."""
    wrong = []
    before = settle(daemon, 15 if long_run else 1)
    daemon.reset_peak()
    cpu = daemon.cpu_seconds()
    good = GoodClients(daemon, fresh=attack.files is None)
    if attack.files:  # they have to be in before the doors are full
        until(lambda: daemon.metrics().sum("tailgate_connections") >= 2, "the good clients are connected")
    ours, theirs = multiprocessing.Pipe(False)
    attacker = multiprocessing.Process(target=run_attacker, args=(attack, daemon, seconds, theirs), daemon=True)
    attacker.start()
    theirs.close()
    if not ours.poll(seconds + 120):
        attacker.kill()
        seen = Failed("the attacker hangs")
    else:
        try:
            seen = ours.recv()
        except EOFError:
            seen = Failed("the attacker died")
    attacker.join()
    if attack.files:  # all closed: a new client is served at once
        began = time.monotonic()
        try:
            until(lambda: post(daemon.http, otlp.request([otlp.span(os.urandom(16))]), PROTOBUF) == "HTTP 200", "", 5)
            seen["ms to serve again"] = round((time.monotonic() - began) * 1000)
        except Failed:
            wrong.append("does not serve again within 5 s")
    outcomes, latencies = good.stop()
    if not daemon.alive():
        raise Failed(f"{attack.name}: the daemon died ({daemon.process.returncode})\n{daemon.log()[-3000:]}")
    peak, cpu = daemon.peak_mib(), daemon.cpu_seconds() - cpu
    after = settle(daemon, 15 if long_run else 0.5)

    if isinstance(seen, Exception):
        wrong.append(str(seen))
        seen = Counter()
    elif long_run or not attack.long_only:
        try:
            attack.check(seen)
        except Failed as failed:
            wrong.append(str(failed))
    served = outcomes["ok"] / max(1, outcomes.total())
    if served < 0.99:
        wrong.append(f"good clients: {dict(outcomes)}")
    if attack.rise_max is not None and peak - before >= attack.rise_max:
        wrong.append(f"RSS rose by {peak - before:.1f} MiB")
    if peak > LIMIT_MIB:
        wrong.append(f"RSS {peak:.0f} MiB is over the limit")
    try:
        if post(daemon.http, otlp.request([otlp.span(os.urandom(16))]), PROTOBUF) != "HTTP 200":
            wrong.append("does not serve afterwards")
        daemon.metrics().check_law()
    except Failed as failed:
        wrong.append(str(failed))
    row = [attack.name, ", ".join(f"{what} {n:,}" for what, n in sorted(seen.items())), f"{served * 100:.1f}",
           f"{statistics.median(latencies) * 1000:.1f} / {percentile(latencies, 0.99):.0f} / {max(latencies) * 1000:.0f}",
           f"{before:.1f} / {peak:.1f} / {after:.1f}", f"{peak - before:.1f}", f"{cpu:.1f}", "; ".join(wrong) or "holds"]
    return row, wrong


HEAD = ["attack", "attacker saw", "good served %", "good ms p50 / p99 / max", "RSS MiB before / peak / after", "rise MiB",
        "CPU s", "verdict"]


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tailgate")
    parser.add_argument("--seconds", type=float, default=30, help="of each attack")
    parser.add_argument("--tls", action="store_true", help="receivers, attackers and good clients speak TLS")
    parser.add_argument("--only", action="append", help="attacks whose name contains this")
    options = parser.parse_args()
    attacks = [a for a in ATTACKS + (TLS_ATTACKS if options.tls else []) if not options.only or any(o in a.name for o in options.only)]
    long_run = options.seconds >= 20
    version = subprocess.run([options.tailgate, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{version}; {machine()}; {options.seconds:g} s each{', over TLS' if options.tls else ''}\n")
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    failures = []
    with tempfile.TemporaryDirectory() as directory:
        certificate = None
        if options.tls:
            certificate, connections.TLS = make_certificate(directory)
        with start_daemon(options.tailgate, directory, certificate=certificate) as shared:
            warm_up(shared, 20 if long_run else 3)
            for attack in attacks:
                if attack.files:
                    with start_daemon(options.tailgate, directory, attack, certificate) as own:
                        warm_up(own, 20 if long_run else 3)
                        row, wrong = run_one(own, attack, options.seconds, long_run)
                        expect(own.stop() == 0, "the daemon did not end with 0")
                else:
                    row, wrong = run_one(shared, attack, options.seconds, long_run)
                print("| " + " | ".join(row) + " |", flush=True)
                failures += [f"{attack.name}: {text}" for text in wrong]
            if shared.stop() != 0:
                failures.append(f"the daemon did not end with 0:\n{shared.log()[-2000:]}")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"FAILED {failed}")
