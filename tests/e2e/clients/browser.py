# SPDX-License-Identifier: Apache-2.0
"""A page in headless Chromium with the OpenTelemetry web SDK: OTLP/JSON to another origin, so by CORS."""

import http.server
import json
import os
import subprocess
import threading

from spans import span, with_numbers
from tailgate_process import expect
from tools import program, run
from harness import Client

NAME = "Chromium, web SDK"
ORIGINS = ["http://127.0.0.1:*"]  # not http://localhost:*

EXPECTED = span("documentLoad", "internal", "browser-shop", tags={"url.path": "/shop?straße", "cold": True}, children=[
    span("HTTP GET", "client", status=(2, "offline: ü"), tags={"http.request.resend_count": 2, "share": 0.5},
         events=[("fetchStart", {"bytes": 512})]),
])


def prepare(tools):
    tools.need("chromium")
    tools.npm("browser")


class Page:
    """Serves the page and waits for what it says it sent."""

    def __init__(self, script):
        page, self.said, self.told = self, None, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, kind, body):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path == "/page.js":
                    self.answer("text/javascript", script)
                else:
                    self.answer("text/html", b'<!doctype html><meta charset="utf-8"><script src="/page.js"></script>')

            def do_POST(self):
                page.said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer("text/plain", b"")
                page.told.set()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def visit(script, directory, host, endpoint):
    """What the page says after a visit by `host`."""
    page = Page(script)
    log_path = os.path.join(directory, "chromium.log")
    with open(log_path, "wb") as log:
        browser = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
             "--no-first-run", f"--user-data-dir={directory}/chromium-{host}", f"http://{host}:{page.port}/#{endpoint}"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        expect(page.told.wait(90), "the page in Chromium says nothing")
    finally:
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
        page.server.shutdown()
        page.server.server_close()
    return page.said


def send(tools, directory, port):
    modules = tools.npm("browser")
    bundle = os.path.join(directory, "page.js")
    run([os.path.join(modules, ".bin", "esbuild"), program("browser", "page.js"), "--bundle", "--format=iife", f"--outfile={bundle}"],
        env={**os.environ, "NODE_PATH": modules})
    with open(bundle, "rb") as file:
        script = file.read()
    endpoint = f"http://127.0.0.1:{port}"
    # The same page by an origin that is not allowed: its browser must not send.
    stranger = visit(script, directory, "localhost", endpoint)
    expect("refused" in stranger, "a page of an origin that is not allowed could send")
    said = visit(script, directory, "127.0.0.1", endpoint)
    expect("keep" in said, f"{NAME}: {said}")
    return with_numbers(said)


def clients(tools, doors, directory):
    return [Client("OTLP/JSON by CORS", "otlp_json", lambda: send(tools, directory, doors.otlp_http), EXPECTED)]
