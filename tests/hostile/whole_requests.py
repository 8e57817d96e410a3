# SPDX-License-Identifier: Apache-2.0
"""Attacks by whole requests: large, deep, of a million small parts, or at odds with themselves."""

import os
import struct
import time
from collections import Counter

import otlp_bytes as otlp
from connections import BROKEN, JSON, MIB, PROTOBUF, connect, h2_connection, post, repeat, stranger


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
