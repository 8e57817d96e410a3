# SPDX-License-Identifier: Apache-2.0
"""The OpenTelemetry Java agent in a program that serves and asks by HTTP: OTLP/gRPC."""

import json
import os
import subprocess

from spans import Any, by_error, span, spans_of_otlp
from tailgate_process import expect
from tools import program, run
from harness import Client

NAME = "Java agent"
AGENT = "io.opentelemetry.javaagent:opentelemetry-javaagent:2.21.0"

# An order is a client's span and, below, the server's; the agent's Jdk HttpClient and HttpServer instrumentations make them.
EXPECTED = span("GET", "client", "java-shop", status=(2, ""), tags={
    "http.request.method": "GET", "http.response.status_code": 500, "error.type": "500", "url.full": Any(r"/orders/7$"),
}, children=[
    span("GET /orders", "server", status=(2, ""), tags={
        "http.route": "/orders", "http.response.status_code": 500, "url.path": "/orders/7", "url.scheme": "http",
    }),
])


def prepare(tools):
    tools.maven("java_agent", AGENT)


def send(jar, directory, port):
    run(["javac", "-d", directory, program("java_agent", "Shop.java")])
    # A second exporter writes what is sent to the log, as OTLP JSON.
    done = subprocess.run(["java", "-XX:TieredStopAtLevel=1", f"-javaagent:{jar}", "-cp", directory, "Shop"], capture_output=True,
                          text=True, timeout=300, stdin=subprocess.DEVNULL, env={
        **os.environ, "OTEL_SERVICE_NAME": "java-shop", "OTEL_TRACES_EXPORTER": "otlp,logging-otlp",
        "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_TRACES_SAMPLER": "always_on"})
    expect(done.returncode == 0, f"{NAME} failed:\n{done.stderr[-3000:]}")
    traces = {}
    for line in done.stderr.splitlines():
        if '{"resource"' in line:
            logged = json.loads(line[line.index('{"resource"'):])
            for trace_id, spans in spans_of_otlp({"resourceSpans": [logged]}).items():
                traces.setdefault(trace_id, []).extend(spans)
    return by_error(traces)


def clients(tools, doors, directory):
    jar = tools.maven("java_agent", AGENT)
    return [Client("gRPC", "otlp_proto", lambda: send(jar, directory, doors.otlp_grpc), EXPECTED)]
