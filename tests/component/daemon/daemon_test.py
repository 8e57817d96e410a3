#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The built binary as its users meet it: exit codes, flags, endpoints, signals, metrics. daemon_test.py TAILGATE"""

import http.client
import http.server
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, basic_config, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
ERRORS = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}


def tailgate(*arguments, env=None):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})


def send(port, spans):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", otlp.request(spans),
                                     {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status


class DaemonTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.kept_path = os.path.join(self.directory.name, "kept.json")

    def config(self, **sampling):
        return basic_config([dict(ERRORS)], {"file": {"path": self.kept_path}}, **sampling)

    def written(self, config, name="tailgate.yaml"):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as out:
            out.write(config if isinstance(config, str) else json.dumps(config))
        return path

    def refused_lines(self, daemon):
        return [line.split(" refused ", 1)[1] for line in daemon.log().splitlines() if " refused receiver=" in line]

    def test_what_is_refused_is_in_the_log_once_a_minute_for_each_reason_and_peer(self):
        config = self.config()
        config["receivers"]["jaeger"] = {"protocols": {"thrift_compact": {"endpoint": "127.0.0.1:0"}}}
        daemon = self.start(config)
        ports = [int(port) for port in re.findall(r"receiver=(?:otlp|jaeger) endpoint=127.0.0.1:(\d+)", daemon.log())]
        jaeger = re.search(r"receiver=jaeger endpoint=127.0.0.1:(\d+)", daemon.log())
        compact, http_port = int(jaeger.group(1)), [port for port in ports if port != int(jaeger.group(1))][1]

        def post(body, source):
            connection = http.client.HTTPConnection("127.0.0.1", http_port, 10, (source, 0))
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/json"})
            self.assertEqual(connection.getresponse().status, 400)
            connection.close()

        for _ in range(20):
            post(b"{", "127.0.0.1")
        post(b"[", "127.0.0.2")
        with socket.create_connection(("127.0.0.1", http_port), 10) as s:
            s.sendall(b"GET / HTTP/1.1\nHost: t\n\n")
            self.assertTrue(s.recv(1000).startswith(b"HTTP/1.1 400"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"\x80\x01\x00\x04", ("127.0.0.1", compact))
        lines = until(lambda: (found := self.refused_lines(daemon)) and len(found) >= 4 and found, "the lines are there")
        self.assertEqual(daemon.stop(), 0)
        lines = sorted(self.refused_lines(daemon))
        self.assertEqual([line.split(" last=")[0] for line in lines], [
            "receiver=jaeger reason=malformed peer=127.0.0.1 count=1",
            "receiver=otlp reason=malformed peer=127.0.0.1 count=1",
            "receiver=otlp reason=malformed peer=127.0.0.1 count=19",
            "receiver=otlp reason=malformed peer=127.0.0.2 count=1",
            "receiver=otlp reason=protocol peer=127.0.0.1 count=1"])
        self.assertIn("it looks like the binary one, for thrift_binary", lines[0])
        self.assertIn("a line does not end with CR and LF", lines[4])

    def start(self, config, **more):
        daemon = Daemon(BINARY, self.directory.name, config, **more)
        self.addCleanup(daemon.kill)
        return daemon

    def kept(self):
        """Trace id to number of spans, of what the file exporter wrote."""
        out = {}
        if os.path.exists(self.kept_path):
            with open(self.kept_path) as lines:
                for line in lines:
                    for resource in json.loads(line)["resourceSpans"]:
                        for scope in resource["scopeSpans"]:
                            for span in scope["spans"]:
                                out[span["traceId"]] = out.get(span["traceId"], 0) + 1
        return out

    def test_wrong_usage_is_2(self):
        path = self.written(self.config())
        for arguments in ([], ["fly"], ["run"], ["check"], ["run", "--config"], ["run", "--config", path, "--fast", "1"],
                          ["check", "--config", path, "--set", "no-equals-sign"], ["check", "--config", path, path],
                          ["check", path, path], ["check", path, "--rate", "0"], ["check", path, "--rate", "many"],
                          ["check", path, "--rate", "5", "--span-bytes", "2GiB"], ["check", path, "--span-bytes", "900"],
                          ["check", path, "--trace-spans=8"], ["run", path, "--rate", "5"],
                          ["decide", "--config", path], ["migrate"], ["migrate", path, path], ["migrate", "--config", path]):
            done = tailgate(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn("Exit codes", done.stderr)

    def test_version_and_help(self):
        version = tailgate("--version")
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r"^tailgate \d+\.\d+\.\d+ \(commit ([0-9a-f]+|unknown), .+\)$")
        help_text = tailgate("--help")
        self.assertEqual(help_text.returncode, 0)
        for word in ("run", "check", "decide", "migrate", "--config", "--set"):
            self.assertIn(word, help_text.stdout)
        for command, flags in {"run": ["--config FILE", "--set KEY=VALUE"], "check": ["--config FILE", "--rate SPANS", "--trace-spans N"],
                               "decide": ["--config FILE", "SPANS..."], "migrate": ["COLLECTOR.yaml"]}.items():
            done = tailgate(command, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn(f"Example: tailgate {command} ", done.stdout)
            for flag in flags:
                self.assertIn(flag, done.stdout)

    def test_manual_page_and_completion_name_every_command_and_flag(self):
        page, completion = tailgate("--man").stdout.replace("\\-", "-"), tailgate("--completion").stdout
        self.assertEqual(subprocess.run(["bash", "-n"], input=completion, text=True, capture_output=True).stderr, "")
        commands = re.findall(r"^  tailgate ([a-z]+) +\S", tailgate("--help").stdout.split("\n\n")[1], re.M)
        self.assertIn("replay", commands)
        for command in commands:
            self.assertIn(f".SS {command}\n", page)
            for flag in re.findall(r"^  (--[a-z-]+)", tailgate(command, "--help").stdout, re.M):
                self.assertIn(f".B {flag}", page)
                self.assertRegex(completion, rf"{command}\) flags='[^']*{flag} ")

    def test_strict_makes_notices_an_error(self):
        path = self.written(self.config())
        odd = ["--set", "sampling.policies=[{name: p, type: probabilistic, probabilistic: {}}]"]
        self.assertEqual(tailgate("check", path, *odd).returncode, 0)
        done = tailgate("check", path, "--strict", *odd)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("keeps nothing", done.stderr)
        self.assertEqual(tailgate("check", "--strict", path).returncode, 0)
        self.assertEqual(tailgate("check", "--strict=yes", path).returncode, 2)

    def test_check_says_what_a_rate_needs(self):
        path = self.written(self.config(decision_wait="30s", memory_limit="274MiB"))
        done = tailgate("check", path, "--rate", "5400", "--span-bytes=931", "--trace-spans", "8")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"open traces    need 16\dMiB, have [78]\dMiB\n  memory_limit   needs \d+MiB, is 274MiB\n"
                                      r"  traces would be decided after 1\d\.\ds: raise sampling.memory_limit or lower decision_wait")
        needed = re.search(r"needs (\d+MiB)", done.stdout)[1]
        done = tailgate("check", path, "--set", f"sampling.memory_limit={needed}", "--rate", "5400", "--span-bytes", "931",
                        "--trace-spans", "8")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"needs {needed}, is {needed}", done.stdout)

    def test_check(self):
        path = self.written(self.config())
        self.assertEqual(tailgate("check", "--config", path).returncode, 0)
        self.assertEqual(tailgate("check", f"--config={path}").returncode, 0)
        self.assertEqual(tailgate("check", path).returncode, 0)
        for command in (["check", path + ".none"], ["run", path + ".none"], ["migrate", path + ".none"]):
            done = tailgate(*command)
            self.assertEqual((done.returncode, done.stderr), (3, f"cannot open {path}.none: No such file or directory\n"))

        bad = self.written("receivers:\n  otlp: {protocols: {grpc: }}\nsampling:\n  decision_wate: 3s\nexporters: {debug: }\n", "bad.yaml")
        done = tailgate("check", "--config", bad)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"bad\.yaml:4:\d+: .*decision_wate")
        self.assertIn("decision_wait", done.stderr)
        self.assertEqual(tailgate("run", "--config", bad).returncode, 1)

    def test_set_overrides_and_the_last_one_wins(self):
        path = self.written(self.config())
        self.assertEqual(tailgate("check", "--config", path, "--set", "sampling.decision_wait=soon").returncode, 1)
        self.assertEqual(tailgate("check", "--config", path, "--set", "sampling.decision_wait=soon",
                                  "--set", "sampling.decision_wait=200ms").returncode, 0)
        self.assertEqual(tailgate("check", "--config", path, "--set", "sampling.policies.0.type=no_such").returncode, 1)

        daemon = self.start(self.config(decision_wait="300s"), sets=["sampling.decision_wait=100ms"])
        self.assertEqual(send(daemon.http, [otlp.span(b"t" * 16, error=True)]), 200)
        until(self.kept, "the trace is kept after the overridden wait")
        self.assertEqual(daemon.stop(), 0)

    def test_environment(self):
        path = self.written(json.dumps(self.config()).replace('"2s"', '"${env:TAILGATE_TEST_WAIT}"'))
        self.assertEqual(tailgate("check", "--config", path, env={"TAILGATE_TEST_WAIT": "1s"}).returncode, 0)
        done = tailgate("check", "--config", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("TAILGATE_TEST_WAIT", done.stderr)

    def test_port_0_is_logged_and_served(self):
        daemon = self.start(self.config())
        self.assertEqual([name for name, _, _ in daemon.receivers], ["otlp", "otlp"])
        self.assertEqual(set(daemon.pages), {"metrics", "health", "web"})
        ports = [port for _, _, port in daemon.receivers] + list(daemon.pages.values())
        self.assertEqual(len(set(ports)), 5)
        for _, _, port in daemon.receivers:
            self.assertEqual(send(port, [otlp.span(os.urandom(16))]), 200)
        self.assertEqual(daemon.ready(), (200, "ready\n"))
        self.assertEqual(get(daemon.pages["health"], "/health")[0], 200)
        self.assertEqual(get(daemon.pages["metrics"], "/nothing")[0], 404)
        self.assertEqual(daemon.stop(), 0)

    def test_a_port_in_use_is_3(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            config = self.config()
            config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = f"127.0.0.1:{taken.getsockname()[1]}"
            done = tailgate("run", "--config", self.written(config))
            self.assertIn(str(taken.getsockname()[1]), done.stderr)
        self.assertEqual(done.returncode, 3)

    def test_a_file_that_cannot_be_opened_is_3(self):
        config = self.config()
        config["exporters"]["file"]["path"] = os.path.join(self.directory.name, "nowhere", "kept.json")
        self.assertEqual(tailgate("run", "--config", self.written(config)).returncode, 3)

    def test_unix_sockets(self):
        """Pages, every TCP receiver and both network exporters: two daemons in a row, and no port between them."""
        at = lambda name: f"unix://{self.directory.name}/{name}.sock"  # noqa: E731
        path = lambda name: at(name).removeprefix("unix://")  # noqa: E731
        config = self.config(decision_wait="200ms")
        config["receivers"] = {
            "otlp": {"protocols": {"grpc": {"endpoint": at("grpc"), "socket_mode": "0600"}, "http": {"endpoint": at("http")}}},
            "jaeger": {"protocols": {"grpc": {"endpoint": at("jaeger")}, "thrift_http": {"endpoint": at("thrift")}}},
            "zipkin": {"endpoint": at("zipkin")}}
        config["telemetry"] = {"metrics": {"endpoint": at("metrics")}, "health": {"endpoint": at("health")}}
        config["web"] = {"endpoint": at("web"), "socket_mode": "0666"}
        front = self.start(config)
        self.assertIn(f"listening receiver=otlp endpoint={at('grpc')}", front.log())
        self.assertEqual([os.stat(path(name)).st_mode & 0o777 for name in ("grpc", "http", "web")], [0o600, 0o660, 0o666])

        def ask(name, method, target, body=None, headers=()):
            connection = http.client.HTTPConnection("localhost")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(path(name))
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            return answer.status, text.decode(errors="replace")

        self.assertEqual(ask("health", "GET", "/ready"), (200, "ready\n"))
        self.assertEqual(ask("zipkin", "POST", "/api/v2/spans", "[]", {"Content-Type": "application/json"})[0], 202)
        self.assertEqual(ask("thrift", "POST", "/api/traces", b"\0", {"Content-Type": "application/x-thrift"})[0], 202)

        feeder = basic_config([{"name": "all", "type": "always_sample"}], {
            "otlp": {"endpoint": at("grpc"), "retry_on_failure": {"initial_interval": "100ms"}}, "otlphttp": {"endpoint": at("http")}},
            decision_wait="200ms")
        feeder = self.start(feeder, path=self.written(feeder, "feeder.yaml"))
        bad = os.urandom(16)
        self.assertEqual(send(feeder.http, [otlp.span(bad, error=True)]), 200)
        until(lambda: feeder.metrics().sum("tailgate_export_spans_total") == 2, "both exporters have sent it")
        until(lambda: self.kept().get(bad.hex()) == 2, "the trace came by both sockets")
        self.assertIn('tailgate_spans_received_total{receiver="otlp",format="otlp_proto"} 2', ask("metrics", "GET", "/metrics")[1])
        front.kill()  # its files stay
        self.assertTrue(os.path.exists(path("grpc")))
        front = self.start(config)
        self.assertEqual(ask("health", "GET", "/ready")[0], 200)
        self.assertEqual(tailgate("run", "--config", front.path).returncode, 3)
        self.assertEqual(ask("health", "GET", "/ready")[0], 200)
        self.assertEqual(front.stop(), 0)
        self.assertEqual([name for name in os.listdir(self.directory.name) if name.endswith(".sock")], [])

        config["exporters"] = {"otlp": {"endpoint": at("grpc")}}
        config["web"] = {"endpoint": "unix://web.sock"}
        config["receivers"]["jaeger"]["protocols"]["thrift_compact"] = {"endpoint": at("udp")}
        config["telemetry"]["health"] = {"endpoint": "localhost:0", "socket_mode": "0600"}
        config["telemetry"]["metrics"]["socket_mode"] = "rw"
        errors = tailgate("check", "--config", self.written(config, "bad.yaml")).stderr
        for text in ("expected an endpoint that is not the receiver 'otlp'", "expected HOST:PORT, for datagrams", "expected the absolute path of a socket: unix:///PATH, got 'unix://web.sock'",
                     "expected an endpoint unix:///PATH with it, got '0600'", "expected permissions as chmod takes them, 0660, got 'rw'"):
            self.assertIn(text, errors)

    def test_sigterm_decides_what_is_open_and_exports_it(self):
        daemon = self.start(self.config(decision_wait="300s"))
        bad, good = os.urandom(16), os.urandom(16)
        self.assertEqual(send(daemon.http, [otlp.span(bad, error=True), otlp.span(bad, parent=b"p" * 8)]), 200)
        self.assertEqual(send(daemon.http, [otlp.span(good)]), 200)
        metrics = daemon.metrics()
        metrics.check_law()
        self.assertEqual(metrics.sum("tailgate_buffer_spans"), 3)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.kept(), {bad.hex(): 2})
        self.assertIn("draining", daemon.log())
        self.assertIn("stopped", daemon.log())

    def test_the_reason_is_shutdown(self):
        config = self.config(decision_wait="300s")
        config["exporters"]["debug"] = {"verbosity": "basic"}
        daemon = self.start(config)
        trace = os.urandom(16)
        self.assertEqual(send(daemon.http, [otlp.span(trace, error=True)]), 200)
        self.assertEqual(daemon.stop(), 0)
        self.assertRegex(daemon.out(), rf"\A20[0-9-]{{8}}T[0-9:]{{8}}\.\d{{3}}Z {trace.hex()} .* policy=errors close_reason=shutdown\n\Z")
        self.assertNotIn(trace.hex(), daemon.log())

    def test_the_start_says_what_is_in_force(self):
        config = self.config(shadow_policies=[{"name": "next", "type": "always_sample"}])
        policies = ", ".join([p["name"] for p in config["sampling"]["policies"]] + ["next (shadow)"])
        count = len(config["sampling"]["policies"]) + 1
        text = self.start(config)
        self.assertIn(f' info in force memory_limit=512MiB memory_limit_is=configured policies={count} policy_names="{policies}" '
                      "receivers=otlp exporters=file\n", text.log())
        del config["sampling"]["memory_limit"]
        config["telemetry"]["logs"] = {"format": "json"}
        # Daemon looks for " ready" at the end of a line of text, so the JSON lines are read from another process.
        path = self.written(config, "json.yaml")
        daemon = subprocess.Popen([BINARY, "run", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        lines = []
        for line in daemon.stderr:
            lines.append(json.loads(line))
            if lines[-1]["message"] == "ready":
                daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(30), 0)
        daemon.stderr.close()
        force = next(line for line in lines if line["message"] == "in force")
        self.assertRegex(force["memory_limit_is"], r"a quarter of the (machine|cgroup)'s \d")
        self.assertEqual((force["policies"], force["policy_names"], force["exporters"]), (count, policies, "file"))
        self.assertEqual({line["level"] for line in lines}, {"info"})

    def test_a_reload_names_what_changed(self):
        more = self.written("policies:\n- {name: extra, type: always_sample}\n", "more.yaml")
        config = self.config(policy_files=[more], shadow_policies=[{"name": "next", "type": "always_sample"}])
        daemon = self.start(config)

        def loaded():
            return re.findall(r" info policies loaded(.*)\n", daemon.log())

        daemon.signal(signal.SIGHUP)
        until(lambda: loaded() == [f", none of them changed file={daemon.path}"], "nothing changed")
        self.written("policies:\n- {name: other, type: always_sample}\n", "more.yaml")
        daemon.signal(signal.SIGHUP)
        until(lambda: loaded()[1:] == [f' file={more} added=other changed="" removed=extra'], "the file and its policies are named")
        config["sampling"]["shadow_policies"][0] = {"name": "next", "type": "latency", "latency": {"threshold_ms": 900}}
        config["sampling"]["policies"].reverse()
        config["sampling"]["use_tracestate"] = True
        self.written(config, os.path.basename(daemon.path))
        daemon.signal(signal.SIGHUP)
        changed = "next (shadow), use_tracestate" if len(config["sampling"]["policies"]) == 1 else "next (shadow), the order, use_tracestate"
        until(lambda: loaded()[2:] == [f' file={daemon.path} added="" changed="{changed}" removed=""'], "shadow policies and options count")
        self.assertEqual(daemon.stop(), 0)

    def test_a_second_signal_ends_at_once(self):
        config = self.config(decision_wait="300s")
        with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and never answers
            config["exporters"] = {"otlphttp": {"endpoint": f"http://127.0.0.1:{hole.getsockname()[1]}"}}
            config["shutdown_timeout"] = "60s"
            daemon = self.start(config)
            self.assertEqual(send(daemon.http, [otlp.span(os.urandom(16), error=True)]), 200)
            daemon.signal(signal.SIGTERM)
            until(lambda: "draining" in daemon.log(), "the daemon drains")
            until(lambda: daemon.ready()[0] == 503, "/ready says that it drains")
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(10), 128 + 15)

    def test_interrupt_drains_too(self):
        daemon = self.start(self.config())
        daemon.signal(signal.SIGINT)
        self.assertEqual(daemon.wait(), 0)

    def test_metrics(self):
        daemon = self.start(self.config(decision_wait="100ms"))
        daemon.metrics()  # has every counter that a later one has
        for i in range(20):
            self.assertEqual(send(daemon.http, [otlp.span(os.urandom(16), error=i % 4 == 0) for _ in range(5)]), 200)
            daemon.metrics().check_law()
        self.assertEqual(send(daemon.http, [otlp.span(b"short"), otlp.span(os.urandom(16))]), 200)
        until(lambda: daemon.metrics().sum("tailgate_buffer_spans") == 0, "all is decided")
        metrics = daemon.metrics()
        metrics.check_law()
        self.assertEqual(metrics.sum("tailgate_spans_received_total", receiver="otlp", format="otlp_proto"), 102)
        self.assertEqual(metrics.by("tailgate_spans_refused_total", "reason"), {"bad_id": 1, "no_memory": 0, "client_spans": 0})
        self.assertEqual(metrics.sum("tailgate_spans_forwarded_total"), 25)
        self.assertEqual(metrics.sum("tailgate_spans_not_sampled_total"), 76)
        self.assertEqual(metrics.sum("tailgate_traces_decided_total", decision="sampled", close_reason="timeout"), 25)
        self.assertEqual(metrics.sum("tailgate_build_info"), 1)
        for name, value, delta in (("cpu_seconds_total", daemon.cpu_seconds(), 1), ("start_time_seconds", time.time(), 60),
                                   ("resident_memory_bytes", daemon.rss_mib() * 2**20, 8 * 2**20),
                                   ("threads", len(os.listdir(f"/proc/{daemon.pid}/task")), 0),
                                   ("open_fds", len(os.listdir(f"/proc/{daemon.pid}/fd")), 2),  # the scrape's own
                                   ("max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0], 0)):
            self.assertAlmostEqual(metrics.sum(f"process_{name}"), value, delta=delta, msg=name)
        self.assertGreater(metrics.sum("process_virtual_memory_bytes"), metrics.sum("process_resident_memory_bytes"))
        until(lambda: daemon.metrics().sum("tailgate_export_spans_total", exporter="file") == 25, "all is written")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(sum(self.kept().values()), 25)

    def test_metrics_while_receivers_start(self):
        config = self.config()
        for i in range(20):
            config["receivers"][f"zipkin/{i}"] = {"endpoint": "127.0.0.1:0"}
        daemon = self.start(config, ready=False)
        port = int(until(lambda: re.search(r"listening page=metrics endpoint=\S+:(\d+)", daemon.log()), "a page", every=0.001)[1])
        while not re.search(r" ready$", daemon.log(), re.M):
            self.assertEqual(get(port, "/metrics")[0], 200)
        daemon.wait_ready()
        connections = daemon.metrics().by("tailgate_connections", "receiver")
        self.assertEqual(set(connections), {"otlp", *(f"zipkin/{i}" for i in range(20))})

    def test_what_needs_a_restart_is_named(self):
        daemon = self.start(self.config())
        self.assertEqual(daemon.ready(), (200, "ready\n"))
        config = json.load(open(daemon.path))
        config["sampling"]["decision_wait"] = "9s"
        config["sampling"]["policies"].append({"name": "all", "type": "always_sample"})
        del config["web"]
        self.written(config, os.path.basename(daemon.path))
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.metrics().sum("tailgate_config_reloads_total", result="success") == 1, "the policies are loaded")
        self.assertEqual(daemon.ready(), (200, "ready; a changed key needs a restart: see the log\n"))
        until(lambda: "keys=" in daemon.log(), "the log names what needs a restart")
        self.assertIn("sampling.decision_wait, web", daemon.log())

    def test_a_file_that_is_being_written_is_not_believed(self):
        daemon = self.start(self.config())
        whole = json.load(open(daemon.path))

        def reloads(result):
            return daemon.metrics().sum("tailgate_config_reloads_total", result=result)

        open(daemon.path, "w").close()  # as an editor does
        daemon.signal(signal.SIGHUP)
        time.sleep(1.5)
        self.assertEqual((reloads("success"), reloads("failure")), (0, 0))
        more = json.loads(json.dumps(whole))
        more["sampling"]["policies"].append({"name": "all", "type": "always_sample"})
        self.written(more)
        until(lambda: reloads("success") == 1, "the whole file is loaded")
        self.assertEqual(reloads("failure"), 0)
        # Cut for good, or another program's.
        failures = 0
        for text in ("", "{}", "# nothing", json.dumps({"receivers": whole["receivers"], "sampling": whole["sampling"]}),
                     json.dumps({**whole, "sampling": {}}), json.dumps({**whole, "service": {}})):
            self.written(text)
            failures += 1
            until(lambda: reloads("failure") == failures, f"{text!r} is refused")
            self.assertIn("was not loaded", daemon.ready()[1])
        self.assertEqual(reloads("success"), 1)
        trace = os.urandom(16)
        self.assertEqual(send(daemon.http, [otlp.span(trace)]), 200)
        until(lambda: trace.hex() in self.kept(), "the policies are in force")
        whole["sampling"]["policies"] = [{"name": "a", "type": "one"}, {"name": "b", "type": "two"}]
        self.written(whole)
        until(lambda: reloads("failure") == failures + 1, "two errors are refused")
        until(lambda: all(re.search(rf"not loaded.*policies.{i}..type", daemon.log()) for i in (0, 1)), "each has a line")
        whole["sampling"]["policies"] = []
        self.written(whole)
        until(lambda: reloads("success") == 2, "that nothing is kept is said")
        until(lambda: "no policies: nothing will be kept" in daemon.log(), "and is warned of")

    def test_a_damaged_durable_queue(self):
        queue = os.path.join(self.directory.name, "queue")
        config = self.config(decision_wait="50ms")
        config["exporters"] = {"file": {"path": "/dev/full", "sending_queue": {"directory": queue}}}
        daemon = self.start(config)
        for _ in range(100):
            self.assertEqual(send(daemon.http, [otlp.span(os.urandom(16), error=True, attributes=[("text", "x" * 9000)])]), 200)
        until(lambda: daemon.metrics().sum("tailgate_export_durable_bytes") > 900_000, "all is kept")
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 5)  # though the backend is down: all is on disk
        data = os.path.join(queue, "data.mdb")
        os.truncate(data, os.path.getsize(data) - (32 << 10))
        check = subprocess.run([BINARY, "check", "--config", daemon.path], capture_output=True, text=True, timeout=60)
        self.assertEqual(check.returncode, 0)
        self.assertIn(f"{queue}: the durable queue is damaged: page", check.stderr)
        config["exporters"]["file"]["path"] = self.kept_path
        daemon = self.start(config)
        self.assertEqual(daemon.ready(), (200, "ready; a durable queue was damaged and set aside: see the log\n"))
        self.assertEqual(daemon.metrics().sum("tailgate_export_durable_damaged", exporter="file"), 1)
        until(lambda: len(self.kept()) >= 90, "what can be read is sent")
        self.assertIn("the durable queue was damaged", daemon.log())
        self.assertEqual(daemon.stop(), 0)

    def test_browsers(self):
        config = self.config()
        config["receivers"]["otlp"]["protocols"]["http"]["cors"] = {"allowed_origins": ["https://*.example.com"]}
        daemon = self.start(config)

        def answer(method, origin, body=None, headers=()):
            request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", body, {"Origin": origin, **dict(headers)}, method=method)
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, reply.headers.get("Access-Control-Allow-Origin")

        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        self.assertEqual(answer("OPTIONS", "https://shop.example.com", headers=asks), (204, "https://shop.example.com"))
        self.assertEqual(answer("OPTIONS", "https://evil.net", headers=asks), (204, None))
        body = otlp.json_request(os.urandom(16))
        self.assertEqual(answer("POST", "https://shop.example.com", body, {"Content-Type": "application/json"}), (200, "https://shop.example.com"))

    def ask(self, daemon, path):
        status, body = get(daemon.pages["web"], path)
        return status, json.loads(body)

    def test_explain(self):
        config = self.config(decision_wait="200ms")
        config["sampling"]["policies"].append(
            {"name": "some", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0.000001}})
        daemon = self.start(config)
        bad, good, orphan = os.urandom(16), os.urandom(16), os.urandom(16)
        child = otlp.span(bad, error=True)
        self.assertEqual(send(daemon.http, [otlp.span(bad), child, otlp.span(good), otlp.span(orphan, parent=b"abcdefgh")]), 200)
        status, answer = self.ask(daemon, f"/explain/{bad.hex()}")
        if answer["state"] == "open":
            self.assertEqual((status, answer["verdict"], answer["spans"]), (200, None, 2))
        until(lambda: daemon.metrics().sum("tailgate_buffer_spans") == 0, "all is decided")
        status, answer = self.ask(daemon, f"/explain/{bad.hex()}")
        self.assertEqual((status, answer["state"], answer["verdict"], answer["policy"]), (200, "decided", "sampled", "errors"))
        self.assertEqual((answer["spans"], answer["errors"], answer["close_reason"], answer["exporters"]), (2, 1, "timeout", ["file"]))
        votes = {vote["policy"]: vote for vote in answer["votes"]}
        self.assertEqual(votes["errors"]["vote"], "sampled")
        self.assertEqual(votes["errors"]["attribute"], "status.code")
        self.assertIn(bytes.fromhex(votes["errors"]["span_id"]), child)
        self.assertEqual(votes["errors"]["why"], "a span with status ERROR")
        self.assertEqual(votes["some"]["vote"], "not_sampled")
        self.assertRegex(votes["some"]["why"], r"^chance 0\.\d+, wanted < 0\.00000001$")
        self.assertRegex(answer["decided"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ$")
        self.assertEqual(answer["threshold"], "0")
        self.assertEqual(answer["random"], bad.hex()[18:])
        answer = self.ask(daemon, f"/explain/{good.hex()}")[1]
        self.assertEqual((answer["verdict"], answer["policy"], answer["complete"]), ("not_sampled", None, True))
        answer = self.ask(daemon, f"/explain/{orphan.hex()}")[1]
        self.assertEqual((answer["complete"], answer["missing_parents"], answer["root"]), (False, [b"abcdefgh".hex()], None))
        self.assertEqual(send(daemon.http, [otlp.span(good), otlp.span(good)]), 200)
        self.assertEqual(self.ask(daemon, f"/explain/{good.hex()}")[1]["late_spans"], 2)
        self.assertEqual(self.ask(daemon, f"/explain/{good.hex()}")[1]["late_errors"], 0)

        self.assertEqual([a["trace_id"] for a in self.ask(daemon, "/explain?policy=errors")[1]], [bad.hex()])
        self.assertEqual({a["trace_id"] for a in self.ask(daemon, "/explain?decision=not_sampled")[1]}, {good.hex(), orphan.hex()})
        self.assertEqual(len(self.ask(daemon, "/explain?limit=1")[1]), 1)
        root = self.ask(daemon, f"/explain/{bad.hex()}")[1]["root"]
        by_root = "/explain?" + urllib.parse.urlencode({"service": root["service"], "root": root["name"]})
        self.assertEqual({a["trace_id"] for a in self.ask(daemon, by_root)[1]}, {bad.hex(), good.hex()})
        self.assertEqual(self.ask(daemon, "/explain?service=nobody")[1], [])
        self.assertIn("errors, some", self.ask(daemon, "/explain?policy=nobody")[1]["error"])
        for path, code in ((f"/explain/{os.urandom(16).hex()}", 404), ("/explain/xyz", 400), (f"/explain/{'0' * 32}", 400),
                           ("/explain?decision=maybe", 400), ("/explain?policy=nobody", 400), ("/explain?limit=0", 400), ("/explain?color=red", 400)):
            status, answer = self.ask(daemon, path)
            self.assertEqual(status, code, path)
            self.assertIn("error", answer)

    def test_debug_is_kept_unless_a_policy_drops_it(self):
        marked_path = os.path.join(self.directory.name, "marked.json")
        config = self.config(decision_wait="200ms", record_policy=True)
        config["sampling"]["policies"].append({"name": "health", "type": "drop", "drop": {"drop_sub_policy": [
            {"name": "path", "type": "string_attribute", "string_attribute": {"key": "http.path", "values": ["/health"]}}]}})
        config["receivers"]["zipkin"] = {"endpoint": "127.0.0.1:0"}
        config["exporters"]["file/marked"] = {"path": marked_path, "policies": ["_debug"]}
        daemon = self.start(config)
        wanted, health, plain, failed = (os.urandom(16).hex() for _ in range(4))

        def span(trace_id, path, **more):
            return {"traceId": trace_id, "id": os.urandom(8).hex(), "name": "get", "timestamp": 1, "duration": 1,
                    "tags": {"http.path": path, **more.pop("tags", {})}, **more}

        body = json.dumps([span(wanted, "/pay", debug=True), span(health, "/health", debug=True), span(plain, "/pay"),
                           span(failed, "/pay", tags={"error": "", "otel.scope.name": "sdk"}, debug=True)]).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/api/v2/spans", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.assertEqual(answer.status, 202)
        until(lambda: daemon.metrics().sum("tailgate_buffer_spans") == 0, "all is decided")
        explained = {name: self.ask(daemon, f"/explain/{trace_id}")[1] for name, trace_id in
                     (("wanted", wanted), ("health", health), ("plain", plain), ("failed", failed))}
        self.assertEqual({name: (e["verdict"], e["policy"]) for name, e in explained.items()}, {
            "wanted": ("sampled", "_debug"), "health": ("dropped", "health"), "plain": ("not_sampled", None),
            "failed": ("sampled", "errors")})
        self.assertEqual((explained["wanted"]["threshold"], sorted(explained["wanted"]["exporters"])), ("0", ["file", "file/marked"]))
        metrics = daemon.metrics()
        self.assertEqual(metrics.sum("tailgate_policy_kept_traces_total", policy="_debug"), 1)
        self.assertEqual(metrics.sum("tailgate_spans_dropped_total"), 1)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(set(self.kept()), {wanted, failed})
        with open(marked_path) as marked:
            text = marked.read()
        self.assertIn('{"key":"tailgate.policy","value":{"stringValue":"_debug"}}', text)
        self.assertNotIn(failed, text)

    def test_own_traces_never_loop(self):
        """A backend that refuses everything, own spans too: one own span for each batch of kept traces, and no more."""
        bodies = []

        class Refuses(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
        self.addCleanup(backend.server_close)
        self.addCleanup(backend.shutdown)
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        own_path = os.path.join(self.directory.name, "own.json")
        config = self.config(decision_wait="100ms")
        config["exporters"]["otlphttp"] = {"endpoint": f"http://127.0.0.1:{backend.server_port}", "compression": "none"}
        config["exporters"]["file/own"] = {"path": own_path, "policies": ["_own"]}
        config["telemetry"]["traces"] = {"exporters": ["otlphttp", "file/own"]}
        daemon = self.start(config)
        own = lambda: daemon.metrics().sum("tailgate_own_spans_total", result="queued")  # noqa: E731
        for count in range(1, 4):
            self.assertEqual(send(daemon.http, [otlp.span(os.urandom(16), error=True)]), 200)
            until(lambda: own() == count, f"{count} failed batches are own spans")
            until(lambda: len(bodies) == 2 * count, "the backend has refused the trace and the own span")
        self.written({**config, "sampling": {**config["sampling"], "policies": [{"name": "x", "type": "hush"}]}})
        until(lambda: own() == 4, "the failed reload is an own span")
        failed = lambda: daemon.metrics().sum("tailgate_export_failed_spans_total", exporter="otlphttp")  # noqa: E731
        until(lambda: failed() == 7, "the backend has refused the own span of the reload too")
        metrics = daemon.metrics()
        self.assertEqual((own(), len(bodies)), (4, 7))
        with open(own_path) as file:
            reloads = [line for line in file if '"reload"' in line]
        self.assertEqual(len(reloads), 1)
        self.assertIn("see the log", reloads[0])
        self.assertNotIn("hush", reloads[0])
        metrics.check_law()
        self.assertEqual(metrics.sum("tailgate_spans_received_total"), 3)
        self.assertEqual(metrics.sum("tailgate_spans_forwarded_total"), 3)
        self.assertEqual(metrics.sum("tailgate_export_failed_spans_total", exporter="otlphttp"), 7)
        self.assertEqual(daemon.stop(), 0)
        with open(own_path) as lines:
            spans = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]
        self.assertEqual([s["name"] for s in spans], ["export"] * 3 + ["reload"])
        self.assertEqual([s["status"]["code"] for s in spans], [2] * 4)
        self.assertIn({"key": "tailgate.exporter", "value": {"stringValue": "otlphttp"}}, spans[0]["attributes"])
        self.assertEqual(len(self.kept()), 3)

        config["telemetry"]["traces"] = {"exporters": ["otlp/none"], "spans_per_minute": 0}
        errors = tailgate("check", "--config", self.written(config, "bad.yaml")).stderr
        self.assertIn("telemetry.traces.exporters[0]: expected the name of an exporter, got 'otlp/none'", errors)
        self.assertIn("telemetry.traces.spans_per_minute", errors)

    def test_shadow(self):
        config = self.config(decision_wait="100ms", shadow_policies=[
            {"name": "all", "type": "always_sample"},
            {"name": "long", "type": "span_count", "span_count": {"min_spans": 3}}])
        daemon = self.start(config)
        bad, long = os.urandom(16), os.urandom(16)
        self.assertEqual(send(daemon.http, [otlp.span(bad, error=True)] + [otlp.span(long) for _ in range(3)]), 200)
        until(lambda: daemon.metrics().sum("tailgate_buffer_spans") == 0, "all is decided")
        report = self.ask(daemon, "/shadow")[1]
        rows = {row.pop("name"): row for row in report["policies"]}
        self.assertEqual((rows["all"]["kept_traces"], rows["all"]["would_add"], rows["all"]["would_lose"]), (2, 1, 0))
        self.assertEqual((rows["long"]["would_add"], rows["long"]["would_lose"], rows["long"]["lost_errors"]), (1, 1, [bad.hex()]))
        self.assertEqual((report["live"]["traces"], report["live"]["kept_traces"]), (2, 1))
        self.assertEqual(daemon.metrics().sum("tailgate_shadow_flips_total", policy="long", flip="lose"), 1)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(set(self.kept()), {bad.hex()})

    def test_a_thousand_reloads_lose_nothing(self):
        """Policy files change all the time, good and bad; every trace is kept by the one or the other set, whole."""
        policies = os.path.join(self.directory.name, "policies.yaml")
        sets = ('policies: [{name: even, type: always_sample}]', 'policies: [{name: odd, type: span_count, span_count: {min_spans: 1}}]',
                'policies: [{name: bad, type: no_such_type}]')

        def write(text):
            with open(policies + ".new", "w") as out:
                out.write(text)
            os.replace(policies + ".new", policies)

        write(sets[0])
        config = self.config(decision_wait="50ms", record_policy=True, policy_files=[policies])
        config["sampling"]["policies"] = []
        daemon = self.start(config)
        traces, refused, done = [], [], threading.Event()

        def load():
            while not done.is_set():
                trace = os.urandom(16)
                for _ in range(3):  # a trace's spans come under several sets
                    if send(daemon.http, [otlp.span(trace)]) != 200:
                        refused.append(trace)
                traces.append(trace)

        sender = threading.Thread(target=load)
        sender.start()
        try:
            for reloads in range(1, 1001):
                write(sets[reloads % 3])
                daemon.signal(signal.SIGHUP)
                if reloads % 5 == 0:
                    until(lambda: daemon.metrics().sum("tailgate_config_reloads_total") >= reloads / 5, "reloads are counted", every=0.001)
                else:
                    time.sleep(0.001)
            until(lambda: daemon.metrics().sum("tailgate_config_reloads_total") >= 1000 or daemon.signal(signal.SIGHUP),
                  "signals that met others on their way are made up for", every=0.002)
        finally:
            done.set()
            sender.join()
        self.assertEqual(refused, [])
        metrics = daemon.metrics()
        metrics.check_law()
        self.assertGreaterEqual(metrics.sum("tailgate_config_reloads_total"), 1000)
        self.assertGreater(metrics.sum("tailgate_config_reloads_total", result="success"), 300)
        self.assertGreater(metrics.sum("tailgate_config_reloads_total", result="failure"), 100)
        until(lambda: daemon.metrics().sum("tailgate_buffer_spans") == 0, "all is decided")
        votes = daemon.metrics()
        # Judged by one set: one of the two policies voted on each trace, and it kept it.
        self.assertEqual(votes.sum("tailgate_policy_votes_total", decision="sampled"), len(traces))
        self.assertEqual(votes.sum("tailgate_policy_votes_total", decision="not_sampled"), 0)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.kept(), {trace.hex(): 3 for trace in traces})


if __name__ == "__main__":
    unittest.main()
