#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pictures of the page in docs/images, from traces of the FastAPI and the Express client.

    screenshots.py TAILGATE [DIRECTORY]
"""

import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]

from chromium import Chromium  # noqa: E402
from clients import express_node, fastapi_python  # noqa: E402
from harness import Doors, doors_config  # noqa: E402
from tailgate_process import Daemon, get, until  # noqa: E402
from tools import Tools, say  # noqa: E402

POLICIES = [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": 250}},
            {"name": "half", "type": "probabilistic", "probabilistic": {"sampling_percentage": 50}}]
BYTES_MAX = 200_000


def main():
    binary = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "..", "..", "docs", "images")
    tools = Tools(os.environ.get("TAILGATE_E2E_CACHE", os.path.join(HERE, "..", "..", "build", "e2e-cache")))
    for module in (express_node, fastapi_python):
        module.prepare(tools)
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        config = doors_config({"store": {"directory": os.path.join(directory, "store")}})
        config["sampling"]["policies"] = POLICIES
        with Daemon(binary, directory, config) as daemon, Chromium(directory) as browser:
            clients = [client for module in (express_node, fastapi_python) for client in module.clients(tools, Doors(daemon), directory)]
            for _ in range(6):
                for client in clients:
                    sent = client.send()  # the last one is FastAPI's
            trace = next(iter(sent["keep"]))
            root = next(s for s in sent["keep"][trace] if s["name"] == "GET /stock/{item}")
            until(lambda: get(daemon.pages["web"], f"/api/trace/{trace}/otlp")[0] == 200, "the last trace is stored", 60, 0.2)
            time.sleep(6)  # those before it are decided
            base, page = f"http://127.0.0.1:{daemon.pages['web']}", browser.page()
            for name, height, address, drawn in (
                    ("traces", 900, f"{base}/?view=traces&include=remembered&limit=50", "!!document.querySelector('.scatter')"),
                    ("trace", 1000, f"{base}/trace/{trace}?span={root['spanId']}", "document.querySelectorAll('.row.chosen').length === 1")):
                page.look("light", 1400, height)
                page.go(address, drawn)
                path = os.path.join(out, f"{name}.png")
                page.screenshot(path)
                say(f"{path}: {os.path.getsize(path)} bytes")
                if os.path.getsize(path) > BYTES_MAX:
                    sys.exit(f"{path} is larger than {BYTES_MAX} bytes")


if __name__ == "__main__":
    main()
