#!/usr/bin/env python3
"""Tailgate between real SDKs and a real Jaeger.

    run.py TAILGATE --source DIR

Prepares its tools in TAILGATE_E2E_CACHE (default DIR/build/e2e-cache): Jaeger v2 built from its Go module, unless
TAILGATE_E2E_JAEGER names a binary; a Python environment with the SDK; the Node SDK's packages. Then programs in Python
(gRPC with and without gzip, http/protobuf) and Node (http/json) send through the daemon, and what Jaeger's API gives back is compared
field by field with what the SDKs say they sent. Exits with 77 and a reason when a tool is missing.
"""

import argparse
import glob
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, Failed, basic_config, expect, get, until  # noqa: E402

JAEGER_MODULE = "github.com/jaegertracing/jaeger@v1.76.0"  # its cmd/jaeger is Jaeger v2
SKIPPED = 77
ERROR = 2

POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 1000}},
    {"name": "routes", "type": "string_attribute", "string_attribute": {"key": "http.route", "values": ["/checkout"]}},
    {"name": "rest", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0}},
]


class Skip(Exception):
    pass


def say(text):
    print(text, flush=True)


# --- tools --------------------------------------------------------------------------------------------------------


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    expect(done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
    return done.stdout


class Tools:
    """Built or installed once per cache directory; each is complete when its stamp is there."""

    def __init__(self, cache):
        self.cache = os.path.abspath(cache)
        self.jaeger = os.environ.get("TAILGATE_E2E_JAEGER")
        wanted = ["node", "npm"] + ([] if self.jaeger else ["go"])
        missing = [tool for tool in wanted if shutil.which(tool) is None]
        try:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
        except ImportError:
            missing.append("python3-venv")
        if missing:
            raise Skip(f"not installed: {', '.join(missing)}")
        if self.jaeger:
            expect(os.access(self.jaeger, os.X_OK), f"TAILGATE_E2E_JAEGER={self.jaeger} is no program")
        else:
            self.jaeger = os.path.join(self.cache, "jaeger", "jaeger")
            self.once("jaeger", JAEGER_MODULE, self.build_jaeger)
        self.python = os.path.join(self.cache, "python", "bin", "python3")
        self.once("python", self.text("requirements.txt"), self.install_python)
        self.node_path = os.path.join(self.cache, "node", "node_modules")
        self.once("node", self.text("package.json"), self.install_node)

    def text(self, name):
        with open(os.path.join(HERE, name)) as file:
            return file.read()

    def once(self, name, version, make):
        stamp = os.path.join(self.cache, f"{name}.stamp")
        digest = hashlib.sha256(version.encode()).hexdigest()
        if os.path.exists(stamp):
            with open(stamp) as have:
                if have.read() == digest:
                    return
        target = os.path.join(self.cache, name)
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        say(f"preparing {name} in {target}")
        began = time.monotonic()
        make(target)
        with open(stamp, "w") as out:
            out.write(digest)
        say(f"  took {time.monotonic() - began:.0f} s")

    def build_jaeger(self, target):
        # A copy of the module is built, so that Go verifies against the module's own go.sum.
        out = subprocess.run(["go", "mod", "download", "-json", JAEGER_MODULE], capture_output=True, text=True, cwd=target)
        expect(out.returncode == 0, f"go mod download failed:\n{out.stdout}{out.stderr}")
        source = os.path.join(target, "src")
        shutil.copytree(json.loads(out.stdout)["Dir"], source)
        run(["chmod", "-R", "u+w", source])
        run(["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", os.path.join(target, "jaeger"), "./cmd/jaeger"],
            cwd=source, env={**os.environ, "CGO_ENABLED": "0"})
        shutil.rmtree(source)

    def install_python(self, target):
        run([sys.executable, "-m", "venv", target])
        run([self.python, "-m", "pip", "install", "--disable-pip-version-check", "-r", os.path.join(HERE, "requirements.txt")])

    def install_node(self, target):
        shutil.copy(os.path.join(HERE, "package.json"), target)
        run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=target)


