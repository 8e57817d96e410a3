#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an idle sidecar costs: ready after how long, memory, CPU while nothing comes. sidecar.py TAILGATE

Exit 1 when it is far over what docs/measured/performance.md promises for a quiet machine: 100 ms, 25 MiB, 0.2 % of a core.
"""

import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

from tailgate_process import SHIPPED, Daemon  # noqa: E402

CONFIG = os.path.join(HERE, "..", "..", "config", "sidecar.yaml")
STARTS, QUIET_SECONDS = 3, 5
READY_SECONDS_MAX, RSS_MIB_MAX, CPU_SHARE_MAX = 1.0, 40, 0.01


def main():
    binary = os.path.abspath(sys.argv[1])
    ready = []
    with tempfile.TemporaryDirectory() as directory:
        for start in range(STARTS):
            began = time.monotonic()
            daemon = Daemon(binary, directory, path=CONFIG, cwd=directory, sets=SHIPPED)
            ready.append(time.monotonic() - began)  # polled each 20 ms
            if start + 1 < STARTS:
                daemon.stop()
        time.sleep(1)  # the start is over
        before = daemon.cpu_seconds()
        time.sleep(QUIET_SECONDS)
        cpu = (daemon.cpu_seconds() - before) / QUIET_SECONDS
        rss = daemon.rss_mib()
        daemon.stop()
    print(f"sidecar: ready in {min(ready) * 1000:.0f} ms, {rss:.1f} MiB, {cpu:.2%} of a core")
    return 0 if min(ready) < READY_SECONDS_MAX and rss < RSS_MIB_MAX and cpu < CPU_SHARE_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
