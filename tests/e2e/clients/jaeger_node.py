# SPDX-License-Identifier: Apache-2.0
"""npm jaeger-client: binary Thrift by HTTP (14268) and by UDP (6832)."""

from spans import Any, sent_by, span
from tools import program
from harness import Client

NAME = "npm jaeger-client"

EXPECTED = span("GET /orders", "server", "jaeger-node", tags={
    "http.url": "/orders?straße", "sampler.type": "const", "sampler.param": True,
}, children=[
    span("reserve", "client", status=(2, ""), tags={"items": 3.0, "weight": 2.5, "fresh": True, "raw": "AP8=", "of": '{"a":1}'},
         events=[("asked", {"attempt": 1.0}), ("error", {"error.kind": "NoStock", "final": True})]),
    span("mail", "unspecified", links=[(Any(), Any())]),  # FOLLOWS_FROM `reserve`
])


def prepare(tools):
    tools.npm("jaeger_node")


def clients(tools, doors, _):
    environment = {"NODE_PATH": tools.npm("jaeger_node")}
    command = lambda *how: ["node", program("jaeger_node", "client.js"), *how]  # noqa: E731
    return [
        Client("HTTP", "thrift_binary", lambda: sent_by(NAME, command("http", str(doors.jaeger_http)), environment), EXPECTED),
        Client("UDP binary", "thrift_binary", lambda: sent_by(NAME, command("udp", str(doors.jaeger_binary)), environment), EXPECTED),
    ]
