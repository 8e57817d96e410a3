#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spans that are small on the wire and large when they are decoded, through each exporter that decodes.

    decoded.py TAILGATE [--only EXPORTER]... [--what FILLER]... [--mib N] [--measure]

One span of N MiB that is nothing but empty links (events, attributes, values in an array, ...), good traces before and
after it, a daemon with `memory_limit: 512MiB`: its memory stays under that, and every trace arrives. With --measure the
figures are printed and nothing is expected of them. Standard library only. See docs/exporters.md, "Large spans".
"""

import argparse
import http.client
import http.server
import os
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from otlp_bytes import field  # noqa: E402
from tailgate_process import Daemon, Failed, basic_config, expect, until  # noqa: E402

MIB = 1 << 20
LIMIT_MIB = 512 * 1.1
MODULE = "libtailgate_parquet.so"


class Backend:
    """Takes whatever it is sent and says what Zipkin, Elasticsearch, an object store or a Collector would."""

    def __init__(self):
        backend = self
        self.requests = self.bytes = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                left = int(self.headers.get("Content-Length") or 0)
                backend.requests += 1
                backend.bytes += left
                lines = 0
                inflate = zlib.decompressobj(31) if self.headers.get("Content-Encoding") == "gzip" else None
                while left > 0:
                    piece = self.rfile.read(min(left, MIB // 8))
                    left -= len(piece)
                    lines += (inflate.decompress(piece) if inflate else piece).count(b"\n")
                body = b""
                if self.path.startswith("/_bulk"):
                    items = ",".join(['{"create":{"status":201}}'] * (lines // 2))
                    body = b'{"errors":false,"items":[' + items.encode() + b"]}"
                elif self.path.endswith("?uploads="):
                    body = b"<R><UploadId>1</UploadId></R>"
                elif "uploadId=" in self.path:
                    body = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
                elif self.path.startswith("/_index_template"):
                    body = b'{"acknowledged":true}'
                self.send_response(202 if self.path.endswith("/spans") else 200)
                self.send_header("ETag", '"e"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


# --- what fills a span: (kind of the metric or None, bytes of the fields) ------------------------------------------


def array_of(values):
    return field(9, field(1, b"a") + field(2, field(5, values)))


def fillers(size):
    n = size // 2
    deep = b"\x0a\x00" * n
    for _ in range(20):
        deep = field(1, field(5, deep))
    pairs = b"".join(field(1, field(1, i.to_bytes(4, "little"))) for i in range(min(size // 8, 1_500_000)))
    many = field(13, b"") * 16_384
    return {
        "links": ("links", b"\x6a\x00" * n),
        "events": ("events", b"\x5a\x00" * n),
        "attributes": ("attributes", b"\x4a\x00" * n),
        "attributes of an event": ("attributes", field(11, b"\x1a\x00" * n)),
        "attributes of a link": ("attributes", field(13, b"\x22\x00" * n)),
        "array": ("values", array_of(b"\x0a\x00" * n)),
        "map": ("values", field(9, field(1, b"m") + field(2, field(6, pairs)))),
        "array in arrays": ("values", field(9, field(1, b"a") + field(2, field(5, deep)))),
        "one field again and again": (None, b"\x30\x02" * n),
        "control characters": ("values", field(9, field(1, b"c") + field(2, field(1, b"\x01" * size)))),
        "control characters of an event": ("values", field(11, field(3, field(1, b"c") + field(2, field(1, b"\x01" * size))))),
        "plain text": (None, field(11, field(3, field(1, b"c") + field(2, field(1, b"t" * size))))),
        "many full spans": (None, [many] * max(1, size // len(many))),
    }


EXPORTERS = {
    "zipkin": lambda port, home: {"endpoint": f"http://127.0.0.1:{port}/api/v2/spans"},
    "elasticsearch": lambda port, home: {"endpoint": f"http://127.0.0.1:{port}"},
    "otlphttp": lambda port, home: {"endpoint": f"http://127.0.0.1:{port}", "encoding": "json"},
    "file": lambda port, home: {"path": os.path.join(home, f"out-{port}.jsonl")},
    "debug": lambda port, home: {},
    "s3": lambda port, home: {"endpoint": f"http://127.0.0.1:{port}", "bucket": "traces", "access_key": "a", "secret_key": "b",
                              "max_file_age": "200ms"},
}


def post(daemon, body):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http, timeout=60)
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    expect(answer.status == 200, f"the daemon says {answer.status}")


def good():
    return otlp.request([otlp.span(os.urandom(16))], "good")


def settle(daemon, exporter, spans, seconds=60):
    def look():
        metrics = daemon.metrics()
        return metrics if metrics.sum("tailgate_export_spans_total", exporter=exporter) >= spans else None
    return until(look, f"{exporter} has {spans} spans:\n{daemon.log()[-1500:]}", seconds, 0.05)


def run_one(binary, exporter, name, kind, filler, measure):
    with Backend() as backend, tempfile.TemporaryDirectory() as home:
        config = basic_config([{"name": "all", "type": "always_sample"}], {exporter: EXPORTERS[exporter](backend.port, home)},
                              decision_wait="200ms")
        with Daemon(binary, home, config) as daemon:
            post(daemon, good())
            settle(daemon, exporter, 1)
            trace = os.urandom(16)
            bodies = filler if isinstance(filler, list) else [filler]
            spans = [otlp.span(trace) + one for one in bodies]
            began = time.monotonic()
            post(daemon, otlp.request(spans, "bad"))
            post(daemon, good())
            metrics = settle(daemon, exporter, 2 + len(spans))
            took, peak = time.monotonic() - began, daemon.peak_mib()
            metrics.check_law()
            cut = metrics.by("tailgate_export_cut_items_total", "item")
            sent = backend.bytes if exporter not in ("file", "debug") else 0
            print(f"| {exporter} | {name} | {peak:.0f} | {took:.1f} | {sent / MIB:.1f} | "
                  f"{', '.join(f'{k} {v:,.0f}' for k, v in sorted(cut.items()) if v)} |", flush=True)
            if measure:
                return
            expect(peak <= LIMIT_MIB, f"{exporter}, {name}: {peak:.0f} MiB")
            if kind is not None and exporter != "debug":
                expect(cut.get(kind, 0) > 0, f"{exporter}, {name}: cut {cut}")
                until(lambda: "spans go without some of their items" in daemon.log(), "the log says so")
            expect(daemon.stop() == 0, "the daemon did not end with 0")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tailgate")
    parser.add_argument("--only", action="append", help="exporters")
    parser.add_argument("--what", action="append", help="fillers")
    parser.add_argument("--mib", type=float, default=24)
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    has_parquet = os.path.exists(os.path.join(os.path.dirname(os.path.abspath(options.tailgate)), MODULE))
    print("| exporter | a span of | peak RSS MiB | s | sent MiB | cut |\n|---|---|---|---|---|---|", flush=True)
    failures = []
    for exporter in EXPORTERS:
        if options.only and exporter not in options.only or exporter == "s3" and not has_parquet:
            continue
        for name, (kind, filler) in fillers(int(options.mib * MIB)).items():
            if options.what and name not in options.what:
                continue
            try:
                run_one(options.tailgate, exporter, name, kind, filler, options.measure)
            except Failed as failed:
                failures.append(str(failed))
                print(f"FAILED {failed}", file=sys.stderr, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