class Jaeger:
    """With its storage in memory, on free ports that stay the same over a restart."""

    def __init__(self, binary, directory):
        self.binary, self.process = binary, None
        self.log_path = os.path.join(directory, "jaeger.log")
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
        self.grpc, self.http, self.query, query_grpc, health = (s.getsockname()[1] for s in held)
        for s in held:
            s.close()
        at = lambda port: {"endpoint": f"127.0.0.1:{port}"}  # noqa: E731
        self.config = os.path.join(directory, "jaeger.yaml")
        with open(self.config, "w") as out:
            json.dump({
                "service": {
                    "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
                    "pipelines": {"traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["jaeger_storage_exporter"]}},
                    "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
                },
                "extensions": {
                    "healthcheckv2": {"use_v2": True, "http": at(health)},
                    "jaeger_query": {"storage": {"traces": "some"}, "http": at(self.query), "grpc": at(query_grpc)},
                    "jaeger_storage": {"backends": {"some": {"memory": {"max_traces": 100000}}}},
                },
                "receivers": {"otlp": {"protocols": {"grpc": at(self.grpc), "http": at(self.http)}}},
                "processors": {"batch": {"timeout": "100ms"}},
                "exporters": {"jaeger_storage_exporter": {"trace_storage": "some"}},
            }, out)

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.binary, "--config", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, "OTEL_TRACES_SAMPLER": "always_off"})  # none of its own

        def answers():
            if self.process.poll() is not None:
                with open(self.log_path) as log:
                    raise Failed(f"Jaeger ended with {self.process.returncode}:\n{log.read()[-3000:]}")
            try:
                return get(self.query, "/api/services")[0] == 200
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
        """The spans of a trace in the form of the clients, from the OTLP JSON of API v3; None when it is not there."""
        status, text = get(self.query, f"/api/v3/traces/{trace_id}")
        if status == 404:
            return None
        expect(status == 200, f"/api/v3/traces says {status}: {text[:500]}")
        return spans_of_otlp(json.loads(text)["result"]).get(trace_id)

    def trace_v1(self, trace_id):
        status, text = get(self.query, f"/api/traces/{trace_id}")
        if status == 404:
            return None
        expect(status == 200, f"/api/traces says {status}: {text[:500]}")
        return json.loads(text)["data"][0]


# --- comparing ----------------------------------------------------------------------------------------------------


def typed(value):
    kind, content = next(iter(value.items())) if value else ("stringValue", "")
    kind = kind.removesuffix("Value")
    if kind == "int":
        content = int(content)
    if kind == "double":
        content = float(content)
    if kind == "array":
        content = [typed(item) for item in content.get("values", [])]
    return [kind, content]


def typed_map(attributes):
    return {a["key"]: typed(a["value"]) for a in attributes or []}


KINDS = {f"SPAN_KIND_{name}": i for i, name in enumerate(["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"])}
CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


def spans_of_otlp(data):
    """OTLP JSON to {trace id: [span]}, in the form of the clients."""
    out = {}
    for resource in data["resourceSpans"]:
        service = typed_map(resource["resource"]["attributes"])["service.name"][1]
        for scope in resource["scopeSpans"]:
            for s in scope["spans"]:
                status = s.get("status", {})
                out.setdefault(s["traceId"], []).append({
                    "spanId": s["spanId"], "parentSpanId": s.get("parentSpanId", ""), "traceState": s.get("traceState", ""),
                    "name": s["name"], "kind": KINDS.get(s.get("kind", 0), s.get("kind", 0)), "start": int(s["startTimeUnixNano"]),
                    "end": int(s["endTimeUnixNano"]), "attributes": typed_map(s.get("attributes")),
                    "events": [{"name": e["name"], "time": int(e["timeUnixNano"]), "attributes": typed_map(e.get("attributes"))}
                               for e in s.get("events", [])],
                    "links": [{"traceId": link["traceId"], "spanId": link["spanId"], "traceState": link.get("traceState", ""),
                               "attributes": typed_map(link.get("attributes"))} for link in s.get("links", [])],
                    "status": [CODES.get(status.get("code", 0), status.get("code", 0)), status.get("message", "")],
                    "service": service, "scope": scope.get("scope", {}).get("name", ""),
                })
    return out


