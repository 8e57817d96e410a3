# SPDX-License-Identifier: Apache-2.0
"""A real Jaeger v2 on free ports that stay the same over a restart; its storage is in memory unless a test says otherwise."""

import json
import os
import subprocess

from servers import free_ports
from spans import spans_of_otlp
from tailgate_process import Failed, expect, get, until


class Jaeger:
    ready = (200,)  # what /api/services may say once it is there

    def __init__(self, binary, directory, name="jaeger", receivers=None, storage=None, tls=None):
        """`receivers`: more of them, beside OTLP and Zipkin; `storage`: of jaeger_storage's backends; `tls`: of OTLP."""
        self.binary, self.process, self.sets, self.environment = binary, None, [], {}
        self.log_path = os.path.join(directory, f"{name}.log")
        self.grpc, self.http, self.zipkin, self.query, query_grpc, health = free_ports(6)
        at = lambda port: {"endpoint": f"127.0.0.1:{port}"}  # noqa: E731
        self.config = os.path.join(directory, f"{name}.yaml")
        otlp = {name: {**at(port), **({"tls": tls} if tls else {})} for name, port in (("grpc", self.grpc), ("http", self.http))}
        receivers = {"otlp": {"protocols": otlp}, "zipkin": at(self.zipkin), **(receivers or {})}
        with open(self.config, "w") as out:
            json.dump({
                "service": {
                    "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
                    "pipelines": {"traces": {"receivers": list(receivers), "processors": ["batch"], "exporters": ["jaeger_storage_exporter"]}},
                    "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
                },
                "extensions": {
                    "healthcheckv2": {"use_v2": True, "http": at(health)},
                    "jaeger_query": {"storage": {"traces": "some"}, "http": at(self.query), "grpc": at(query_grpc)},
                    "jaeger_storage": {"backends": {"some": storage or {"memory": {"max_traces": 100000}}}},
                },
                "receivers": receivers,
                "processors": {"batch": {"timeout": "100ms"}},
                "exporters": {"jaeger_storage_exporter": {"trace_storage": "some"}},
            }, out)

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.binary, "--config", self.config, *self.sets], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, "OTEL_TRACES_SAMPLER": "always_off", **self.environment})  # none of its own

        def answers():
            if self.process.poll() is not None:
                with open(self.log_path) as log:
                    raise Failed(f"Jaeger ended with {self.process.returncode}:\n{log.read()[-3000:]}")
            try:
                return get(self.query, "/api/services")[0] in self.ready
            except OSError:
                return False

        until(answers, "Jaeger answers", 60, 0.1)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def trace_v3(self, trace_id):
        """The spans of a trace in the common form, from the OTLP JSON of API v3; None when it is not there."""
        status, text = get(self.query, f"/api/v3/traces/{trace_id}")
        if status == 404:
            return None
        expect(status == 200, f"/api/v3/traces says {status}: {text[:500]}")
        spans = spans_of_otlp(json.loads(text)["result"]).get(trace_id)
        for span in spans or []:
            span["attributes"].pop("@jaeger@warnings", None)  # of its own, on clocks
        return spans

    def trace_v1(self, trace_id):
        """The trace in Jaeger's own model; None when it is not there."""
        status, text = get(self.query, f"/api/traces/{trace_id}")
        if status == 404:
            return None
        expect(status == 200, f"/api/traces says {status}: {text[:500]}")
        return json.loads(text)["data"][0]

    def traces_of(self, service):
        """The ids of a service's traces."""
        status, text = get(self.query, f"/api/traces?service={service}&limit=1000")
        expect(status == 200, f"/api/traces says {status}: {text[:500]}")
        return [trace["traceID"] for trace in json.loads(text)["data"] or []]


class QueryOnlyJaeger(Jaeger):
    """deploy/jaeger/config.yaml as it is, but for its ports: a Jaeger that has no storage but a Tailgate's."""

    ready = (200, 500)

    def __init__(self, binary, directory, tailgate, name="jaeger_query", sets=()):
        """`tailgate`: the port of its `web`; `sets`: more of "path::to::key=value"."""
        self.binary, self.process = binary, None
        self.log_path = os.path.join(directory, f"{name}.log")
        self.query, query_grpc, health = free_ports(3)
        self.config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "jaeger", "config.yaml")
        at = {"jaeger_query::http": self.query, "jaeger_query::grpc": query_grpc, "healthcheckv2::http": health}
        self.sets = [f"--set=extensions::{key}::endpoint=127.0.0.1:{port}" for key, port in at.items()]
        self.sets += [f"--set={one}" for one in sets]
        self.environment = {"TAILGATE_WEB": f"127.0.0.1:{tailgate}"}
