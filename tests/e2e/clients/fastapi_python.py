# SPDX-License-Identifier: Apache-2.0
"""The Python SDK in a FastAPI server with requests and SQLAlchemy: OTLP/gRPC."""

from spans import Any, sent_by, span
from tools import program
from harness import Client

NAME = "Python SDK, FastAPI"

FAILED = (2, Any())


def prepare(tools):
    tools.venv("fastapi_python")


def clients(tools, doors, _):
    command = [tools.venv("fastapi_python"), program("fastapi_python", "client.py"), f"127.0.0.1:{doors.otlp_grpc}"]
    return [Client("gRPC", "otlp_proto", lambda: sent_by(NAME, command), EXPECTED)]


raised = lambda kind, text: ("exception", {"exception.type": Any(kind), "exception.message": Any(text),  # noqa: E731
                                           "exception.stacktrace": Any("Traceback")})

EXPECTED = span("GET", "client", "fastapi-shop", FAILED, {"http.method": "GET", "http.status_code": 500}, children=[
    span("GET /orders/{order}", "server", status=FAILED, tags={"http.route": "/orders/{order}", "http.status_code": 500}, children=[
        span("connect", "client", tags={"db.system": "sqlite"}),
        span("SELECT", "client", tags={"db.system": "sqlite", "db.statement": "SELECT item FROM orders WHERE id = ?"}),
        span("GET", "client", status=FAILED, tags={"http.method": "GET", "http.status_code": 500}, children=[
            span("GET /stock/{item}", "server", status=FAILED, tags={"http.route": "/stock/{item}", "http.status_code": 500},
                 events=[raised("RuntimeError", "no stock")]),
        ]),
    ], events=[raised("HTTPError", "500")]),
])
