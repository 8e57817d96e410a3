# SPDX-License-Identifier: Apache-2.0
"""telemetrygen, the Collector's own generator: OTLP over gRPC and HTTP. It does not tell ids: /explain does."""

import json

from spans import span
from tailgate_process import expect, get, until
from tools import run
from harness import Client

NAME = "telemetrygen"
PACKAGE = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0"
ELSEWHERE = "network.peer.address"

EXPECTED = span("lets-go", "client", "telemetrygen", status=(2, ""), tags={
    ELSEWHERE: "1.2.3.4", "service.peer.name": "telemetrygen-server", "text": "straße", "number": 7, "yes": True,
}, children=[
    span("okey-dokey-0", "server", status=(2, ""), tags={ELSEWHERE: "1.2.3.4", "service.peer.name": "telemetrygen-client", "number": 7}),
])


def prepare(tools):
    tools.go_install("telemetrygen", PACKAGE)


def send(binary, doors, how, port):
    explain = lambda: {one["trace_id"] for one in json.loads(get(doors.daemon.pages["web"], "/explain?limit=1000")[1])}  # noqa: E731
    sent, known = {}, explain()
    for key, status in (("keep", "Error"), ("drop", "Ok")):
        run([binary, "traces", "--otlp-insecure", "--traces", "1", "--rate", "0", "--otlp-endpoint", f"127.0.0.1:{port}",
             "--status-code", status, "--telemetry-attributes", 'text="straße"', "--telemetry-attributes", "number=7",
             "--telemetry-attributes", "yes=true", *how], timeout=60)
        new = until(lambda: explain() - known, f"{NAME}: its trace is decided")
        expect(len(new) == 1, f"{NAME}: {len(new)} new traces")
        known |= new
        sent[key] = {new.pop(): None}
    return sent


def clients(tools, doors, _):
    binary = tools.go_install("telemetrygen", PACKAGE)
    return [Client("gRPC", "otlp_proto", lambda: send(binary, doors, [], doors.otlp_grpc), EXPECTED),
            Client("HTTP", "otlp_proto", lambda: send(binary, doors, ["--otlp-http"], doors.otlp_http), EXPECTED)]
