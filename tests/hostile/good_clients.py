# SPDX-License-Identifier: Apache-2.0
"""Good clients: they send small traces over HTTP and gRPC all the time and count what was answered, and when."""

import multiprocessing
import os
import time
from collections import Counter

import h2_frames as h2
import otlp_bytes as otlp
from connections import BROKEN, JSON, PROTOBUF, h2_connection, http_connection
from tailgate_process import expect

PERIOD = 0.05


class HttpClient:
    """Protobuf and JSON in turn over HTTP/1.1; every tenth request on a connection of its own."""

    def __init__(self, port, fresh):
        self.port, self.fresh, self.sent, self.connection = port, fresh, 0, None

    def send(self):
        self.sent += 1
        trace_id = os.urandom(16)
        as_json = self.sent % 2 == 0
        body = (otlp.json_request(trace_id, "good") if as_json else
                otlp.request([otlp.span(trace_id, error=self.sent % 20 == 1)], "good"))
        if self.fresh and self.sent % 10 == 0:
            self.drop()
        if self.connection is None:
            self.connection = http_connection(self.port)
        self.connection.request("POST", "/v1/traces", body, JSON if as_json else PROTOBUF)
        answer = self.connection.getresponse()
        answer.read()
        return {200: "ok", 503: "refused"}.get(answer.status, "failed")

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class GrpcClient:
    def __init__(self, port, fresh):
        self.port, self.fresh, self.sent, self.connection = port, fresh, 0, None

    def send(self):
        self.sent += 1
        if self.fresh and self.sent % 10 == 0:
            self.drop()
        if self.connection is None:
            self.connection = h2_connection(self.port)
            self.connection.wait_settings()
        message = h2.grpc_message(otlp.request([otlp.span(os.urandom(16))], "good"))
        return {0: "ok", 14: "refused"}.get(self.connection.call(message), "failed")

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def run_good_client(client, stop, pipe):
    outcomes, latencies = Counter(), []
    due = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        try:
            outcome = client.send()
        except BROKEN:
            outcome = "failed"
        if outcome == "failed":
            client.drop()
        outcomes[outcome] += 1
        latencies.append(time.monotonic() - began)
        due = max(due + PERIOD, time.monotonic())
        stop.wait(due - time.monotonic())
    client.drop()
    pipe.send((outcomes, latencies))
    pipe.close()


class GoodClients:
    """Processes of their own, so that the attacker's work does not show in their latency. Send until stop()."""

    def __init__(self, daemon, fresh=True):
        self.stop_event = multiprocessing.Event()
        self.parts = []
        for client in (HttpClient(daemon.http, fresh), GrpcClient(daemon.grpc, fresh)):
            ours, theirs = multiprocessing.Pipe(False)
            process = multiprocessing.Process(target=run_good_client, args=(client, self.stop_event, theirs), daemon=True)
            process.start()
            theirs.close()
            self.parts.append((process, ours))

    def stop(self):
        self.stop_event.set()
        outcomes, latencies = Counter(), []
        for process, pipe in self.parts:
            expect(pipe.poll(30), "a good client hangs")
            part_outcomes, part_latencies = pipe.recv()
            outcomes += part_outcomes
            latencies += part_latencies
            process.join()
        return outcomes, latencies
