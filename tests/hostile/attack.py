#!/usr/bin/env python3
"""Attacks a daemon of its own making, one attack after the other, while good clients keep sending.

    attack.py TAILGATE [--seconds N] [--only NAME]... [--tls]

For each attack: did the good clients get their answers, what did it cost in memory and CPU, is the daemon still there
and does its account add up. Prints a table in Markdown; exits with 1 when something that must hold does not.
Attackers connect from 127.0.0.2 and up, since the daemon's limit per address is theirs to exhaust, not the good
clients'. Standard library only. See docs/measured/hostile-input.md.
"""

import argparse
import gzip
import http.client
import multiprocessing
import os
import platform
import random
import resource
import select
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import h2_frames as h2  # noqa: E402
import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, Failed, basic_config, expect, until  # noqa: E402

MIB = 1 << 20
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
BROKEN = (h2.Closed, OSError, http.client.HTTPException)
AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


TLS = None  # an SSLContext with --tls: of attackers and good clients alike


def connect(port, source="127.0.0.1", timeout=10):
    s = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
    if TLS is None:
        return s
    try:
        return TLS.wrap_socket(s)
    except OSError:
        s.close()
        raise


def http_connection(port, source="127.0.0.1", timeout=10):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.sock = connect(port, source, timeout)
    return connection


def h2_connection(port, source="127.0.0.1", timeout=10):
    return h2.Connection(port, source, timeout, TLS)


def stranger():
    """An address of the attackers; many, so that the attacker does not run out of ports."""
    return f"127.0.0.{random.randint(2, 60)}"


# --- good clients -------------------------------------------------------------------------------------------------

PERIOD = 0.05


class HttpClient:
    """Protobuf and JSON in turn over HTTP/1.1; every tenth request on a connection of its own."""

    def __init__(self, port, fresh):
        self.port, self.fresh, self.sent, self.connection = port, fresh, 0, None

    def send(self):
        self.sent += 1
        trace_id = os.urandom(16)
        as_json = self.sent % 2 == 0
        body = (otlp.json_request(trace_id, "good") if as_json else
                otlp.request([otlp.span(trace_id, error=self.sent % 20 == 1)], "good"))
        if self.fresh and self.sent % 10 == 0:
            self.drop()
        if self.connection is None:
            self.connection = http_connection(self.port)
        self.connection.request("POST", "/v1/traces", body, JSON if as_json else PROTOBUF)
        answer = self.connection.getresponse()
        answer.read()
        return {200: "ok", 503: "refused"}.get(answer.status, "failed")

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class GrpcClient:
    def __init__(self, port, fresh):
        self.port, self.fresh, self.sent, self.connection = port, fresh, 0, None

    def send(self):
        self.sent += 1
        if self.fresh and self.sent % 10 == 0:
            self.drop()
        if self.connection is None:
            self.connection = h2_connection(self.port)
            self.connection.wait_settings()
        message = h2.grpc_message(otlp.request([otlp.span(os.urandom(16))], "good"))
        return {0: "ok", 14: "refused"}.get(self.connection.call(message), "failed")

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def run_good_client(client, stop, pipe):
    outcomes, latencies = Counter(), []
    due = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        try:
            outcome = client.send()
        except BROKEN:
            outcome = "failed"
        if outcome == "failed":
            client.drop()
        outcomes[outcome] += 1
        latencies.append(time.monotonic() - began)
        due = max(due + PERIOD, time.monotonic())
        stop.wait(due - time.monotonic())
    client.drop()
    pipe.send((outcomes, latencies))
    pipe.close()


class GoodClients:
    """Processes of their own, so that the attacker's work does not show in their latency. Send until stop()."""

    def __init__(self, daemon, fresh=True):
        self.stop_event = multiprocessing.Event()
        self.parts = []
        for client in (HttpClient(daemon.http, fresh), GrpcClient(daemon.grpc, fresh)):
            ours, theirs = multiprocessing.Pipe(False)
            process = multiprocessing.Process(target=run_good_client, args=(client, self.stop_event, theirs), daemon=True)
            process.start()
            theirs.close()
            self.parts.append((process, ours))

    def stop(self):
        self.stop_event.set()
        outcomes, latencies = Counter(), []
        for process, pipe in self.parts:
            expect(pipe.poll(30), "a good client hangs")
            part_outcomes, part_latencies = pipe.recv()
            outcomes += part_outcomes
            latencies += part_latencies
            process.join()
        return outcomes, latencies


