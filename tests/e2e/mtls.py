# SPDX-License-Identifier: Apache-2.0
"""The otlp and otlphttp exporters before servers that want client certificates: a real Jaeger, and a Tailgate as gateway."""

import json
import os

from certificates import Authority
from examples import send
from harness import settled
from jaeger import Jaeger
from sdk import POLICIES
from spans import spans_of_otlp
from tailgate_process import Daemon, basic_config, expect, until
from tools import say


def sender(binary, directory, exporter, endpoint, tls):
    settings = {"endpoint": endpoint, "tls": tls, "timeout": "3s", "sending_queue": {"directory": os.path.join(directory, f"queue-{exporter}")},
                "retry_on_failure": {"initial_interval": "200ms", "max_interval": "1s"}}
    config = basic_config(POLICIES, {exporter: settings}, decision_wait="1s", decision_wait_after_root_received="100ms")
    return Daemon(binary, directory, {**config, "shutdown_timeout": "1s"})


def check(tools, binary, directory, where, ports, trusted, strange, arrived):
    """What is wrong is said and waits on disk; put right, all of it arrives. `arrived()`: ids of the traces that are there."""
    pair = lambda authority: dict(zip(("cert_file", "key_file"), authority.issue(f"client-of-{authority.name}")))  # noqa: E731
    trust, ours, theirs = {"ca_file": trusted.ca}, pair(trusted), pair(strange)
    sent = set()
    for exporter, endpoint in (("otlp", f"127.0.0.1:{ports[0]}"), ("otlphttp", f"https://127.0.0.1:{ports[1]}")):
        for what, tls, said in (("no certificate", trust, "alert certificate required"),
                                ("a stranger's certificate", {**trust, **theirs}, "alert unknown ca"),
                                ("an unknown CA", {"ca_file": strange.ca, **ours}, "certificate verify failed"),
                                ("our certificate", {**trust, **ours}, None)):
            with sender(binary, directory, exporter, endpoint, tls) as daemon:
                sent.update(send(daemon, "shop", error=True))
                if said is None:
                    until(lambda: daemon.metrics().sum("tailgate_export_spans_total") > 0, f"{where}, {exporter}: spans are taken", 60)
                    settled(daemon, exporter)
                else:
                    until(lambda: daemon.metrics().sum("tailgate_export_failures_total") > 0, f"{where}, {exporter}, {what}: an attempt fails", 60)
                    # A connection may be reset before its alert is read; a later attempt reads it.
                    until(lambda: said in daemon.log(), f"{where}, {exporter}, {what}: the log says why", 60)
                expect(daemon.metrics().sum("tailgate_export_lost_spans_total") == 0, f"{where}, {exporter}, {what}: spans were lost")
                expect(daemon.stop() == 0, "the daemon did not end with 0")
                failed = [line.partition("detail=")[2] for line in daemon.log().splitlines() if "export failed" in line or "ended TLS" in line]
                strangers = [line for line in daemon.log().splitlines() if not line.startswith("20")]
            expect(not strangers, f"lines in the log that are not ours: {strangers}")
            if said is None:
                until(lambda: arrived() >= sent, f"{where}, {exporter}: all {len(sent)} traces have arrived", 60, 0.1)
                say(f"  {where}, {exporter}, {what}: all {len(sent)} traces so far have arrived")
            else:
                told = [line for line in failed if said in line]
                expect(told, f"{where}, {exporter}, {what}: the log says {failed}")
                expect(not arrived() - sent, "a trace nobody sent")
                say(f"  {where}, {exporter}, {what}: {told[0]}")


def test_mtls(tools, binary, directory):
    trusted, strange = Authority(tools, directory), Authority(tools, directory, "strange")
    tls = dict(zip(("cert_file", "key_file", "client_ca_file"), (*trusted.issue("server"), trusted.ca)))
    home = os.path.join(directory, "to-jaeger")
    os.mkdir(home)
    with Jaeger(tools.jaeger(), directory, tls=tls) as jaeger:
        check(tools, binary, home, "Jaeger", (jaeger.grpc, jaeger.http), trusted, strange, lambda: set(jaeger.traces_of("shop")))

    home, gateway_home = os.path.join(directory, "to-gateway"), os.path.join(directory, "gateway")
    os.mkdir(home)
    os.mkdir(gateway_home)
    kept = os.path.join(gateway_home, "kept.json")
    config = basic_config([{"name": "all", "type": "always_sample"}], {"file": {"path": kept}}, decision_wait="1s")
    for protocol in config["receivers"]["otlp"]["protocols"].values():
        protocol["tls"] = tls
    with Daemon(binary, gateway_home, config) as gateway:
        def arrived():
            with open(kept) as lines:
                return {trace_id for line in lines for trace_id in spans_of_otlp(json.loads(line))}

        check(tools, binary, home, "a gateway", (gateway.grpc, gateway.http), trusted, strange, arrived)
        expect(gateway.metrics().sum("tailgate_connections_closed_total", reason="tls") > 0, "no handshake counts as failed")
        expect(gateway.stop() == 0, "the gateway did not end with 0")
