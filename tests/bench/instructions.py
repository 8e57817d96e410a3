#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many instructions a span costs the daemon: the same on a busy machine as on a quiet one, where CPU time is not.

    instructions.py LOAD TAILGATE... [--shape large|small] [--rate 8000] [flags of LOAD]

Runs each daemon under valgrind (cachegrind, Debian's package) for 8 and for 28 seconds of the load test and divides the
difference, so that the start and the end do not count. What goes by time and not by spans (sweeps, scrapes) is in it:
compare runs of one rate. Instructions say nothing of caches and locks; for these there is `load`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile


def run(load, daemon, seconds, arguments, directory):
    """Instructions and spans of one run."""
    counts = os.path.join(directory, "counts")
    log = os.path.join(directory, "log")
    wrapper = os.path.join(directory, "daemon")
    with open(wrapper, "w", encoding="utf-8") as out:
        out.write(f"#!/bin/sh\nexec valgrind --tool=cachegrind --cache-sim=no --log-file={log} "
                  f"--cachegrind-out-file={counts} {os.path.abspath(daemon)} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    command = [load, "--daemon", wrapper, "--shape", arguments.shape, "--rate", str(arguments.rate),
               "--seconds", str(seconds), "--memory", "4GiB"]
    command += arguments.others
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        sys.exit(f"the load test failed:\n{done.stdout}{done.stderr}")
    with open(log, encoding="utf-8") as text:
        instructions = int(re.search(r"I\s+refs:\s+([\d,]+)", text.read()).group(1).replace(",", ""))
    requests = int(re.search(r"requests ok (\d+)", done.stdout).group(1))
    return instructions, requests * {"large": 80, "small": 128}[arguments.shape]


def main():
    parser = argparse.ArgumentParser(description="instructions a span")
    parser.add_argument("load")
    parser.add_argument("daemons", nargs="+")
    parser.add_argument("--shape", default="large", choices=["large", "small"])
    parser.add_argument("--rate", type=int, default=8000)
    arguments, others = parser.parse_known_args()
    arguments.others = others
    for daemon in arguments.daemons:
        with tempfile.TemporaryDirectory() as directory:
            few, spans_few = run(arguments.load, daemon, 8, arguments, directory)
            many, spans_many = run(arguments.load, daemon, 28, arguments, directory)
        print(f"{arguments.shape} {daemon}: {(many - few) / (spans_many - spans_few):,.0f} instructions a span", flush=True)


if __name__ == "__main__":
    main()