# --- attacks: each gets the daemon's ports and a deadline, and returns what it saw --------------------------------


def post(port, body, headers, path="/v1/traces"):
    try:
        connection = http_connection(port, stranger(), 60)
    except OSError:
        return "cut"
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return f"HTTP {answer.status}"
    except BROKEN:
        return "cut"
    finally:
        connection.close()


def repeat(deadline, once):
    seen = Counter()
    while True:
        seen[once()] += 1
        if time.monotonic() >= deadline:
            return seen


def at_once(count, deadline, once):
    """The same from `count` threads."""
    seen, threads = Counter(), []
    for _ in range(count):
        threads.append(threading.Thread(target=lambda: seen.update(repeat(deadline, once))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return seen


def zeros_bomb():
    """1 GiB of zeros, 1 MiB of gzip members."""
    return gzip.compress(bytes(MIB), 9) * 1024


def dense_bomb():
    """1 GiB that inflates by less than the ratio guard allows (about 150:1), so that only the size stops it."""
    return gzip.compress(os.urandom(7 << 10) + bytes(MIB - (7 << 10)), 9) * 1024


def bomb_http(make, count=1):
    def attack(ports, deadline):
        body = make()
        headers = {**PROTOBUF, "Content-Encoding": "gzip"}
        return at_once(count, deadline, lambda: post(ports.http, body, headers))
    return attack


def bomb_grpc(make, count=1):
    def attack(ports, deadline):
        message = h2.grpc_message(make(), compressed=True)

        def once():
            connection = None
            try:
                connection = h2_connection(ports.grpc, stranger(), 60)
                connection.wait_settings()
                return f"gRPC {connection.call(message, ('grpc-encoding', 'gzip'))}"
            except BROKEN:
                return "cut"
            finally:
                if connection:
                    connection.close()
        return at_once(count, deadline, once)
    return attack


def flood(make, opening=b""):
    """`make(connection)` gives bytes to send, for as long as the peer takes them; then another connection."""
    def attack(ports, deadline):
        seen = Counter()
        while time.monotonic() < deadline:
            connection = None
            try:
                connection = h2_connection(ports.grpc, stranger())
                connection.send(opening)
                seen["connections"] += 1
                while time.monotonic() < deadline:
                    chunk = make(connection)
                    connection.send(chunk)
                    seen["KiB"] += len(chunk) >> 10
                    connection.discard()
            except BROKEN:
                seen["cut"] += 1
            finally:
                if connection:
                    connection.close()
        return seen
    return attack


REQUEST_HEADERS = h2.grpc_headers()


def reset_frames(connection):
    cancel = struct.pack(">I", 8)
    out = []
    for _ in range(50):
        stream = connection.stream()
        out += (h2.frame(h2.HEADERS, h2.END_HEADERS, stream, REQUEST_HEADERS), h2.frame(h2.RST_STREAM, 0, stream, cancel))
    return b"".join(out)


def provoking_frames(connection):
    """A WINDOW_UPDATE of 0 is an error of its stream: the server resets it itself."""
    out = []
    for _ in range(50):
        stream = connection.stream()
        out += (h2.frame(h2.HEADERS, h2.END_HEADERS, stream, REQUEST_HEADERS),
                h2.frame(h2.WINDOW_UPDATE, 0, stream, bytes(4)))
    return b"".join(out)


def continuation_flood(_):
    return h2.frame(h2.CONTINUATION, 0, 1, h2.literal("a", "b")) * 500


def huge_header_lists(connection):
    stream = connection.stream()
    big = h2.literal("x-big", b"v" * 16000)
    return (h2.frame(h2.HEADERS, 0, stream, REQUEST_HEADERS) + h2.frame(h2.CONTINUATION, 0, stream, big) * 63 +
            h2.frame(h2.CONTINUATION, h2.END_HEADERS, stream, big))


def hpack_claimed(_):
    return h2.frame(h2.CONTINUATION, 0, 1, b"x" * 16384) * 4


def hpack_references(connection):
    """One entry of 4,000 bytes in the table, then 16,000 references of a byte each: 64 MB of headers a stream."""
    stream = connection.stream()
    block = h2.literal("x-large", b"v" * 3900, first=0x40) if stream == 1 else b""
    return h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, REQUEST_HEADERS + block + b"\xbe" * 12000)


def hpack_padding(_):
    return h2.frame(h2.CONTINUATION, 0, 1, b"\x80" * 16384) * 4


def held_streams(first, trickle):
    """Streams that get `first` bytes of a body and then just enough to be no slow sender, and never end."""
    def attack(ports, deadline):
        seen = Counter()
        held = []
        while time.monotonic() < deadline:
            while len(held) < 8 and time.monotonic() < deadline:
                try:
                    connection = h2_connection(ports.grpc, stranger())
                    connection.wait_settings()
                    seen["connections"] += 1
                    held.append((connection, [connection.stream() for _ in range(128)]))
                    for stream in held[-1][1]:
                        connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, REQUEST_HEADERS))
                        connection.send(h2.frame(h2.DATA, 0, stream, struct.pack(">BI", 0, 32 << 20)))
                        for _ in range(first >> 14):
                            connection.send(h2.frame(h2.DATA, 0, stream, bytes(1 << 14)))
                        connection.discard()
                        seen["streams"] += 1
                except BROKEN:
                    seen["cut"] += 1
            kept = []
            for connection, streams in held:
                try:
                    connection.send(b"".join(h2.frame(h2.DATA, 0, s, bytes(trickle)) for s in streams))
                    connection.discard()
                    kept.append((connection, streams))
                except BROKEN:
                    seen["cut"] += 1
                    connection.close()
            held = kept
            time.sleep(min(0.5, max(0, deadline - time.monotonic())))
        for connection, _ in held:
            connection.close()
        return seen
    return attack


