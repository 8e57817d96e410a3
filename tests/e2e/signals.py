# SPDX-License-Identifier: Apache-2.0
"""/metrics/spans in a real Prometheus with exemplar storage: the dashboard of services has data, the example alerts wake, and
every exemplar leads to a trace that the backend has."""

import glob
import json
import os
import random
import re
import shutil
import threading
import time
import urllib.parse

import otlp_bytes as otlp
from examples import post
from prometheus import DEPLOY
from servers import Prometheus
from tailgate_process import Daemon, basic_config, expect, get, until
from tools import run, say

SERVER, CLIENT = 2, 3
SECONDS = int(os.environ.get("TAILGATE_E2E_SIGNALS_SECONDS", "40"))
VARIABLES = {"$job": "spans", "$daemon": "tailgate", "$service": ".*", "$__rate_interval": "30s"}
# A rate of what has not happened is 0 and data; these need a cause that is not made here.
QUIET = re.compile(r"expired_series_total")


class Traffic:
    """web calls shop, which calls a database and a peer without spans; some fail and some are slow. Until it is over."""

    def __init__(self, daemon):
        self.daemon, self.over, self.failed, self.spans = daemon, threading.Event(), None, 0
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        post(self.daemon, [otlp.span(os.urandom(16), "once", kind=SERVER, error=True)], "rare")
        self.spans += 1
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def run(self):
        chance = random.Random(3)
        odd = "".join(map(chr, range(256))) + "\u2028\U0001F600"  # a name that must not end the page
        try:
            while not self.over.wait(0.02):
                trace, ids = os.urandom(16), [os.urandom(8) for _ in range(5)]
                end = time.time_ns()

                def span(i, parent, name, kind, milliseconds, **more):
                    self.spans += 1
                    return otlp.span(trace, name, parent, end - milliseconds * 1_000_000, end, kind=kind, span_id=ids[i], **more)

                error, slow = chance.random() < 0.2, chance.random() < 0.4
                took = chance.choice([3, 30, 300]) + (900 if slow else 0)
                route = f"GET /cart/{chance.randrange(3)}"
                post(self.daemon, [span(0, b"", odd if chance.random() < 0.1 else route, SERVER, took + 3, error=error),
                                   span(1, ids[0], "POST", CLIENT, took + 2, error=error)], "web")
                post(self.daemon, [span(2, ids[1], "POST /order", SERVER, took, error=error),
                                   span(3, ids[2], "SELECT", CLIENT, 2, attributes=[("db.name", "orders")]),
                                   span(4, ids[2], f"GET /user/{chance.randrange(10**9)}", CLIENT, 4,
                                        attributes=[("peer.service", "mail")])], "shop")
        except Exception as error:  # told by the test's thread
            self.failed = error


def dashboard():
    with open(os.path.join(DEPLOY, "grafana", "services.json")) as text:
        board = json.load(text)
    queries = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
    queries += [(one["name"], re.match(r"label_values\((.*), \w+\)$", one["query"]["query"])[1])
                for one in board["templating"]["list"] if one["type"] == "query"]
    out = []
    for where, expression in queries:
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        expect("$" not in expression, f"a variable the test does not know: {expression}")
        out.append((where, expression))
    return out


def exemplars(prometheus, metric, begin):
    """Trace ids of all exemplars that Prometheus holds."""
    asked = urllib.parse.urlencode({"query": metric, "start": begin, "end": time.time() + 60})
    status, text = get(prometheus.port, f"/api/v1/query_exemplars?{asked}")
    expect(status == 200, f"Prometheus says {status}: {text[:300]}")
    return {one["labels"]["trace_id"] for series in json.loads(text)["data"] for one in series["exemplars"]}


def kept(directory):
    with open(os.path.join(directory, "kept.json")) as text:
        return set(re.findall(r'"traceId":"([0-9a-f]{32})"', text.read()))


def test_signals(tools, binary, directory):
    tools.need("prometheus", "promtool")
    for file in glob.glob(os.path.join(DEPLOY, "prometheus", "services*.yaml")):
        shutil.copy(file, directory)
    run(["promtool", "check", "rules", "services.yaml"], cwd=directory)
    run(["promtool", "test", "rules", "services_test.yaml"], cwd=directory)

    config = basic_config([{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
                           {"name": "tenth", "type": "probabilistic", "probabilistic": {"sampling_percentage": 10}}],
                          {"file": {"path": os.path.join(directory, "kept.json")}}, decision_wait="1s")
    config["span_metrics"] = {"exemplars": {"enabled": True}, "series_max": 100, "start_at_zero": "2s"}
    config["service_graph"] = {"store": {"ttl": "1s"}, "start_at_zero": "2s"}
    begin = time.time()
    with Daemon(binary, directory, config) as daemon, \
            Prometheus(directory, "tailgate", daemon.pages["metrics"], [os.path.join(directory, "services.yaml")],
                       spans_job="spans") as prometheus, Traffic(daemon) as traffic:
        def until_data(where, expression):
            def look():
                expect(traffic.failed is None, f"traffic: {traffic.failed}")
                return QUIET.search(expression) or prometheus.query(expression)
            until(look, f"{where}: data for {expression}", 60, 0.2)

        until_data("the first event of a series", 'increase(traces_spanmetrics_calls_total{span_name="once"}[1m]) > 0')
        queries = dashboard()
        for where, expression in queries:
            until_data(where, expression)
        until(lambda: {"ServiceErrors", "ServiceSlow"} <= prometheus.alerts().keys(), "the example alerts are there", 60, 0.2)
        until(lambda: time.time() - begin > SECONDS, "there has been traffic for a while", SECONDS + 10, 0.5)
        expect(traffic.failed is None, f"traffic: {traffic.failed}")

        traffic.over.set()
        traffic.thread.join()
        expect(prometheus.query('sum(scrape_samples_scraped{job="spans"}) > 100'), "no samples")
        until(lambda: prometheus.query(f"sum(traces_spanmetrics_calls_total) == {traffic.spans}"),
              f"Prometheus has all {traffic.spans} spans that were sent", 30, 0.2)
        until(lambda: daemon.metrics().sum("tailgate_buffer_spans") == 0, "all is decided")
        time.sleep(2)  # one scrape more
        found = exemplars(prometheus, "traces_spanmetrics_latency_bucket", begin)
        expect(daemon.stop() == 0, "the daemon did not end with 0")
        stored = kept(directory)
        expect(len(found) > 20, f"only {len(found)} exemplars")
        expect(found <= stored, f"{len(found - stored)} of {len(found)} exemplars lead nowhere")
    say(f"  {len(queries)} queries of the dashboard have data; {len(found)} exemplars, all of them among the {len(stored)} traces kept")
