# SPDX-License-Identifier: Apache-2.0
"""Attacks by bodies that grow when they are inflated."""

import gzip
import os

import h2_frames as h2
from connections import BROKEN, MIB, PROTOBUF, at_once, h2_connection, post, stranger


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
