# SPDX-License-Identifier: Apache-2.0
"""The Go SDK in a gin server (otelgin), asked by an instrumented client: OTLP/gRPC."""

from spans import Any, sent_by, span
from harness import Client

NAME = "Go SDK, gin"

EXPECTED = span("HTTP GET", "client", "go-shop", status=(2, ""), tags={
    "http.request.method": "GET", "http.response.status_code": 500, "url.full": Any("/orders/7$"),
}, children=[
    span("GET /orders/:id", "server", status=(2, Any("no stock")), tags={
        "http.route": "/orders/:id", "http.response.status_code": 500, "url.path": "/orders/7",
    }, events=[("exception", {"exception.message": "no stock"})], children=[
        span("reserve", status=(2, "no stock"), tags={"items": 3, "weight": 2.5, "missing": True},
             events=[("looked", {"where": "straße"}), ("exception", {"exception.message": "no stock"})],
             links=[("01020300000000000000000000000000", "0405060000000000")]),
    ]),
])


def prepare(tools):
    tools.go("gin_go")


def clients(tools, doors, _):
    command = [tools.go("gin_go"), f"127.0.0.1:{doors.otlp_grpc}"]
    return [Client("gRPC", "otlp_proto", lambda: sent_by(NAME, command), EXPECTED)]
