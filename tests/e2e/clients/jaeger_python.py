# SPDX-License-Identifier: Apache-2.0
"""pip jaeger-client: compact Thrift by UDP (6831)."""

from spans import Any, sent_by, span
from tools import program
from harness import Client

NAME = "pip jaeger-client"

EXPECTED = span("GET /orders", "server", "jaeger-python", tags={
    "http.url": "/orders?straße", "sampler.type": "const", "sampler.param": True,
}, children=[
    span("reserve", "client", status=(2, ""), tags={"items": 3, "weight": 2.5, "fresh": True},
         events=[("asked", {"attempt": 1}), ("error", {"error.kind": "NoStock", "final": True})]),
    span("mail", "unspecified", links=[(Any(), Any())]),  # FOLLOWS_FROM `reserve`
])


def prepare(tools):
    tools.venv("jaeger_python")


def clients(tools, doors, _):
    command = [tools.venv("jaeger_python"), program("jaeger_python", "client.py"), str(doors.jaeger_compact)]
    return [Client("UDP compact", "thrift_compact", lambda: sent_by(NAME, command), EXPECTED)]