def by_id(spans):
    out = {}
    for s in spans:
        expect(s["spanId"] not in out, f"span {s['spanId']} is there twice")
        out[s["spanId"]] = s
    return out


def events_sorted(span):
    return {**span, "events": sorted(span["events"], key=lambda e: (e["time"], e["name"]))}


def expect_same(trace_id, sent, got, where, sort_events=False):
    """`sort_events`: Jaeger gives them in an order of its own."""
    if sort_events:
        sent, got = [events_sorted(s) for s in sent], [events_sorted(s) for s in got]
    sent, got = by_id(sent), by_id(got)
    expect(sent.keys() == got.keys(), f"{where}: trace {trace_id} has spans {sorted(got)}, sent were {sorted(sent)}")
    for span_id, span in sent.items():
        for key, value in span.items():
            expect(got[span_id][key] == value,
                   f"{where}: {key} of span {span['name']!r} is {got[span_id][key]!r}, sent was {value!r}")


TAG_TYPES = {"string": "string", "bool": "bool", "int": "int64", "double": "float64"}  # others come as text


def expect_same_v1(trace_id, sent, trace):
    """The same trace in Jaeger's own model: microseconds, tags, logs, references."""
    sent, got = by_id(sent), {s["spanID"]: s for s in trace["spans"]}
    expect(len(got) == len(trace["spans"]) and sent.keys() == got.keys(), f"/api/traces: trace {trace_id} is not whole")

    def check(span, what, value, wanted):
        expect(value == wanted, f"/api/traces: {what} of span {span['name']!r} is {value!r}, sent was {wanted!r}")

    for span_id, span in sent.items():
        have = got[span_id]
        check(span, "name", have["operationName"], span["name"])
        check(span, "service", trace["processes"][have["processID"]]["serviceName"], span["service"])
        check(span, "start", have["startTime"], span["start"] // 1000)
        check(span, "duration", have["duration"], (span["end"] - span["start"]) // 1000)
        parents = [r["spanID"] for r in have["references"] if r["refType"] == "CHILD_OF" and r["traceID"] == trace_id]
        check(span, "parent", parents, [span["parentSpanId"]] if span["parentSpanId"] else [])
        others = [(r["traceID"], r["spanID"]) for r in have["references"] if r["traceID"] != trace_id]
        check(span, "links", others, [(link["traceId"], link["spanId"]) for link in span["links"]])
        tags = {t["key"]: t for t in have["tags"]}
        for key, (kind, value) in span["attributes"].items():
            expect(key in tags, f"/api/traces: span {span['name']!r} has no tag {key}")
            if kind in TAG_TYPES:
                check(span, f"type of tag {key}", tags[key]["type"], TAG_TYPES[kind])
                # Integers over 2^53 come as strings.
                check(span, f"tag {key}", type(value)(tags[key]["value"]), value)
        kind = ["", "internal", "server", "client", "producer", "consumer"][span["kind"]]
        check(span, "span.kind", tags["span.kind"]["value"], kind)
        if span["status"][0] == ERROR:
            check(span, "error", tags["error"]["value"], True)
            check(span, "status message", tags["otel.status_description"]["value"], span["status"][1])
        logs = [(log["timestamp"], next(f["value"] for f in log["fields"] if f["key"] == "event")) for log in have["logs"]]
        check(span, "events", sorted(logs), sorted((e["time"] // 1000, e["name"]) for e in span["events"]))


# --- the clients --------------------------------------------------------------------------------------------------


class Client:
    def __init__(self, name, format_, command, env=None):
        self.name, self.format, self.command, self.env = name, format_, command, env

    def send(self):
        """Runs it to its end; {"keep": ..., "drop": ...}."""
        done = subprocess.run(self.command, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "OTEL_NODE_RESOURCE_DETECTORS": "env,process", **(self.env or {})})
        expect(done.returncode == 0, f"{self.name} failed:\n{done.stderr[-3000:]}")
        sent = json.loads(done.stdout.splitlines()[-1])
        for traces in sent.values():
            for spans in traces.values():
                for span in spans:
                    span["start"], span["end"] = int(span["start"]), int(span["end"])
                    for event in span["events"]:
                        event["time"] = int(event["time"])
        expect(len(sent["keep"]) == 3 and len(sent["drop"]) == 10, f"{self.name} sent {len(sent['keep'])} and {len(sent['drop'])} traces")
        return sent


def clients(tools, daemon):
    python = [tools.python, os.path.join(HERE, "python_client.py")]
    http = f"http://127.0.0.1:{daemon.http}"
    return [
        Client("Python SDK, gRPC, gzip", "otlp_proto", python + ["grpc", f"127.0.0.1:{daemon.grpc}", "gzip"]),
        Client("Python SDK, gRPC", "otlp_proto", python + ["grpc", f"127.0.0.1:{daemon.grpc}", "none"]),
        Client("Python SDK, http/protobuf, gzip", "otlp_proto", python + ["http", http, "gzip"]),
        Client("Node SDK, http/json", "otlp_json", ["node", os.path.join(HERE, "node_client.js"), http], {"NODE_PATH": tools.node_path}),
    ]


def count(traces):
    return sum(len(spans) for spans in traces.values())


def settled(daemon, exporter):
    """The metrics once all is decided and sent."""
    def look():
        metrics = daemon.metrics()
        metrics.check_law()
        idle = metrics.sum("tailgate_buffer_spans") == 0 and metrics.sum("tailgate_export_queue_spans", exporter=exporter) == 0
        return metrics if idle else None
    return until(look, "all is decided and sent", 60)


# --- the tests ----------------------------------------------------------------------------------------------------


def test_jaeger(tools, binary, directory, exporter):
    """Errors, slow ones and listed routes arrive whole, the others do not, also over a restart of Jaeger."""
    with Jaeger(tools.jaeger, directory) as jaeger:
        to = {"otlp": {"endpoint": f"127.0.0.1:{jaeger.grpc}", "tls": {"insecure": True}},
              "otlphttp": {"endpoint": f"http://127.0.0.1:{jaeger.http}"}}[exporter]
        to["retry_on_failure"] = {"initial_interval": "200ms", "max_interval": "1s"}
        config = basic_config(POLICIES, {exporter: to}, decision_wait="5s", decision_wait_after_root_received="500ms")
        with Daemon(binary, directory, config) as daemon:
            keep, drop, received = {}, {}, {}

            def send(client):
                sent = client.send()
                keep.update(sent["keep"])
                drop.update(sent["drop"])
                received[client.format] = received.get(client.format, 0) + count(sent["keep"]) + count(sent["drop"])
                return sent

            def compare(client, sent):
                for trace_id, spans in sent["keep"].items():
                    until(lambda: len(jaeger.trace_v3(trace_id) or []) >= len(spans), f"{client.name}: trace {trace_id} is in Jaeger", 60, 0.1)
                    expect_same(trace_id, spans, jaeger.trace_v3(trace_id), f"{client.name}, /api/v3/traces", True)
                    expect_same_v1(trace_id, spans, jaeger.trace_v1(trace_id))
                for trace_id in sent["drop"]:
                    expect(jaeger.trace_v3(trace_id) is None and jaeger.trace_v1(trace_id) is None,
                           f"{client.name}: ordinary trace {trace_id} is in Jaeger")
                say(f"  {client.name}: {len(sent['keep'])} traces whole, {len(sent['drop'])} absent")

            def check_counters():
                metrics = settled(daemon, exporter)
                expect(metrics.by("tailgate_spans_received_total", "format") == {"otlp_proto": 0, "otlp_json": 0, **received},
                       f"received {metrics.by('tailgate_spans_received_total', 'format')}, sent {received}")
                for name, wanted in (("spans_forwarded_total", count(keep)), ("spans_not_sampled_total", count(drop)),
                                     ("spans_refused_total", 0), ("spans_shed_total", 0), ("export_spans_total", count(keep)),
                                     ("export_failed_spans_total", 0), ("export_dropped_spans_total", 0)):
                    expect(metrics.sum(f"tailgate_{name}") == wanted, f"{name} is {metrics.sum(f'tailgate_{name}')}, want {wanted}")
                votes = {p: metrics.sum("tailgate_policy_kept_traces_total", policy=p) for p in ("errors", "slow", "routes", "rest")}
                expect(votes == {"errors": len(keep) / 3, "slow": len(keep) / 3, "routes": len(keep) / 3, "rest": 0}, f"kept by policy: {votes}")
                return metrics

            everyone = clients(tools, daemon)
            sent = [(client, send(client)) for client in everyone]
            check_counters()
            for pair in sent:
                compare(*pair)

            jaeger.stop()
            client = everyone[0]
            late = send(client)
            until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter=exporter) > 1, "the exporter meets a dead Jaeger", 60)
            jaeger.start()
            check_counters()
            compare(client, late)
            say("  Jaeger restarted: retries delivered")
            expect(daemon.stop() == 0, "the daemon did not end with 0")


def test_default_config(tools, binary, directory, source):
    """config/tailgate.yaml as it is, but for its ports and waits: the file and the terminal."""
    shutil.copy(os.path.join(source, "config", "tailgate.yaml"), directory)
    sets = ["receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0", "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
            "telemetry.metrics.endpoint=127.0.0.1:0", "telemetry.health.endpoint=127.0.0.1:0", "web.endpoint=127.0.0.1:0",
            "sampling.decision_wait=5s", "sampling.decision_wait_after_root_received=500ms"]
    with Daemon(binary, directory, path=os.path.join(directory, "tailgate.yaml"), sets=sets, cwd=directory) as daemon:
        client = clients(tools, daemon)[0]
        sent = client.send()
        settled(daemon, "file")
        kept = {}
        with open(os.path.join(directory, "kept-traces.json")) as lines:
            for line in lines:
                for trace_id, spans in spans_of_otlp(json.loads(line)).items():
                    kept.setdefault(trace_id, []).extend(spans)
        log = daemon.log()
        shown = {trace_id: next((line for line in log.splitlines() if line.startswith(trace_id)), "") for trace_id in kept}
        for trace_id, spans in sent["keep"].items():
            expect(trace_id in kept, f"trace {trace_id} is not in kept-traces.json")
            expect_same(trace_id, spans, kept[trace_id], "kept-traces.json")
            expect(f"spans={len(spans)}" in shown[trace_id], f"the terminal does not show trace {trace_id}: {shown[trace_id]!r}")
        for trace_id in kept.keys() - sent["keep"].keys():  # 1 % of the rest
            expect(trace_id in sent["drop"] and "policy=baseline" in shown[trace_id], f"trace {trace_id} is kept: {shown[trace_id]!r}")
        expect(daemon.stop() == 0, "the daemon did not end with 0")
    say(f"  {len(kept)} traces in kept-traces.json and on the terminal")


def test_config_map(binary, directory):
    """Kubernetes changes a mounted ConfigMap by renaming a symbolic link over another."""
    kept_path = os.path.join(directory, "kept.json")

    def version(number, policies):
        folder = os.path.join(directory, f"..v{number}")
        os.mkdir(folder)
        with open(os.path.join(folder, "tailgate.yaml"), "w") as out:
            json.dump(basic_config(policies, {"file": {"path": kept_path}}, decision_wait="300ms"), out)
        link = os.path.join(directory, "..data_tmp")
        os.symlink(f"..v{number}", link)
        os.rename(link, os.path.join(directory, "..data"))

    def kept():
        if not os.path.exists(kept_path):
            return set()
        with open(kept_path) as lines:
            return {trace_id for line in lines for trace_id in spans_of_otlp(json.loads(line))}

    def send(daemon):
        trace_id = os.urandom(16)
        body = otlp.request([otlp.span(trace_id, attributes=[("http.route", "/checkout")])])
        request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            expect(answer.status == 200, f"the daemon says {answer.status}")
        return trace_id.hex()

    def reloads(daemon, result):
        return daemon.metrics().sum("tailgate_config_reloads_total", result=result)

    version(1, POLICIES[:1])
    os.symlink(os.path.join("..data", "tailgate.yaml"), os.path.join(directory, "tailgate.yaml"))
    with Daemon(binary, directory, path=os.path.join(directory, "tailgate.yaml")) as daemon:
        before = send(daemon)
        settled(daemon, "file")
        expect(before not in kept(), "a trace of no listed route is kept")

        version(2, POLICIES)
        until(lambda: reloads(daemon, "success") == 1, "the new ConfigMap is loaded")
        after = send(daemon)
        until(lambda: after in kept(), "the new policy keeps")

        version(3, [{"name": "errors", "type": "status_cod"}])
        until(lambda: reloads(daemon, "failure") == 1, "the invalid ConfigMap is refused")
        status, text = daemon.ready()
        expect(status == 200 and "status_cod" in text, f"/ready says {status} {text!r}")
        expect("tailgate.yaml:1:" in text, f"/ready does not say where: {text!r}")
        still = send(daemon)
        until(lambda: still in kept(), "the policies before stay in force")

        version(4, POLICIES[:1])
        until(lambda: reloads(daemon, "success") == 2, "the repaired ConfigMap is loaded")
        expect(daemon.ready() == (200, "ready\n"), f"/ready says {daemon.ready()}")
        expect(daemon.stop() == 0, "the daemon did not end with 0")
    say("  policies changed twice, an invalid file changed nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tailgate")
    parser.add_argument("--source", default=os.path.join(HERE, "..", ".."), help="of Tailgate; for config/tailgate.yaml")
    options = parser.parse_args()
    binary, source = os.path.abspath(options.tailgate), os.path.abspath(options.source)
    tools = Tools(os.environ.get("TAILGATE_E2E_CACHE", os.path.join(source, "build", "e2e-cache")))
    tests = [
        ("Jaeger by the otlp exporter", lambda d: test_jaeger(tools, binary, d, "otlp")),
        ("Jaeger by the otlphttp exporter", lambda d: test_jaeger(tools, binary, d, "otlphttp")),
        ("config/tailgate.yaml", lambda d: test_default_config(tools, binary, d, source)),
        ("ConfigMap", lambda d: test_config_map(binary, d)),
    ]
    failed = False
    for name, test in tests:
        say(name)
        with tempfile.TemporaryDirectory() as directory:
            try:
                test(directory)
            except Exception as error:  # the others still run
                failed = True
                say(f"  FAILED {error}" if isinstance(error, Failed) else f"  FAILED\n{traceback.format_exc()}")
                for path in sorted(glob.glob(os.path.join(directory, "*.log"))):
                    with open(path, errors="replace") as log:
                        say(f"  --- {os.path.basename(path)}\n{log.read()[-3000:]}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    except Failed as failure:
        sys.exit(f"FAILED {failure}")
