# SPDX-License-Identifier: Apache-2.0
"""The files of config/ as they ship, but for their ports and waits, in front of real backends."""

import contextlib
import json
import os
import time
import urllib.request

import otlp_bytes as otlp
from harness import explained, settled, shipped
from jaeger import Jaeger
from sdk import POLICIES, clients
from servers import Tempo
from spans import expect_same
from tailgate_process import expect, until
from tools import say

OURS = "tailgate."
PAY = [("deployment.environment", "prod"), ("http.route", "/pay/card/new")]
PLAIN = 1000  # of which the baseline keeps 1 %
EXPORTERS = ["otlp/tempo", "otlp/jaeger", "otlphttp/baseline", "otlp/payments"]


def policy_of(spans):
    """Takes out what `record_policy` put on the root span; the policy."""
    root, = (s for s in spans if any(key.startswith(OURS) for key in s["attributes"]))
    expect(root["parentSpanId"] == "", f"{OURS}policy is on span {root['name']!r}, not on the root")
    policy = root["attributes"]["tailgate.policy"][1]
    root["attributes"] = {key: value for key, value in root["attributes"].items() if not key.startswith(OURS)}
    return policy


def send_by_sdk(tools, daemon, exporter, which):
    """What these clients of sdk.py sent: {trace id: (spans, policy)} of the kept ones, ids of the others. All are sent on."""
    kept, dropped = {}, []
    for client in clients(tools, daemon)[which]:
        sent = client.send()
        dropped += sent["drop"]
        kept.update(sent["keep"])
    metrics = settled(daemon, exporter)
    spans = sum(len(spans) for spans in kept.values())
    expect(metrics.sum("tailgate_export_spans_total", exporter=exporter) == spans, "not all was sent")
    return {trace_id: (spans, explained(daemon, trace_id)["policy"]) for trace_id, spans in kept.items()}, dropped


