# SPDX-License-Identifier: Apache-2.0
"""deploy/ read by the types of Kubernetes and by compose's own loader, as those who apply it read it."""

import glob
import os
import subprocess
import tempfile

from tailgate_process import expect
from tools import run, text_of

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")


def test_manifests(tools, *_):
    reader = tools.go("manifests")
    kubernetes = sorted(glob.glob(os.path.join(DEPLOY, "kubernetes", "*.yaml")))
    compose = os.path.join(DEPLOY, "compose", "compose.yaml")
    found = run([reader, *kubernetes, compose]).split("\n")
    for wanted in ("apps/v1 StatefulSet", "apps/v1 Deployment", "policy/v1 PodDisruptionBudget", "compose grafana jaeger jaeger-query prometheus tailgate tempo"):
        expect(wanted in found, f"want {wanted} among {found}")

    # And a field nobody knows is seen.
    for path, line, wrong in ((kubernetes[0], "  replicas:", "  replica:"), (compose, "    ports:", "    port:")):
        text = text_of(path)
        expect(line in text, f"want '{line}' in {path}")
        with tempfile.TemporaryDirectory() as directory:
            broken = os.path.join(directory, os.path.basename(path))
            with open(broken, "w") as out:
                out.write(text.replace(line, wrong, 1))
            done = subprocess.run([reader, broken], capture_output=True, text=True)
            expect(done.returncode == 1 and wrong.strip(" :") in done.stderr, f"{broken}: {done.stderr}")
