# SPDX-License-Identifier: Apache-2.0
"""One trace whose spans come by OTLP, Jaeger Thrift over HTTP, Jaeger gRPC, Jaeger UDP and Zipkin."""

from spans import sent_by, span
from tools import program
from harness import Client

NAME = "five protocols"

EXPECTED = span("step 0", "server", "front", tags={"step": 0}, children=[
    span("step 1", "client", "cart", tags={"step": 1}, children=[
        span("step 2", "server", "stock", tags={"step": 2}, children=[
            span("step 3", "consumer", "mail", tags={"step": 3}, children=[
                span("step 4", "server", "audit", status=(2, "no paper"), tags={"step": "4", "error": "no paper"}),
            ]),
        ]),
    ]),
])


def prepare(tools):
    tools.venv("sdk_python")


def clients(tools, doors, _):
    ports = (doors.otlp_http, doors.jaeger_http, doors.jaeger_grpc, doors.jaeger_binary, doors.zipkin)
    command = [tools.venv("sdk_python"), program("five_doors", "client.py"), *map(str, ports)]
    return [Client("", None, lambda: sent_by(NAME, command), EXPECTED)]