def post(daemon, spans, service):
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", otlp.request(spans, service),
                                     {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        expect(answer.status == 200, f"the daemon says {answer.status}")


def send(daemon, service, count=1, duration_ms=1, error=False, attributes=()):
    """Traces of two spans; their ids."""
    ids, spans, end = [os.urandom(16) for _ in range(count)], [], time.time_ns()
    for trace_id in ids:
        root = os.urandom(8)
        start = end - duration_ms * 1_000_000
        spans += [otlp.span(trace_id, "root", b"", start, end, False, attributes, root),
                  otlp.span(trace_id, "child", root, start, end, error)]
    post(daemon, spans, service)
    return [trace_id.hex() for trace_id in ids]


def test_to_jaeger(tools, binary, directory):
    with Jaeger(tools.jaeger(), directory) as jaeger:
        os.environ["TAILGATE_JAEGER"] = f"127.0.0.1:{jaeger.grpc}"
        with shipped("to-jaeger.yaml", binary, directory, [
                "sampling.decision_wait=5s", "sampling.decision_wait_after_root_received=1s",
                f"sampling.policies={json.dumps(POLICIES)}"]) as daemon:
            kept, dropped = send_by_sdk(tools, daemon, "otlp/jaeger", slice(0, 1))
            for trace_id, (spans, policy) in kept.items():
                until(lambda: len(jaeger.trace_v3(trace_id) or []) >= len(spans), f"trace {trace_id} is in Jaeger", 60, 0.1)
                have = jaeger.trace_v3(trace_id)
                expect(policy_of(have) == policy, f"trace {trace_id} says another policy than {policy}")
                expect_same(trace_id, spans, have, "to-jaeger.yaml", True)
            for trace_id in dropped:
                expect(jaeger.trace_v3(trace_id) is None, f"trace {trace_id} is in Jaeger")
            expect(daemon.stop() == 0, "the daemon did not end with 0")
    say(f"  {len(kept)} traces whole, with the policy that kept them; {len(dropped)} absent")


def test_gateway(tools, binary, directory):
    """Two sidecars and a gateway: a trace through both is judged as one; what the gateway kept survives its end by SIGKILL."""
    with contextlib.ExitStack() as stack:
        jaeger = stack.enter_context(Jaeger(tools.jaeger(), directory))
        os.environ.update({"TAILGATE_BACKEND": f"127.0.0.1:{jaeger.grpc}", "TAILGATE_DATA": directory, "TAILGATE_MEMORY_LIMIT": "512MiB"})
        quick = ["exporters.otlp.retry_on_failure={initial_interval: 200ms, max_interval: 1s}"]
        no_chance = "sampling.policies.3.probabilistic.sampling_percentage=0"
        gateway = stack.enter_context(shipped("gateway.yaml", binary, directory, [*quick, no_chance]))
        os.environ["TAILGATE_GATEWAY"] = f"127.0.0.1:{gateway.grpc}"
        front, back = (stack.enter_context(shipped("sidecar.yaml", binary, directory, quick)) for _ in range(2))

        def through_both(error=False, route="/pay"):
            trace_id, root, now = os.urandom(16), os.urandom(8), time.time_ns()
            post(back, [otlp.span(trace_id, "query", root, now - 3_000_000, now, error)], "back")
            post(front, [otlp.span(trace_id, "page", b"", now - 5_000_000, now, attributes=[("http.route", route)], span_id=root)], "front")
            return trace_id.hex()

        def sent_on(daemon):
            return daemon.metrics().sum("tailgate_export_spans_total")

        failed, fine, health = through_both(error=True), through_both(), through_both(route="/health")
        until(lambda: sent_on(front) + sent_on(back) == 5, "the sidecars send all but the health check's page", 60)
        metrics = until(lambda: (lambda m: m.sum("tailgate_traces_decided_total") == 3 and m)(gateway.metrics()), "three verdicts", 60)
        metrics.check_law()
        until(lambda: len(jaeger.trace_v3(failed) or []) == 2, "the trace with an error is whole in Jaeger", 60, 0.1)
        settled(gateway, "otlp")
        for trace_id in (fine, health):
            expect(jaeger.trace_v3(trace_id) is None, f"trace {trace_id} is in Jaeger")

        jaeger.stop()
        waiting = through_both(error=True)
        # Written five times a second; the promise is for what was decided a second ago.
        until(lambda: gateway.metrics().sum("tailgate_export_oldest_seconds") > 1, "the next is kept, for a second", 60)
        gateway.kill()
        jaeger.start()
        gateway = stack.enter_context(shipped("gateway.yaml", binary, directory, quick))
        until(lambda: len(jaeger.trace_v3(waiting) or []) == 2, "the trace from disk is whole in Jaeger", 60, 0.1)
        expect([daemon.stop() for daemon in (front, back, gateway)] == [0, 0, 0], "not all ended with 0")
    say("  a trace through two sidecars judged as one; one more survived SIGKILL of the gateway")


def test_fan_out(tools, binary, directory):
    with contextlib.ExitStack() as stack:
        tempo = stack.enter_context(Tempo(tools, directory))
        jaegers = []
        for name in ("jaeger", "baseline", "payments"):
            home = os.path.join(directory, name)
            os.mkdir(home)
            jaegers.append(stack.enter_context(Jaeger(tools.jaeger(), home)))
        jaeger, baseline, payments = jaegers
        os.environ.update({"TAILGATE_TEMPO": f"127.0.0.1:{tempo.grpc}", "TAILGATE_JAEGER": f"127.0.0.1:{jaeger.grpc}",
                           "TAILGATE_BASELINE": f"http://127.0.0.1:{baseline.http}", "TAILGATE_PAYMENTS": f"127.0.0.1:{payments.grpc}",
                           "TAILGATE_DATA": directory})
        has = dict(zip(EXPORTERS, (tempo.trace, jaeger.trace_v3, baseline.trace_v3, payments.trace_v3)))
        daemon = stack.enter_context(shipped("fan-out.yaml", binary, directory, [
            "sampling.decision_wait=5s", "sampling.decision_wait_after_root_received=1s",
            "exporters.otlp/tempo.retry_on_failure={initial_interval: 200ms, max_interval: 1s}"]))

        wanted = {}  # trace id: exporters
        for ids, to in ((send(daemon, "shop-cart", error=True), ["otlp/tempo", "otlp/jaeger"]),
                        (send(daemon, "billing", error=True), ["otlp/tempo"]),
                        (send(daemon, "shop-cart", duration_ms=2000), ["otlp/tempo"]),
                        (send(daemon, "checkout", error=True, attributes=PAY), ["otlp/tempo", "otlp/jaeger", "otlp/payments"]),
                        (send(daemon, "billing", duration_ms=2000, attributes=PAY), ["otlp/tempo", "otlp/payments"]),
                        (send(daemon, "billing", duration_ms=2000, attributes=PAY[1:]), ["otlp/tempo"]),
                        (send(daemon, "billing", PLAIN), [])):
            wanted.update((trace_id, set(to)) for trace_id in ids)
        for exporter in EXPORTERS:
            settled(daemon, exporter)
        by_chance = 0
        for trace_id, to in wanted.items():  # the trace id alone decides, whatever else there is to it
            why = explained(daemon, trace_id)
            if any(vote["policy"] == "baseline" and vote["vote"] == "sampled" for vote in why["votes"]):
                to.add("otlphttp/baseline")
                by_chance += 1
            expect(set(why["exporters"]) == to, f"/explain gives trace {trace_id} to {why['exporters']}, want {to}")
        expect(0 < by_chance < PLAIN / 20, f"{by_chance} of {PLAIN} traces are kept by chance")
        for exporter, trace_in in has.items():
            for trace_id in (trace_id for trace_id, to in wanted.items() if exporter in to):
                until(lambda: trace_in(trace_id), f"trace {trace_id} is in {exporter}", 60, 0.1)
        others = [(i, exporter) for i, to in wanted.items() if to for exporter in has if exporter not in to]
        for trace_id, exporter in others:
            expect(has[exporter](trace_id) is None, f"trace {trace_id} is in {exporter}")
        say(f"  {sum(map(bool, wanted.values()))} traces in their backends and not in the others, {by_chance} of them by chance")

        tempo.stop()
        late, = send(daemon, "shop-cart", error=True)
        until(lambda: jaeger.trace_v3(late), "Jaeger has a trace that Tempo cannot take", 60, 0.1)
        until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter="otlp/tempo") > 0, "the exporter meets a dead Tempo")
        expect(daemon.metrics().sum("tailgate_export_durable_bytes", exporter="otlp/tempo") > 0, "nothing waits on disk for Tempo")
        tempo.start()
        until(lambda: tempo.trace(late), "Tempo gets the trace when it is back", 60, 0.1)
        expect(daemon.stop() == 0, "the daemon did not end with 0")
        say("  Tempo restarted: Jaeger did not wait for it, and it has what came meanwhile")
