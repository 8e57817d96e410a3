#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What SDKs are told to sample, by the binary. sampling_test.py TAILGATE"""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, basic_config, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
DEFAULT = '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.001}}'


class SamplingTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.file = os.path.join(self.directory.name, "strategies.json")

    def write(self, strategies):
        with open(self.file + ".new", "w") as out:
            out.write(strategies if isinstance(strategies, str) else json.dumps(strategies))
        os.rename(self.file + ".new", self.file)

    def config(self, **keys):
        config = basic_config([{"name": "all", "type": "always_sample"}], {"debug": {}}, decision_wait="200ms")
        config["remote_sampling"] = {"http": {"endpoint": "127.0.0.1:0"}, **keys}
        return config

    def start(self, **keys):
        daemon = Daemon(BINARY, self.directory.name, self.config(**keys))
        self.addCleanup(daemon.kill)
        return daemon

    def ask(self, daemon, query):
        return get(daemon.pages["sampling"], "/sampling" + query)

    def test_the_file_answers_and_a_reload_changes_it(self):
        self.write({"service_strategies": [{"service": "shop", "type": "ratelimiting", "param": 42}]})
        daemon = self.start(strategies_file="strategies.json")
        shop = '{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":42}}'
        self.assertEqual(self.ask(daemon, "?service=shop"), (200, shop))
        self.assertEqual(get(daemon.pages["sampling"], "/?service=s%68op"), (200, shop))
        self.assertEqual(self.ask(daemon, "?service=mail"), (200, DEFAULT))
        wrong = (400, "'service' parameter must be provided once\n")
        self.assertEqual(self.ask(daemon, ""), wrong)
        self.assertEqual(self.ask(daemon, "?service=a&service=b"), wrong)
        connection = http.client.HTTPConnection("127.0.0.1", daemon.pages["sampling"], timeout=10)
        connection.request("GET", "/sampling?service=shop")
        self.assertEqual(connection.getresponse().getheader("content-type"), "application/json")
        connection.close()
        polls = daemon.metrics()
        count = lambda **labels: polls.sum("tailgate_remote_sampling_polls_total", **labels)  # noqa: E731
        self.assertEqual(count(protocol="http", result="file"), 3)
        self.assertEqual(count(protocol="http", result="default"), 1)
        self.assertEqual(count(protocol="http", result="refused"), 2)

        self.write({"default_strategy": {"type": "probabilistic", "param": 0.42}})
        until(lambda: self.ask(daemon, "?service=shop")[1] ==
              '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.42}}', "the new file")
        self.assertIn("sampling strategies loaded", daemon.log())
        self.write('{"default_strategy": {"type": "probabilistic", "param": 42}}')
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.metrics().sum("tailgate_config_reloads_total", result="failure"), "the bad file is refused")
        self.assertIn("strategies.json:1:57: default_strategy.param: expected a probability from 0 to 1", daemon.log())
        self.assertIn('0.42', self.ask(daemon, "?service=shop")[1])
        self.assertEqual(daemon.stop(), 0)

    def test_probabilities_follow_what_comes_in_and_survive_a_restart(self):
        keys = {"adaptive": {"traces_per_second": 5, "poll_interval": "6s", "operation_expiration": "1m",
                             "directory": os.path.join(self.directory.name, "learnt")},
                "default_sampling_probability": 1}
        daemon = self.start(**keys)

        def given(daemon):
            status, text = self.ask(daemon, "?service=shop")
            self.assertEqual(status, 200)
            operations = json.loads(text)["operationSampling"]["perOperationStrategies"]
            return {one["operation"]: one["probabilisticSampling"]["samplingRate"]
                    for one in operations}

        def sent():
            for _ in range(20):
                spans = [otlp.span(os.urandom(16), "GET /") for _ in range(20)]
                request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", otlp.request(spans, "shop"),
                                                 {"Content-Type": "application/x-protobuf"})
                urllib.request.urlopen(request, timeout=10).close()
            return given(daemon).get("GET /", 1) < 0.5

        until(sent, "the probability falls", every=0.2)
        status, text = get(daemon.pages["sampling"], "/sampling/explain?service=shop")
        self.assertEqual(status, 200)
        shop = json.loads(text)["adaptive"]["services"][0]
        operation = next(one for one in shop["operations"] if one["operation"] == "GET /")
        self.assertIn(operation["why"], ("target", "steady"))
        self.assertGreater(operation["demand_per_second"], 5)
        self.assertEqual(get(daemon.pages["sampling"], "/sampling/explain?what=1")[0], 400)
        metrics = daemon.metrics()
        self.assertEqual(metrics.sum("tailgate_adaptive_sampling_operations"), 1)
        self.assertGreater(metrics.sum("tailgate_remote_sampling_polls_total", protocol="http", result="adaptive"), 0)
        self.assertEqual(daemon.stop(), 0)
        again = self.start(**keys)
        self.assertLess(given(again)["GET /"], 0.6)
        self.assertEqual(again.stop(), 0)
        with open(os.path.join(self.directory.name, "learnt", "adaptive-sampling.json"), "w") as out:
            out.write('{"operations": [{"service"')
        fresh = self.start(**keys)
        self.assertEqual(given(fresh), {})
        self.assertIn("is damaged; it begins anew", fresh.log())

    def test_a_bad_file_is_refused_at_the_start(self):
        for text, wanted in (('{"default_strategy": ', "strategies.json:1"),
                             ('{"service_strategies": {}}', "service_strategies: expected a list")):
            self.write(text)
            path = os.path.join(self.directory.name, "bad.yaml")
            with open(path, "w") as out:
                json.dump(self.config(strategies_file="strategies.json"), out)
            checked = subprocess.run([BINARY, "check", "--config", path], capture_output=True, text=True, timeout=60)
            self.assertEqual(checked.returncode, 1)
            self.assertIn(wanted, checked.stderr)
        os.remove(self.file)
        checked = subprocess.run([BINARY, "check", "--config", path], capture_output=True, text=True, timeout=60)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("remote_sampling.strategies_file: expected a file that can be read", checked.stderr)

    def test_off_nothing_listens_and_nothing_is_counted(self):
        config = self.config()
        del config["remote_sampling"]
        daemon = Daemon(BINARY, self.directory.name, config)
        self.addCleanup(daemon.kill)
        self.assertNotIn("sampling", daemon.pages)
        self.assertEqual(daemon.metrics().by("tailgate_remote_sampling_polls_total", "result"), {})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"])
