#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may send, and how much: the built binary with credentials and limits of one client. auth_test.py TAILGATE"""

import base64
import http.client
import json
import os
import socket
import sys
import tempfile
import unittest
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the module goes with Python 3.13; Debian bookworm has 3.11
    import crypt

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import h2_frames as h2  # noqa: E402
import otlp_bytes as otlp  # noqa: E402
from tailgate_process import Daemon, basic_config, get, until  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))
TOKEN, SECOND, PASSWORD = "first-token-0123456789", "second-token-0123456789", "open sesame, please"
BASIC = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
WRONG = "Bearer wrong-token-0123456789"
JAEGER = "/jaeger.api_v2.CollectorService/PostSpans"
CAPABILITIES = "/jaeger.storage.v2.Capabilities/GetCapabilities"


def post(port, path, body=b"", kind="application/x-protobuf", authorization=None, source="127.0.0.1", **headers):
    """(status, headers) of a POST."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    try:
        more = {"Authorization": authorization} if authorization else {}
        connection.request("POST", path, body, {"Content-Type": kind, **more, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        connection.close()


def grpc(port, body, authorization=None, path=h2.TRACE_SERVICE):
    connection = h2.Connection(port)
    try:
        connection.wait_settings()
        headers = [("authorization", authorization)] if authorization else []
        return connection.call(h2.grpc_message(body), *headers, path=path)
    finally:
        connection.close()


def spans(count):
    return otlp.request([otlp.span(os.urandom(16)) for _ in range(count)])


class AuthTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def written(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w") as out:
            out.write(text)
        os.rename(path + ".new", path)
        return path

    def config(self):
        return basic_config([{"name": "all", "type": "always_sample"}],
                            {"file": {"path": os.path.join(self.directory, "kept.json")}})

    def start(self, config):
        daemon = Daemon(BINARY, self.directory, config)
        self.addCleanup(daemon.kill)
        return daemon

    def with_auth(self, host="127.0.0.1"):
        hashed = crypt.crypt(PASSWORD, "$2b$05$abcdefghijklmnopqrstuu")
        auth = {"bearer_tokens_file": self.written("tokens", f"billing: {TOKEN}\n{SECOND}\n"),
                "htpasswd_file": self.written("users", f"alice:{hashed}\n"), "reload_interval": "50ms"}
        end = {"endpoint": f"{host}:0", "auth": auth}
        config = self.config()
        config["receivers"] = {"otlp": {"protocols": {"grpc": end, "http": {**end, "cors": {"allowed_origins": ["*"]}}}},
                               "jaeger": {"protocols": {"grpc": end, "thrift_http": end}}, "zipkin": end}
        config["telemetry"]["metrics"]["auth"] = auth
        config["web"]["auth"] = auth
        config["telemetry"]["logs"] = {"level": "debug"}
        return config, hashed

    def test_every_door_wants_credentials(self):
        config, hashed = self.with_auth()
        daemon = self.start(config)
        otlp_grpc, otlp_http, jaeger_grpc, jaeger_http, zipkin = (port for _, _, port in daemon.receivers)
        for port in (otlp_grpc, jaeger_grpc, daemon.pages["web"]):  # probes have no credentials
            self.assertEqual(grpc(port, b"", path="/grpc.health.v1.Health/Check"), 0)
            self.assertEqual(grpc(port, b"", WRONG, "/grpc.health.v1.Health/Check"), 0)
        for authorization, expected in ((None, 16), (WRONG, 16), (f"Bearer {TOKEN}", 0), (BASIC, 0), (f"bearer {SECOND}", 0)):
            self.assertEqual(grpc(otlp_grpc, spans(1), authorization), expected)
            self.assertEqual(grpc(jaeger_grpc, b"", authorization, JAEGER), expected)
            code = 401 if expected else 200
            status, headers = post(otlp_http, "/v1/traces", spans(1), authorization=authorization)
            self.assertEqual(status, code)
            if expected:
                self.assertEqual(headers["WWW-Authenticate"], 'Bearer realm="tailgate", Basic realm="tailgate"')
            self.assertEqual(post(jaeger_http, "/api/traces", b"\0", "application/x-thrift", authorization)[0],
                             401 if expected else 202)
            self.assertEqual(post(zipkin, "/api/v2/spans", b"[]", "application/json", authorization)[0],
                             401 if expected else 202)
            self.assertEqual(grpc(daemon.pages["web"], b"", authorization, CAPABILITIES), expected)
            for page, path in (("metrics", "/metrics"), ("web", "/explain"), ("web", "/jaeger/api/services")):
                connection = http.client.HTTPConnection("127.0.0.1", daemon.pages[page], timeout=10)
                connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
                # There is no store here, which only those with credentials are told.
                wanted = 503 if path.startswith("/jaeger") and code == 200 else code
                self.assertEqual(connection.getresponse().status, wanted)
                connection.close()
        # A page of another origin asks without credentials, and is told 401 in a way it may read.
        connection = http.client.HTTPConnection("127.0.0.1", otlp_http, timeout=10)
        connection.request("OPTIONS", "/v1/traces", headers={
            "Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
        self.assertEqual(connection.getresponse().status, 204)
        connection.close()
        status, headers = post(otlp_http, "/v1/traces", spans(1), Origin="https://a.example")
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (401, "*"))
        self.assertEqual(get(daemon.pages["health"], "/health")[0], 200)
        # Tokens change without a restart.
        self.written("tokens", "another-token-0123456789\n")
        until(lambda: grpc(otlp_grpc, spans(1), f"Bearer {TOKEN}") == 16, "the old token is gone")
        self.assertEqual(grpc(otlp_grpc, spans(1), "Bearer another-token-0123456789"), 0)
        self.written("tokens", f"{TOKEN} trailing\n")
        until(lambda: "not used" in daemon.log(), "the broken file is said")
        self.assertEqual(daemon.stop(), 0)
        for secret in (TOKEN, SECOND, WRONG[7:], "another-token", PASSWORD, BASIC[6:], hashed):
            self.assertNotIn(secret, daemon.log())

    def test_ready_tells_strangers_nothing_of_the_configuration(self):
        config = self.config()
        daemon = self.start(config)
        config["sampling"]["policies"] = [{"name": "all", "type": "s3cret"}]
        config["sampling"]["decision_wait"] = "9s"
        self.written(os.path.basename(daemon.path), json.dumps(config))
        until(lambda: daemon.ready() == (200, "ready; the last change of policies was not loaded: see the log\n"),
              "the failed reload is said")
        self.assertIn("s3cret", daemon.log())
        config["sampling"]["policies"] = [{"name": "all", "type": "always_sample"}]
        self.written(os.path.basename(daemon.path), json.dumps(config))
        until(lambda: daemon.ready() == (200, "ready; a changed key needs a restart: see the log\n"), "the restart is said")

    def test_refusals_are_counted_by_reason(self):
        config, _ = self.with_auth()
        del config["telemetry"]["metrics"]["auth"]
        daemon = self.start(config)
        daemon.metrics()  # has every counter that the next one has
        for authorization in (None, None, WRONG):
            grpc(daemon.grpc, spans(1), authorization)
        reasons = daemon.metrics().by("tailgate_requests_refused_total", "reason")
        self.assertEqual((reasons["no_credentials"], reasons["bad_credentials"]), (2, 1))

    def test_refusals_of_pages_are_counted_too(self):
        config, _ = self.with_auth()
        del config["telemetry"]["metrics"]["auth"]
        daemon = self.start(config)
        web, health = daemon.pages["web"], daemon.pages["health"]
        daemon.metrics()
        for authorization in (None, WRONG, WRONG, f"Bearer {TOKEN}"):
            connection = http.client.HTTPConnection("127.0.0.1", web, timeout=10)
            connection.request("GET", "/explain", headers={"Authorization": authorization} if authorization else {})
            connection.getresponse().read()
            connection.close()
        self.assertEqual(get(health, "/explain")[0], 404)
        self.assertEqual(post(health, "/health")[0], 405)
        refused = {(labels["page"], labels["reason"]): value for name, labels, value in daemon.metrics().samples
                   if name == "tailgate_page_requests_refused_total" and value}
        self.assertEqual(refused, {("web", "no_credentials"): 1, ("web", "bad_credentials"): 2,
                                   ("health", "unsupported"): 2})

    def test_connections_of_pages_are_limited_and_counted(self):
        config, _ = self.with_auth()
        del config["telemetry"]["metrics"]["auth"]
        config["web"]["limits"] = {"connections": 2}
        daemon = self.start(config)
        at = ("127.0.0.1", daemon.pages["web"])
        with socket.create_connection(at), socket.create_connection(at), socket.create_connection(at, 10) as third:
            self.assertEqual(third.recv(1), b"")
            metrics = daemon.metrics()
            self.assertEqual(metrics.by("tailgate_page_connections", "page")["web"], 2)
            closed = {(labels["page"], labels["reason"]): value for name, labels, value in metrics.samples
                      if name == "tailgate_page_connections_closed_total" and value}
            self.assertEqual(closed, {("web", "connections"): 1})

    def test_who_listens_to_strangers_in_plaintext_is_warned(self):
        config, _ = self.with_auth("0.0.0.0")
        config["receivers"]["otlp"]["protocols"]["grpc"] = {"endpoint": "0.0.0.0:0"}
        config["receivers"]["jaeger"]["protocols"]["grpc"] = {"endpoint": "localhost:0"}
        config["receivers"]["jaeger"]["protocols"]["thrift_compact"] = {"endpoint": "0.0.0.0:0"}
        for page in ("metrics", "health"):
            config["telemetry"][page]["endpoint"] = "0.0.0.0:0"
        del config["telemetry"]["metrics"]["auth"]
        log = self.start(config).log()
        warned = [line for line in log.splitlines() if " warn " in line and "listens on" in line]
        self.assertEqual(len(warned), 7, log)
        self.assertTrue(any("set telemetry.metrics.tls and telemetry.metrics.auth" in line for line in warned), log)
        self.assertTrue(any("set telemetry.health.tls, or an address only probes reach" in line for line in warned), log)
        self.assertTrue(any("set receivers.otlp.protocols.grpc.tls and receivers.otlp.protocols.grpc.auth" in line
                            for line in warned), log)
        self.assertTrue(any("credentials can be read" in line and "set receivers.zipkin.tls" in line for line in warned))
        self.assertTrue(any("set receivers.jaeger.protocols.thrift_compact.endpoint" in line for line in warned))

    def test_nothing_is_warned_of_on_loopback(self):
        log = self.start(self.config()).log()
        self.assertNotIn("listens on", log)

    def test_one_that_floods_is_refused_and_others_are_served(self):
        config = self.config()
        config["receivers"]["otlp"]["limits"] = {"client_spans_per_second": 1000}
        config["receivers"]["zipkin"] = {"endpoint": "127.0.0.1:0", "limits": {"client_bytes_per_second": "1KiB"}}
        daemon = self.start(config)
        _, otlp_http, zipkin = (port for _, _, port in daemon.receivers)
        daemon.metrics()
        flood = [post(otlp_http, "/v1/traces", spans(2000), source="127.0.0.2") for _ in range(20)]
        self.assertEqual(flood[0][0], 200)
        refused = [headers for status, headers in flood if status == 429]
        self.assertGreater(len(refused), 10)
        self.assertTrue(all(1 <= int(headers["Retry-After"]) <= 30 for headers in refused))
        self.assertEqual(post(otlp_http, "/v1/traces", spans(10), source="127.0.0.3")[0], 200)
        self.assertEqual(grpc(daemon.grpc, spans(10)), 0)  # the other endpoint has accounts of its own
        self.assertEqual(post(zipkin, "/api/v2/spans", b"[" + b" " * 9000 + b"]", "application/json")[0], 202)
        self.assertEqual(post(zipkin, "/api/v2/spans", b"[]", "application/json")[0], 429)
        metrics = daemon.metrics()
        metrics.check_law()
        by_reason = metrics.by("tailgate_spans_refused_total", "reason")
        self.assertGreaterEqual(by_reason["client_spans"], 2000)
        requests = metrics.by("tailgate_requests_refused_total", "reason")
        self.assertEqual((requests["client_spans"], requests["client_bytes"]), (len(refused), 1))

    def test_identities_have_limits_of_their_own(self):
        config, _ = self.with_auth()
        config["receivers"]["otlp"]["limits"] = {"client_spans_per_second": 100}
        daemon = self.start(config)
        self.assertEqual(grpc(daemon.grpc, spans(3000), f"Bearer {TOKEN}"), 0)
        self.assertEqual(grpc(daemon.grpc, spans(1), f"Bearer {TOKEN}"), 14)
        self.assertEqual(grpc(daemon.grpc, spans(1), f"Bearer {SECOND}"), 0)
        self.assertEqual(grpc(daemon.grpc, spans(1), BASIC), 0)

    def test_what_was_configured_wrong_is_said_without_the_secret(self):
        cases = {"authenticator": ({"authenticator": "s3cret"}, "there are no extensions"),
                 "inline": ({"bearer_tokens_file": self.written("t", TOKEN), "token": "s3cret"}, "expected a known key"),
                 "empty": ({}, "expected bearer_tokens_file"),
                 "missing": ({"htpasswd_file": "/nowhere/users"}, "cannot read /nowhere/users"),
                 "plain": ({"htpasswd_file": self.written("u", "alice:s3cret\n")}, "line 1: expected a bcrypt hash")}
        for name, (auth, want) in cases.items():
            with self.subTest(name):
                config = self.config()
                config["receivers"]["otlp"]["protocols"]["grpc"]["auth"] = auth
                daemon = Daemon(BINARY, self.directory, config, ready=False)
                self.assertEqual(daemon.wait(), 1)
                self.assertIn(want, daemon.log())
                self.assertNotIn("s3cret", daemon.log())
                self.assertNotIn(TOKEN, daemon.log())

    def test_a_traceparent_is_logged_at_debug_only(self):
        parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
        config = self.config()
        quiet = self.start(config)
        post(quiet.http, "/v1/traces", spans(1), traceparent=parent)
        self.assertEqual(quiet.stop(), 0)
        self.assertNotIn("traceparent", quiet.log())
        config["telemetry"]["logs"] = {"level": "debug"}
        loud = self.start(config)
        post(loud.http, "/v1/traces", spans(1), traceparent=parent)
        post(loud.http, "/v1/traces", spans(1), traceparent="x" * 55)
        until(lambda: f"traceparent={parent}" in loud.log() and "traceparent=malformed" in loud.log(), "both are logged")

    def test_a_traceparent_is_logged_once_though_its_request_waits(self):
        parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
        config = self.config()
        users = self.written("users", f"alice:{crypt.crypt(PASSWORD, '$2b$12$abcdefghijklmnopqrstuu')}\n")  # 0.2 s
        config["receivers"]["otlp"]["protocols"]["http"].update(auth={"htpasswd_file": users})
        config["telemetry"]["logs"] = {"level": "debug"}
        daemon = self.start(config)
        self.assertEqual(post(daemon.http, "/v1/traces", spans(1), authorization=BASIC, traceparent=parent)[0], 200)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.log().count(f"traceparent={parent}"), 1)


if __name__ == "__main__":
    unittest.main()
