# SPDX-License-Identifier: Apache-2.0
"""Configuration files: the one that ships, and a ConfigMap that changes under the daemon."""

import json
import os
import urllib.request

import otlp_bytes as otlp
from harness import QUICK, settled, shipped
from sdk import POLICIES, clients
from spans import expect_same, spans_of_otlp
from tailgate_process import Daemon, basic_config, expect, until
from tools import say

def test_default_config(tools, binary, directory):
    """config/tailgate.yaml as it is, but for its ports and waits: the file and the terminal."""
    with shipped("tailgate.yaml", binary, directory, QUICK) as daemon:
        client = clients(tools, daemon)[0]
        sent = client.send()
        settled(daemon, "file")
        kept = {}
        with open(os.path.join(directory, "kept-traces.json")) as lines:
            for line in lines:
                for trace_id, spans in spans_of_otlp(json.loads(line)).items():
                    kept.setdefault(trace_id, []).extend(spans)
        lines = daemon.out().splitlines()
        shown = {trace_id: next((line for line in lines if f" {trace_id} " in line), "") for trace_id in kept}
        for trace_id, spans in sent["keep"].items():
            expect(trace_id in kept, f"trace {trace_id} is not in kept-traces.json")
            expect_same(trace_id, spans, kept[trace_id], "kept-traces.json")
            expect(f"spans={len(spans)}" in shown[trace_id], f"the terminal does not show trace {trace_id}: {shown[trace_id]!r}")
        for trace_id in kept.keys() - sent["keep"].keys():  # 1 % of the rest
            expect(trace_id in sent["drop"] and "policy=baseline" in shown[trace_id], f"trace {trace_id} is kept: {shown[trace_id]!r}")
        expect(daemon.stop() == 0, "the daemon did not end with 0")
    say(f"  {len(kept)} traces in kept-traces.json and on the terminal")


def test_config_map(_, binary, directory):
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
        expect(status == 200 and "not loaded" in text, f"/ready says {status} {text!r}")
        expect("status_cod" in daemon.log() and "tailgate.yaml:1:" in daemon.log(), "the log does not say where")
        still = send(daemon)
        until(lambda: still in kept(), "the policies before stay in force")

        version(4, POLICIES[:1])
        until(lambda: reloads(daemon, "success") == 2, "the repaired ConfigMap is loaded")
        expect(daemon.ready() == (200, "ready\n"), f"/ready says {daemon.ready()}")
        expect(daemon.stop() == 0, "the daemon did not end with 0")
    say("  policies changed twice, an invalid file changed nothing")