def held_connections(count, opening, trickle):
    """HTTP/1.1 connections that send `opening` and then `trickle` twice a second; those cut are opened anew."""
    def attack(ports, deadline):
        seen, held = Counter(), {}

        def push(s, data):
            try:
                left = len(held[s]) + len(data)
                if left <= 4 * MIB:
                    held[s] += data
                sent = s.send(held[s][:256 << 10])
                del held[s][:sent]
            except AGAIN:
                pass

        def drop(s):
            del held[s]
            s.close()
            seen["cut"] += 1

        def hungry():
            """Of those with much to send and with room to send it."""
            todo = [s for s in held if held[s]]
            poller = select.poll()
            by_fd = {s.fileno(): s for s in todo}
            for fd in by_fd:
                poller.register(fd, select.POLLOUT)
            return [by_fd[fd] for fd, _ in poller.poll(0)]

        next_trickle = time.monotonic()
        while time.monotonic() < deadline:
            while len(held) < count and time.monotonic() < deadline:
                s = None
                try:
                    s = connect(ports.http, f"127.0.0.{2 + len(held) % 20}")
                    s.setblocking(False)
                    held[s] = bytearray(opening)
                    push(s, b"")
                    seen["connections"] += 1
                except OSError:
                    held.pop(s, None)
                    if s is not None:
                        s.close()
                    seen["cut"] += 1
            if time.monotonic() >= next_trickle:
                next_trickle = time.monotonic() + 0.5
                for s in list(held):
                    try:
                        push(s, trickle)
                        try:
                            answer = s.recv(4096)
                            seen[answer[9:12].decode() or "closed"] += 1
                            drop(s)
                        except AGAIN:
                            pass
                    except OSError:
                        drop(s)
            busy = hungry()
            for s in busy:
                try:
                    push(s, b"")
                except OSError:
                    drop(s)
            if not busy:
                time.sleep(0.05)
        for s in held:
            s.close()
        return seen
    return attack


def endless(opening, piece):
    """One HTTP/1.1 connection after the other that sends `opening` and then `piece` for as long as it is taken."""
    def attack(ports, deadline):
        seen = Counter()
        while time.monotonic() < deadline:
            try:
                with connect(ports.http, stranger()) as s:
                    seen["connections"] += 1
                    s.sendall(opening)
                    while time.monotonic() < deadline:
                        s.sendall(piece)
                        seen["MiB"] += len(piece) >> 20
            except OSError:
                seen["cut"] += 1
        return seen
    return attack


