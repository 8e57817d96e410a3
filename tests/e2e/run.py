#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tailgate between real clients and a real Jaeger. docs/testing.md says what each test proves.

    run.py TAILGATE [TEST...]      all tests, or those named; TAILGATE in the environment goes before
    run.py --list

What a test needs is prepared in TAILGATE_E2E_CACHE (default build/e2e-cache), with the versions under programs/; Jaeger v2
is built from its Go module, unless TAILGATE_E2E_JAEGER names a binary. A test whose tools are not installed says "skipped"
and why. Exits with 1 when a test failed, with 77 when all were skipped.
"""

import argparse
import glob
import importlib
import os
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]

import arm64  # noqa: E402
import balanced  # noqa: E402
import balancing  # noqa: E402
import by_trace_id  # noqa: E402
import cassandra  # noqa: E402
import elasticsearch  # noqa: E402
import examples  # noqa: E402
import files  # noqa: E402
import jaeger_storage  # noqa: E402
import kafka  # noqa: E402
import manifests  # noqa: E402
import mtls  # noqa: E402
import package  # noqa: E402
import page  # noqa: E402
import prometheus  # noqa: E402
import remote_sampling  # noqa: E402
import s3  # noqa: E402
import sdk  # noqa: E402
import signals  # noqa: E402
import span_metrics  # noqa: E402
import tempo  # noqa: E402
import tempo_api  # noqa: E402
import zipkin  # noqa: E402
from harness import client_test  # noqa: E402
from tailgate_process import Failed  # noqa: E402
from tools import Skip, Tools, say  # noqa: E402

SKIPPED = 77

CLIENTS = ["jaeger_python", "jaeger_node", "zipkin_python", "java_agent", "gin_go", "fastapi_python", "express_node", "browser",
           "telemetrygen", "five_doors"]
TESTS = {
    "sdk_otlp": sdk.test_otlp,
    "sdk_otlphttp": sdk.test_otlphttp,
    "default_config": files.test_default_config,
    "config_map": files.test_config_map,
    "cassandra": cassandra.test_cassandra,
    "elasticsearch": elasticsearch.test_elasticsearch,
    "opensearch": elasticsearch.test_opensearch,
    "jaeger_opensearch": elasticsearch.test_jaeger_opensearch,
    "jaeger_storage": jaeger_storage.test_jaeger_storage,
    "jaeger_storage_tls": jaeger_storage.test_jaeger_storage_tls,
    "kafka": kafka.test_kafka,
    "kafka_auth": kafka.test_kafka_auth,
    "kafka_tls": kafka.test_kafka_tls,
    "kafka_refuses": kafka.test_kafka_refuses,
    "kafka_tier": kafka.test_kafka_tier,
    "kafka_chaos": kafka.test_kafka_chaos,
    "s3": s3.test_s3,
    "s3_query": s3.test_s3_query,
    "s3_outage": s3.test_s3_outage,
    "balanced": balanced.test_balanced,
    "balancing": balancing.test_balancing,
    "by_trace_id": by_trace_id.test_by_trace_id,
    "mtls": mtls.test_mtls,
    "package": package.test_package,
    "tarball": package.test_tarball,
    "arm64": arm64.test_arm64,
    "page": page.test_page,
    "zipkin": zipkin.test_zipkin,
    "to_jaeger": examples.test_to_jaeger,
    "gateway": examples.test_gateway,
    "fan_out": examples.test_fan_out,
    "manifests": manifests.test_manifests,
    "helm": manifests.test_helm,
    "prometheus": prometheus.test_prometheus,
    "remote_sampling": remote_sampling.test_remote_sampling,
    "signals": signals.test_signals,
    "span_metrics": span_metrics.test_span_metrics,
    "tempo": tempo.test_tempo,
    "tempo_s3": tempo.test_tempo_s3,
    "tempo_api": tempo_api.test_tempo_api,
    **{name: client_test(importlib.import_module(f"clients.{name}")) for name in CLIENTS},
}


def passes(name, tools, binary):
    """True, False, or None when it is skipped."""
    say(name)
    with tempfile.TemporaryDirectory() as directory:
        try:
            TESTS[name](tools, binary, directory)
            return True
        except Skip as reason:
            say(f"  skipped: {reason}")
            return None
        except Exception as error:  # the others still run
            say(f"  FAILED {error}" if isinstance(error, Failed) else f"  FAILED\n{traceback.format_exc()}")
            for path in sorted(glob.glob(os.path.join(directory, "*.log"))):
                with open(path, errors="replace") as log:
                    say(f"  --- {os.path.basename(path)}\n{log.read()[-3000:]}")
            return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tailgate", nargs="?")
    parser.add_argument("tests", nargs="*", metavar="TEST")
    parser.add_argument("--list", action="store_true", help="the names of the tests")
    options = parser.parse_args()
    if options.list:
        print("\n".join(TESTS))
        return 0
    unknown = [name for name in options.tests if name not in TESTS]
    if options.tailgate is None or unknown:
        parser.error(f"no such test: {', '.join(unknown)}" if unknown else "want the path of tailgate")
    cache = os.environ.get("TAILGATE_E2E_CACHE", os.path.join(HERE, "..", "..", "build", "e2e-cache"))
    tools, binary = Tools(cache), os.path.abspath(os.environ.get("TAILGATE", options.tailgate))
    results = {name: passes(name, tools, binary) for name in options.tests or TESTS}
    failed = [name for name, passed in results.items() if passed is False]
    if failed:
        say(f"failed: {', '.join(failed)}")
        return 1
    return SKIPPED if not any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
