#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs each row of the table "Memory" in docs/operations.md. memory_table.py LOAD TAILGATE [--seconds 120] [--jobs 1] [ROW...]

A row runs twice: with its memory_limit, where no trace may be decided early by memory, and with four fifths of it, where some
must be. Prints the CPU of each. Exit 1 if a row is wrong.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operations.md")
ROW = re.compile(r"^\| `(\d+)` \| (\d+)s \| (\d+) MiB \|", re.MULTILINE)


def run(options, row, share):
    rate, wait, limit = row
    limit = int(limit * share)
    command = [options.load, "--daemon", options.tailgate, "--rate", str(rate), "--wait", f"{wait}s", "--memory", f"{limit}MiB",
               "--seconds", str(options.seconds + wait)]
    done = subprocess.run(command, capture_output=True, text=True)
    early = re.search(r"decided early by memory (\d+)", done.stdout)
    cpu = re.search(r"million spans ([\d.]+) \(steady", done.stdout)
    if early is None or cpu is None:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    right = (int(early[1]) == 0) == (share == 1)
    cores = float(cpu[1]) * rate / 1e6
    print(f"{rate}/s for {wait} s, {limit} MiB: {early[1]} traces early, {cores:.3f} cores{'' if right else '  WRONG'}", flush=True)
    return right


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("load")
    parser.add_argument("tailgate")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("rows", nargs="*", type=int)
    options = parser.parse_args()
    with open(PAGE) as page:
        rows = [tuple(int(cell) for cell in row) for row in ROW.findall(page.read())]
    if not rows:
        sys.exit(f"no row in {PAGE}")
    chosen = [row for i, row in enumerate(rows) if not options.rows or i in options.rows]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda job: run(options, *job), [(row, share) for row in chosen for share in (1, 0.8)]))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
