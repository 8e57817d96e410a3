# SPDX-License-Identifier: Apache-2.0
"""The Node SDK in an Express server with axios: OTLP/HTTP protobuf."""

from spans import sent_by, span
from tools import program
from harness import Client

NAME = "Node SDK, Express"

EXPECTED = span("GET", "client", "express-shop", (2, ""), {"http.response.status_code": 502}, children=[
    span("GET /orders/:id", "server", status=(2, ""), tags={"http.route": "/orders/:id", "http.response.status_code": 502}, children=[
        span("request handler", tags={"express.type": "request_handler", "http.route": "/orders/:id"},
             events=[("asked", {"status": 500})], children=[
            span("GET", "client", status=(2, ""), tags={"http.response.status_code": 500}, children=[
                span("GET /stock/:id", "server", status=(2, ""), tags={"http.route": "/stock/:id", "url.path": "/stock/7"}, children=[
                    span("request handler", tags={"express.name": "/stock/:id"}),
                ]),
            ]),
        ]),
    ]),
])


def prepare(tools):
    tools.npm("express_node")


def clients(tools, doors, _):
    command = ["node", program("express_node", "app.js"), f"http://127.0.0.1:{doors.otlp_http}"]
    environment = {"NODE_PATH": tools.npm("express_node")}
    return [Client("http/protobuf", "otlp_proto", lambda: sent_by(NAME, command, environment), EXPECTED)]
