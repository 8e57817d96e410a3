# SPDX-License-Identifier: Apache-2.0
"""The table of attacks, and what must hold for each."""

import struct

import h2_frames as h2
from bombs import bomb_grpc, bomb_http, dense_bomb, zeros_bomb
from connections import BODY_HEAD, CHUNKED, MIB, REQUEST_HEADERS, SLOW_HEAD, SMALL_FIELDS
from handshakes import half_open, handshakes, large_hello
from held import endless, few_bytes, held_connections, held_streams, many_connections
from http2_floods import (
    closed_windows, continuation_flood, flood, hpack_claimed, hpack_padding, hpack_references, huge_header_lists, provoking_frames,
    reset_frames)
from tailgate_process import expect
from whole_requests import (
    both_lengths, deep_json, deep_protobuf, empty_resources, empty_spans, json_nodes, nothing, oversize_prefix, tiny_spans)


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
    Attack("six bytes on each of 1,280 streams", few_bytes),
    Attack("six bytes on each of 1,300 connections", held_connections(1300, BODY_HEAD + bytes(6), b"")),
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
    Attack("endless extensions of chunks", endless(CHUNKED, (b"1;" + b"e" * 4000 + b"\r\n{\r\n") * 250), is_cut, long_only=True),
    Attack("endless empty lines", endless(b"", b"\r\n" * (MIB // 2)), is_cut, long_only=True),
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
