# SPDX-License-Identifier: Apache-2.0
"""A backend that takes OTLP/HTTP protobuf, remembers which spans came, and misbehaves on request. Standard library only."""

import gzip
import http.server
import multiprocessing
import os
import random
import signal
import socket
import struct
import threading
import time

from otlp_bytes import field


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data, start=0, end=None):
    """(number, start, end) of each length-delimited field; others are passed over."""
    at = start
    end = len(data) if end is None else end
    while at < end:
        tag, at = read_varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = read_varint(data, at)
            yield tag >> 3, at, at + size
            at += size
        elif kind == 0:
            _, at = read_varint(data, at)
        else:
            at += {1: 8, 5: 4}[kind]


def spans_of(data):
    """(trace id, span id) of each span of an ExportTraceServiceRequest."""
    for number, start, end in fields(data):
        if number != 1:
            continue
        for inner, s, e in fields(data, start, end):
            if inner != 2:
                continue
            for of_scope, a, b in fields(data, s, e):
                if of_scope == 2:
                    ids = {}
                    for n, x, y in fields(data, a, b):  # a Collector writes them last
                        if n <= 2:
                            ids[n] = data[x:y]
                        if len(ids) == 2:
                            break
                    yield ids[1], ids[2]


class Sink:
    """mode: ok; busy (503 with Retry-After); slow (two seconds an answer); reset (the connection ends in mid-body);
    partial (takes it and says that it rejected a span); flaky (one of the others, a third of the time)."""

    def __init__(self, mode="ok", seed=1, port=0):
        self.mode = mode
        self.lock = threading.Lock()
        self.traces = {}     # trace id -> set of span ids
        self.first = {}      # trace id -> when its first span came
        self.order = []      # trace ids by their first coming
        self.doubles = 0     # spans that came again
        self.requests = 0
        self.random = random.Random(seed)
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def do_POST(self):
                sink.answer(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass  # the daemon is killed in the middle of its requests

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        mode = self.mode
        if mode == "flaky":
            mode = self.random.choice(["busy", "reset", "slow"]) if self.random.random() < 0.34 else "ok"
        length = int(handler.headers["Content-Length"])
        if mode == "reset":
            handler.rfile.read(length // 2)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            return
        body = handler.rfile.read(length)
        if len(body) < length:
            handler.close_connection = True
            return
        if mode == "busy":
            handler.send_response(503)
            handler.send_header("Retry-After", "1")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if mode == "slow":
            time.sleep(2)
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        now = time.monotonic()
        found = list(spans_of(body))
        with self.lock:
            self.requests += 1
            for trace, span in found:
                spans = self.traces.get(trace)
                if spans is None:
                    spans = self.traces[trace] = set()
                    self.first[trace] = now
                    self.order.append(trace)
                if span in spans:
                    self.doubles += 1
                spans.add(span)
        # ExportTraceServiceResponse.partial_success{rejected_spans}
        out = field(1, b"\x08\x01") if mode == "partial" else b""
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", str(len(out)))
        handler.end_headers()
        handler.wfile.write(out)

    def snapshot(self):
        with self.lock:
            return {trace: set(spans) for trace, spans in self.traces.items()}


class SinkProcess:
    """A Sink in a process of its own, which can be stopped, ended and started again on its port; it keeps its memory."""

    def __init__(self):
        self.port = 0
        self.memory = {}
        self.start()

    def start(self):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self._run, args=(theirs, self.port, self.memory), daemon=True)
        self.process.start()
        self.memory = {}
        self.port = self.pipe.recv()

    @staticmethod
    def _run(pipe, port, memory):
        sink = Sink(port=port)
        for name, value in memory.items():
            setattr(sink, name, value)
        pipe.send(sink.port)
        while True:
            command, argument = pipe.recv()
            if command == "mode":
                sink.mode = argument
                pipe.send(None)
            elif command == "look":
                with sink.lock:
                    pipe.send({name: getattr(sink, name) for name in argument})
            else:
                with sink.lock:  # no request is half remembered, and none is answered after this
                    pipe.send({name: getattr(sink, name) for name in ("traces", "first", "order", "doubles", "requests")})
                    os._exit(0)

    def _ask(self, command, argument=None):
        self.pipe.send((command, argument))
        return self.pipe.recv()

    def mode(self, mode):
        self._ask("mode", mode)

    def look(self, *names):
        return self._ask("look", names)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # until then it still answers

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self):
        self.memory = self._ask("end")
        self.process.join()
