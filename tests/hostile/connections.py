# SPDX-License-Identifier: Apache-2.0
"""Connections of clients and attackers, cleartext or TLS, and what attacks are built of."""

import http.client
import random
import socket
import ssl
import threading
import time
from collections import Counter

import h2_frames as h2

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


REQUEST_HEADERS = h2.grpc_headers()
CHUNKED = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
SMALL_FIELDS = b"GET /nothing HTTP/1.1\r\nHost: x\r\n" + (b"a: " + b"x" * 96 + b"\r\n") * 120
BODY_HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 50000000\r\n\r\n"
SLOW_HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n"
