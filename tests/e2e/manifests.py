# SPDX-License-Identifier: Apache-2.0
"""deploy/ read by the types of Kubernetes, by compose's own loader and by Helm's, as those who apply it read it."""

import glob
import os
import re
import subprocess
import tempfile
import textwrap

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


CHART = os.path.join(DEPLOY, "helm", "tailgate")
EXPORTER = 'config: {exporters: {otlp: {endpoint: "tempo:4317", tls: {insecure: true}}}}\n'
EVERYTHING = """
replicas: 3
cluster: {enabled: true}
config:
  receivers: {zipkin: {endpoint: "0.0.0.0:9411"}, jaeger: {protocols: {thrift_compact: {endpoint: "0.0.0.0:6831"}}}}
  exporters: {otlp/tempo: {endpoint: "tempo:4317", tls: {insecure: true}}}
  span_metrics: {}
  io_threads: null
env: [{name: TOKEN, value: x}]
extraVolumes: [{name: tls, secret: {secretName: tls}}]
extraVolumeMounts: [{name: tls, mountPath: /etc/tailgate-tls, readOnly: true}]
persistence: {storageClass: fast}
service: {type: LoadBalancer, annotations: {a: b}}
autoscaling: {enabled: true, maxReplicas: 6}
networkPolicy: {enabled: true, sendersFrom: [{namespaceSelector: {matchLabels: {team: shop}}}], metricsFrom: [{podSelector: {}}]}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
podLabels: {team: tracing}
podAnnotations: {note: x}
nodeSelector: {disk: ssd}
tolerations: [{operator: Exists}]
priorityClassName: high
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
"""
READS = """
replicas: 3
config:
  receivers:
    otlp: null
    kafka: {brokers: ["kafka:9092"], topic: otlp_spans, group: tailgate, instance_id: "${env:POD_NAME}"}
  exporters: {otlp/tempo: {endpoint: "tempo:4317", tls: {insecure: true}}}
networkPolicy: {enabled: true, sendersFrom: [{podSelector: {}}]}
"""


def test_helm(tools, tailgate, *_):
    """The chart, with few values and with all: Helm's linter and schema, Kubernetes' types, and `tailgate check`."""
    reader = tools.go("manifests")
    with tempfile.TemporaryDirectory() as directory:
        values, out, config = (os.path.join(directory, name) for name in ("values.yaml", "out.yaml", "tailgate.yaml"))

        def chart(text):
            with open(values, "w") as file:
                file.write(text)
            return subprocess.run([reader, "chart", CHART, values, out], capture_output=True, text=True)

        def rendered(text):
            done = chart(text)
            expect(done.returncode == 0, f"the chart with {text}: {done.stderr}")
            whole = text_of(out)
            written = whole.split("tailgate.yaml: |\n")[1].split("\n---")[0]
            with open(config, "w") as file:
                file.write(textwrap.dedent(written))
            run([tailgate, "check", "--strict", config], env={**os.environ, "POD_NAME": "gate-tailgate-0", "POD_IP": "10.1.2.3"})
            return done.stdout.split("\n"), whole

        kinds, whole = rendered(EXPORTER)
        expect("apps/v1 StatefulSet" in kinds and "policy/v1 PodDisruptionBudget" in kinds, f"got {kinds}")
        expect("/var/lib/tailgate/journal" in whole and "HorizontalPodAutoscaler" not in whole, "a journal, and no scaling")
        kinds, whole = rendered("kind: Deployment\n" + EXPORTER)
        expect("apps/v1 Deployment" in kinds and "journal" not in whole, f"a Deployment has no journal: {kinds}")
        kinds, whole = rendered(EVERYTHING)
        for wanted in ("autoscaling/v2 HorizontalPodAutoscaler", "networking.k8s.io/v1 NetworkPolicy", "monitoring.coreos.com/v1 ServiceMonitor"):
            expect(wanted in kinds, f"want {wanted} among {kinds}")
        expect("\n  replicas:" not in whole, "what scales sets the number of pods")
        expect(re.search(r"stateful_set:\n +name: gate-tailgate\n +port: 4317\n +replicas: 6\n +service: gate-tailgate-pods.tracing", whole),
               "a StatefulSet that scales has as many members as there may be pods")
        expect("path: /metrics/spans" in whole and "containerPort: 6831, protocol: UDP" in whole, "span metrics, and a UDP port")
        _, whole = rendered(EXPORTER + "kind: Deployment\ncluster: {enabled: true}\n")
        expect(re.search(r"dns:\n +port: 4317\n +service: gate-tailgate-pods.tracing", whole), "a Deployment has members by address")
        _, whole = rendered(EXPORTER + "replicas: 3\ncluster: {enabled: true, config: {settle: 50s}}\n")
        for wanted in ("name: gate-tailgate\n", "service: gate-tailgate-pods.tracing", "replicas: 3", "port: 4317", "settle: 50s"):
            expect(wanted in whole, f"members by name: want {wanted}")

        kinds, whole = rendered(READS)
        expect(kinds.count("v1 Service") == 1 and "podSelector: {}" not in whole, f"one that nobody sends to has no port for senders: {kinds}")
        expect("journal" not in whole, "the topic is the journal")

        for wrong, where in (("", "exporters"), (EXPORTER + "kind: DaemonSet\n", "kind"), (EXPORTER + "replica: 2\n", "replica"),
                             (EXPORTER + "autoscaling: {min: 1}\n", "min")):
            done = chart(wrong)
            expect(done.returncode == 1 and where in done.stderr, f"'{wrong}' is an error that names {where}: {done.stderr}")