def closed_windows(ports, deadline):
    """HTTP/2 connections that ask for the largest page 128 times and take no byte of an answer."""
    seen, held = Counter(), []
    get = h2.literal(":method", "GET") + h2.literal(":scheme", "http") + h2.literal(":path", "/metrics") + h2.literal(":authority", "t")
    while time.monotonic() < deadline:
        try:
            connection = h2.Connection(ports.pages["metrics"], stranger())
            held.append(connection)
            seen["connections"] += 1
            connection.send(h2.frame(h2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
            for _ in range(128):
                connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, connection.stream(), get))
            connection.discard()
        except BROKEN:
            seen["cut"] += 1
        if len(held) >= 60:
            held.pop(0).close()
        time.sleep(0.01)
    for connection in held:
        connection.close()
    return seen


CHUNKED = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
SMALL_FIELDS = b"GET /nothing HTTP/1.1\r\nHost: x\r\n" + (b"a: " + b"x" * 96 + b"\r\n") * 120
BODY_HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 50000000\r\n\r\n"
SLOW_HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n"


def empty_spans(ports, deadline):
    body = otlp.field(1, otlp.field(2, b"\x12\x00" * (30 * 1000 * 1000)))
    return repeat(deadline, lambda: post(ports.http, body, PROTOBUF))


def empty_resources(ports, deadline):
    """ResourceSpans without a span, their fields not side by side."""
    body = b"\x0a\x06\x0a\x00\x12\x00\x1a\x00" * (7 * 1000 * 1000)
    return repeat(deadline, lambda: post(ports.http, body, PROTOBUF))


def tiny_spans(ports, deadline):
    """60 MB of spans of 30 bytes, each with a trace id of its own."""
    count = 2 * 1000 * 1000

    def once():
        spans = bytearray(b"\x12\x1c\x0a\x10" + bytes(16) + b"\x12\x08" + b"abcdefgh") * count
        for i in range(16):
            spans[4 + i::30] = os.urandom(count)
        return post(ports.http, otlp.field(1, otlp.field(2, bytes(spans))), PROTOBUF)
    return repeat(deadline, once)


def json_nodes(item):
    def attack(ports, deadline):
        body = b'{"resourceSpans":[' + (item + b",") * (60 * 1000 * 1000 // (len(item) + 1)) + item + b"]}"
        return repeat(deadline, lambda: post(ports.http, body, JSON))
    return attack


def deep_protobuf(ports, deadline):
    """An AnyValue in an ArrayValue in an AnyValue ... 200,000 deep."""
    heads, size = [], 0
    for _ in range(200 * 1000):
        for number in (1, 5):  # ArrayValue.values, AnyValue.array_value
            heads.append(otlp.varint(number << 3 | 2) + otlp.varint(size))
            size += len(heads[-1])
    value = b"".join(reversed(heads))
    span = otlp.span(os.urandom(16)) + otlp.field(9, otlp.field(1, b"deep") + otlp.field(2, value))
    body = otlp.request([span])
    return repeat(deadline, lambda: post(ports.http, body, PROTOBUF))


def deep_json(ports, deadline):
    depth = 200 * 1000
    body = otlp.json_request(os.urandom(16)).replace(
        b'"stringValue": "test"', b'"arrayValue":{"values":[{' * depth + b"}]}" * depth)
    return repeat(deadline, lambda: post(ports.http, body, JSON))


def both_lengths(ports, deadline):
    """The tail behind the chunks must never be taken for a request of its own."""
    tail = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    data = (b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(tail))) + tail

    def once():
        with connect(ports.http, stranger()) as s:
            answer = b""
            try:
                s.sendall(data)
                while more := s.recv(65536):
                    answer += more
            except OSError:
                pass
        return f"{answer.count(b'HTTP/1.1 ')} x {answer[9:12].decode()}"
    return repeat(deadline, once)


def oversize_prefix(ports, deadline):
    def once():
        connection = None
        try:
            connection = h2_connection(ports.grpc, stranger())
            connection.wait_settings()
            return f"gRPC {connection.call(struct.pack('>BI', 0, 1 << 30) + bytes(8 * MIB))}"
        except BROKEN:
            return "cut"
        finally:
            if connection:
                connection.close()
    return repeat(deadline, once)


