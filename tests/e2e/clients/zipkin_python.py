# SPDX-License-Identifier: Apache-2.0
"""pip opentelemetry-exporter-zipkin-json and -proto-http: Zipkin v2 as JSON and as protobuf (9411)."""

from spans import Any, sent_by, span
from tools import program
from harness import Client

NAME = "pip Zipkin exporter"

EXPECTED = span("GET /orders", "server", "zipkin-python", tags={"url.path": "/orders?straße", "net.host.port": 8080}, children=[
    span("reserve", "client", status=(2, "no stock: ü"),
         tags={"items": "3", "weight": "2.5", "fresh": "true", "shelves": '["a","b"]', "error": "no stock: ü"},
         events=[(Any('^{"asked": {"attempt": 1}}$'), {})]),
    span("mail", "producer"),
])


def prepare(tools):
    tools.venv("zipkin_python")


def clients(tools, doors, _):
    python = tools.venv("zipkin_python")
    send = lambda how: sent_by(NAME, [python, program("zipkin_python", "client.py"), how, str(doors.zipkin)])  # noqa: E731
    return [Client("JSON", "zipkin_json", lambda: send("json"), EXPECTED),
            Client("protobuf", "zipkin_proto", lambda: send("protobuf"), EXPECTED)]
