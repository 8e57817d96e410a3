# SPDX-License-Identifier: Apache-2.0
"""The dashboard and the alerts against a real Prometheus that scrapes a daemon to which everything happens."""

import contextlib
import glob
import json
import os
import re
import shutil
import socket
import threading
import urllib.error
import urllib.request

import otlp_bytes as otlp
from harness import ERRORS, doors_config
from kafka_mock import Mock
from servers import Prometheus, free_ports
from tailgate_process import Daemon, basic_config, expect, get, until
from tools import run, say, text_of

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")
RULES = os.path.join(DEPLOY, "prometheus", "alerts.yaml")
VARIABLES = {"$job": "tailgate", "$instance": ".*", "$exporter": ".*", "$__rate_interval": "30s", "$__range": "5m"}
SELECTOR = re.compile(r"\b((?:tailgate_\w+|process_\w+|up))\b(\{[^}]*\})?")
# What the trouble below must wake, pending or firing.
WOKEN = {"TailgateKeptSpansRefused", "TailgateDeadLettersFail", "TailgateSpansShed", "TailgateBackendDown", "TailgateReloadFailed",
         "TailgateSendersRefused", "TailgateRequestsRefused"}


def filled(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    expect("$" not in expression, f"a variable the test does not know: {expression}")
    return expression


def dashboard():
    """(panel, expression) of every query; (variable, selector) of every variable."""
    with open(os.path.join(DEPLOY, "grafana", "tailgate.json")) as text:
        board = json.load(text)
    queries = [(panel["title"], filled(target["expr"])) for panel in board["panels"] for target in panel.get("targets", [])]
    queries += [(one["name"], filled(one["expr"])) for one in board["annotations"]["list"]]
    variables = [(one["name"], filled(re.match(r"label_values\((.*), \w+\)$", one["query"]["query"])[1]))
                 for one in board["templating"]["list"] if one["type"] == "query"]
    return queries, variables


def rules(prometheus):
    """(alert, expression) of every rule, as Prometheus has read them."""
    groups = json.loads(get(prometheus.port, "/api/v1/rules")[1])["data"]["groups"]
    return [(rule["name"], rule["query"]) for group in groups for rule in group["rules"]]


def without_filter(expression):
    """A comparison with a number at the end leaves nothing while all is well."""
    return re.sub(r" (>|==) [0-9.]+$", "", expression)


class Traffic:
    """Good requests all the time, by OTLP/HTTP: traces with an error, slow ones, others; and once asked, trouble. What is
    good goes to the others too."""

    def __init__(self, daemon, others):
        self.daemon, self.others, self.over, self.trouble = daemon, others, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.failed = None

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def post(self, body, content_type="application/x-protobuf", headers=None, daemon=None):
        port = (daemon or self.daemon).receivers[1][2]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", body, {"Content-Type": content_type, **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def run(self):
        try:
            while not self.over.wait(0.1):
                spans = []
                for i in range(10):
                    trace, root = os.urandom(16), os.urandom(8)
                    end = 1_700_000_000_000_000_000 + (2_000_000_000 if i == 1 else 1_000_000)
                    spans += [otlp.span(trace, "root", end_ns=end, error=i == 0, span_id=root), otlp.span(trace, "child", root)]
                body = otlp.request(spans)
                expect(self.post(body) == 200, "a good request is refused")
                self.others.take(body, self)
                if self.trouble.is_set():
                    self.bad()
        except Exception as error:  # told by the test's thread
            self.failed = error

    def bad(self):
        expect(self.post(b"\x0a\xff") == 400, "a request that does not parse is taken")
        expect(self.post(otlp.request([otlp.span(bytes(16))])) == 200, "a request with a bad id is refused whole")
        expect(get(self.daemon.pages["metrics"], "/nothing")[0] == 404, "a page that is not there")
        expect(self.post(otlp.request([otlp.span(os.urandom(16), attributes=[("elsewhere", "yes")])])) == 200, "refused")
        self.unfinished()

    def unfinished(self):
        """A body whose end does not come takes the room there is for such; the next is refused."""
        head = b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 200000\r\n\r\n"
        port = self.daemon.receivers[1][2]
        with socket.create_connection(("127.0.0.1", port)) as first, socket.create_connection(("127.0.0.1", port)) as second:
            first.sendall(head + bytes(100000))
            until(lambda: self.daemon.metrics().sum("tailgate_memory_used_bytes", holder="requests") >= 100000, "half a body is held")
            second.sendall(head + bytes(100000))
            expect(b" 503 " in second.recv(100), "a second half body is taken")


def config(directory, dead):
    """Every receiver; a file, a dead backend that is given up soon, with a queue on disk and nowhere for dead letters; a
    policy no exporter wants; a journal."""
    retry = {"initial_interval": "50ms", "max_interval": "100ms", "max_elapsed_time": "300ms"}
    out = doors_config({
        "file": {"path": os.path.join(directory, "kept.json"), "policies": ["errors", "slow", "_own"]},
        "otlp/dead": {"endpoint": f"127.0.0.1:{dead}", "tls": {"insecure": True}, "retry_on_failure": retry, "policies": ["errors"],
                      "sending_queue": {"directory": os.path.join(directory, "queue")},
                      "dead_letter": {"path": "/dev/full"}},
    })
    out["receivers"]["otlp"]["limits"] = {"held_body_bytes": "64KiB", "client_held_bytes": 0}
    out["journal"] = {"directory": os.path.join(directory, "journal")}
    out["telemetry"]["traces"] = {"exporters": ["file"]}
    out["sampling"].update({
        "decision_wait": "1s", "decision_wait_after_root_received": "200ms",
        "policies": [
            {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": 1000}},
            {"name": "unwanted", "type": "string_attribute", "string_attribute": {"key": "elsewhere", "values": ["yes"]}},
            {"name": "condition", "type": "ottl_condition", "ottl_condition": {"span": ['Int(name) / 0 == 1']}}],
        "shadow_policies": [{"name": "candidate", "type": "latency", "latency": {"threshold_ms": 500}}]})
    return out


class Others:
    """What one daemon cannot be at once: two members of a cluster, and one that reads a topic."""

    def __init__(self, binary, directory):
        ports = free_ports(2)
        with contextlib.ExitStack() as begun:  # what has begun ends if another does not begin
            self.mock = begun.enter_context(Mock({"spans": 2, "verdicts": 2}))
            configs = {"a": self.member("a", ports[0], ports), "b": self.member("b", ports[1], ports), "reader": self.reader()}
            self.daemons = []
            for name, one in configs.items():
                os.mkdir(os.path.join(directory, name))
                self.daemons.append(begun.enter_context(Daemon(binary, os.path.join(directory, name), one)))
            self.begun = begun.pop_all()

    @staticmethod
    def member(name, port, ports):
        out = basic_config([{"name": "limited", "type": "rate_limiting", "rate_limiting": {"spans_per_second": 10}}], {"debug": {}})
        out["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = f"127.0.0.1:{port}"
        out["cluster"] = {"self": name, "tls": {"insecure": True}, "members": {
            "static": [{"name": n, "endpoint": f"127.0.0.1:{p}"} for n, p in zip("ab", ports)]}}
        return out

    def reader(self):
        out = basic_config(ERRORS, {"debug": {}})
        out["receivers"] = {"kafka": {"brokers": [self.mock.brokers], "topic": "spans", "group": "tailgate",
                                      "verdicts_topic": "verdicts", "verdicts_read_back": "0s", "commit_interval": "1s"}}
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.begun.close()

    def pages(self):
        return [daemon.pages["metrics"] for daemon in self.daemons]

    def take(self, body, traffic):
        expect(traffic.post(body, daemon=self.daemons[0]) == 200, "a member refuses a good request")
        self.mock.client.write("spans", 0, b"", body)


def test_prometheus(tools, binary, directory):
    tools.need("prometheus", "promtool")
    for file in glob.glob(os.path.join(DEPLOY, "prometheus", "*.yaml")):
        shutil.copy(file, directory)
    run(["promtool", "check", "rules", "alerts.yaml"], cwd=directory)
    run(["promtool", "test", "rules", "alerts_test.yaml"], cwd=directory)
    tested = set(re.findall(r"alertname: (\w+)\}", text_of(os.path.join(directory, "alerts_test.yaml"))))
    shutil.copy(os.path.join(DEPLOY, "compose", "prometheus.yaml"), directory)
    run(["promtool", "check", "config", "prometheus.yaml"], cwd=directory)

    dead, = free_ports(1)
    with Others(binary, directory) as others, Daemon(binary, directory, config(directory, dead)) as daemon, \
            Prometheus(directory, "tailgate", daemon.pages["metrics"], [RULES], others=others.pages()) as prometheus, \
            Traffic(daemon, others) as traffic:
        daemon.metrics()  # what happens later must not bring counters that are not in this
        alerts = rules(prometheus)
        expect({name for name, _ in alerts} == tested, f"alerts without a test, or the other way about: {tested ^ set(dict(alerts))}")

        def well():
            expect(traffic.failed is None, f"traffic: {traffic.failed}")
            return prometheus.query('count_over_time(up{job="tailgate"}[1m]) > 3')
        until(well, "Prometheus has scraped", 60, 0.2)

        traffic.trouble.set()
        with open(daemon.path) as text:
            good = text.read()
        with open(daemon.path, "w") as out:
            out.write(good.replace('"status_code"', '"status_cod"', 1))
        queries, variables = dashboard()

        def until_data(where, expression):
            def look():
                expect(traffic.failed is None, f"traffic: {traffic.failed}")
                return prometheus.query(expression)
            until(look, f"{where}: data for {expression}", 60, 0.2)

        for where, expression in queries:
            until_data(where, without_filter(expression))
        for where, selector in variables:
            until_data(where, selector)
        for where, expression in alerts:
            prometheus.query(expression)
        selectors = {name + labels for _, expression in queries + alerts for name, labels in SELECTOR.findall(expression)}
        for selector in sorted(selectors):  # a name or a label that is not there finds nothing
            until_data("a selector", selector)
        until(lambda: WOKEN <= prometheus.alerts().keys(), f"the alerts are there: {', '.join(sorted(WOKEN))}", 60, 0.2)
        expect("TailgateDown" not in prometheus.alerts(), "a daemon that is up counts as down")

        traffic.over.set()
        expect(daemon.stop() == 0, "the daemon did not end with 0")
        until(lambda: prometheus.alerts().get("TailgateDown"), "TailgateDown is pending once it is")
    say(f"  {len(alerts)} alerts, {len(queries)} queries of the dashboard, {len(selectors)} selectors: each has data")