def nothing(_, deadline):
    time.sleep(max(0, deadline - time.monotonic()))
    return Counter(nothing=1)


def client_hello():
    """As a client would begin; its answer is never read."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def large_hello():
    """A ClientHello of 131,000 bytes that does not end, in records of 16,000."""
    hello = b"\x01" + (131000).to_bytes(3, "big") + b"\x03" * 130990
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
                    for part in (hello[at:at + 16000] for at in range(0, len(hello), 16000)))


def half_open(trickle, make=None):
    """TLS handshakes that are begun and not ended; `trickle`: and slowly at that."""
    def attack(ports, deadline):
        hello, seen, held = make() if make else client_hello(), Counter(), {}
        while time.monotonic() < deadline:
            while len(held) < 2000 and time.monotonic() < deadline:
                try:
                    s = socket.create_connection(("127.0.0.1", ports.http), 5, (f"127.0.0.{2 + len(held) % 20}", 0))
                    s.sendall(hello[:1] if trickle else hello)
                    s.setblocking(False)
                    held[s] = 1
                    seen["connections"] += 1
                except OSError:
                    seen["cut"] += 1
            for s in list(held):
                try:
                    if trickle and held[s] < len(hello) - 1:
                        s.send(hello[held[s]:held[s] + 1])
                        held[s] += 1
                    while s.recv(65536):
                        pass
                    raise OSError
                except BlockingIOError:
                    pass
                except OSError:
                    seen["cut"] += 1
                    s.close()
                    del held[s]
            time.sleep(0.2)
        for s in held:
            s.close()
        return seen
    return attack


def handshakes(ports, deadline):
    """Whole handshakes and nothing behind them: the costly part again and again."""
    def once():
        try:
            connect(ports.http, stranger()).close()
            return "handshakes"
        except OSError:
            return "cut"
    return repeat(deadline, once)


def many_connections(ports, deadline):
    seen, held = Counter(), []
    while time.monotonic() < deadline:
        try:
            held.append(connect(random.choice((ports.grpc, ports.http)), stranger(), 1))
            seen["connections"] += 1
        except OSError:
            seen["cut"] += 1
        if len(held) >= 400:
            time.sleep(min(0.2, max(0, deadline - time.monotonic())))
            for s in held[:40]:
                s.close()
            del held[:40]
    for s in held:
        s.close()
    return seen


# --- what must hold -----------------------------------------------------------------------------------------------


def only(*wanted):
    """The attacker saw these and nothing else."""
    def check(seen):
        expect(seen and set(seen) <= set(wanted), f"want {' or '.join(wanted)}, got {dict(seen)}")
    return check


def is_cut(seen):
    expect(seen["cut"] > 0, f"no connection was cut: {dict(seen)}")


def anything(_):
    pass


class Attack:
    def __init__(self, name, run, check=anything, rise_max=32, long_only=False, files=None):
        self.name, self.run, self.check, self.rise_max = name, run, check, rise_max
        self.long_only = long_only  # `check` needs the daemon's time limits to pass, more than a short run has
        self.files = files          # RLIMIT_NOFILE of a daemon of its own


REPORTED = None  # rise_max: bounded by the budget only; the daemon's own limit must hold

ATTACKS = [
    Attack("none: the good clients alone", nothing),
    Attack("gzip bomb, HTTP", bomb_http(zeros_bomb), only("HTTP 413"), 80),
    Attack("gzip bomb, gRPC", bomb_grpc(zeros_bomb), only("gRPC 8"), 80),
    Attack("gzip bomb under the ratio, HTTP", bomb_http(dense_bomb), only("HTTP 413", "HTTP 503"), 80),
    Attack("gzip bomb under the ratio, gRPC", bomb_grpc(dense_bomb), only("gRPC 8", "gRPC 14"), 80),
    Attack("eight gzip bombs at once", bomb_http(zeros_bomb, 8), only("HTTP 413", "HTTP 503", "HTTP 429"), 80),
    Attack("eight bombs under the ratio", bomb_http(dense_bomb, 8), only("HTTP 413", "HTTP 503", "HTTP 429"), 80),
    Attack("rapid reset", flood(reset_frames), is_cut),
    Attack("provoked resets", flood(provoking_frames), is_cut),
    Attack("CONTINUATION flood", flood(continuation_flood, h2.frame(h2.HEADERS, 0, 1, REQUEST_HEADERS)), is_cut),
    Attack("header lists of 1 MB", flood(huge_header_lists), is_cut),
    Attack("HPACK: 1 GiB string claimed",
           flood(hpack_claimed, h2.frame(h2.HEADERS, 0, 1, b"\x00" + h2.integer(7, 0, 1 << 30))), is_cut),
    Attack("HPACK: references to a large entry", flood(hpack_references), is_cut),
    Attack("HPACK: padded varint", flood(hpack_padding, h2.frame(h2.HEADERS, 0, 1, b"\x00\x7f")), is_cut),
    Attack("streams never ended", held_streams(16 << 10, 1024)),
    Attack("streams never ended, 512 KiB each", held_streams(512 << 10, 1024)),
    Attack("PING flood", flood(lambda _: h2.frame(h2.PING, 0, 0, b"12345678") * 500), is_cut),
    Attack("SETTINGS flood", flood(lambda _: h2.frame(h2.SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) * 500), is_cut),
    Attack("empty DATA flood", flood(lambda _: h2.frame(h2.DATA, 0, 1) * 1000,
                                     h2.frame(h2.HEADERS, h2.END_HEADERS, 1, REQUEST_HEADERS)), is_cut),
    Attack("bodies held, 16 KiB each", held_connections(1000, BODY_HEAD + bytes(16 << 10), bytes(1024))),
    Attack("bodies held, 1 MiB each", held_connections(1000, BODY_HEAD + bytes(MIB), bytes(1024))),
    Attack("bodies that trickle", held_connections(1000, BODY_HEAD, b"\0"), is_cut, long_only=True),
    Attack("answers not read", held_connections(1000, b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n" * 12000, b"G")),
    Attack("headers of many small fields", held_connections(1000, SMALL_FIELDS, b"x: y\r\n"), is_cut, long_only=True),
    Attack("endless head of a chunk", endless(CHUNKED + b"5;", b"a" * MIB), is_cut, long_only=True),
    Attack("endless trailers", endless(CHUNKED + b"0\r\n", b"a:\r\n" * (MIB // 4)), is_cut,
           long_only=True),
    Attack("answers behind a closed window", closed_windows),
    Attack("slow headers", held_connections(2000, SLOW_HEAD, b"x: y\r\n"), is_cut, long_only=True),
    Attack("deep AnyValue, protobuf", deep_protobuf, only("HTTP 200", "HTTP 400", "HTTP 503"), REPORTED),
    Attack("deep AnyValue, JSON", deep_json, only("HTTP 400", "HTTP 200")),
    Attack("Content-Length and Transfer-Encoding", both_lengths, only("1 x 400")),
    Attack("oversize gRPC prefix", oversize_prefix, only("gRPC 8")),
    # From here on requests are honestly large, and the account of memory is what bounds them.
    # 57 MiB of the rise are the body itself.
    Attack("30 million empty spans", empty_spans, only("HTTP 200"), 57 + 32),
    Attack("7 million empty ResourceSpans", empty_resources, only("HTTP 200"), 57 + 32),
    Attack("2 million tiny traces a request", tiny_spans, only("HTTP 200", "HTTP 503"), REPORTED),
    Attack("60 MB of tiny JSON objects", json_nodes(b"{}"), only("HTTP 200", "HTTP 400", "HTTP 503"), REPORTED),
    Attack("60 MB of tiny JSON arrays", json_nodes(b"[]"), only("HTTP 400", "HTTP 503"), REPORTED),
    Attack("descriptor exhaustion", many_connections, files=160),
]

TLS_ATTACKS = [
    Attack("half-open handshakes", half_open(False), is_cut),
    Attack("handshakes of 131,000 bytes", half_open(False, large_hello), is_cut),
    Attack("slow handshakes", half_open(True), is_cut),
    Attack("whole handshakes, no request", handshakes, only("handshakes")),
]

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
            global TLS
            certificate, TLS = make_certificate(directory)
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
