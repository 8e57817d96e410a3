# SPDX-License-Identifier: Apache-2.0
"""A real Cassandra, which Jaeger writes: Tailgate -> Jaeger -> Cassandra, and what is in its tables."""

import glob
import json
import os
import socket
import subprocess

from backends import Server, free_ports, jars
from harness import otlp_exporter, settled
from jaeger import Jaeger
from sdk import POLICIES, clients
from spans import expect_same_v1
from tailgate_process import Daemon, basic_config, expect, until
from tools import Skip, run, say

# What Cassandra 5 reaches into of a JDK 17.
EXPORTS = ["java.base/jdk.internal.misc", "java.base/java.lang.ref", "java.management/com.sun.jmx.remote.security",
           "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server", "java.rmi/sun.rmi.transport", "java.rmi/sun.rmi.transport.tcp",
           "java.sql/java.sql", "jdk.unsupported/sun.misc", "jdk.attach/sun.tools.attach",
           "jdk.naming.dns/com.sun.jndi.dns"]
OPENS = [f"java.base/{p}" for p in (
    "java.io", "java.lang", "java.lang.module", "java.lang.reflect", "java.net", "java.nio", "java.util", "java.util.concurrent",
    "java.util.concurrent.atomic", "jdk.internal.loader", "jdk.internal.math", "jdk.internal.module", "jdk.internal.ref",
    "jdk.internal.reflect", "jdk.internal.util.jar", "sun.nio.ch")] + [
    "java.rmi/sun.rmi.transport.tcp", "jdk.management/com.sun.management.internal", "jdk.management.jfr/jdk.management.jfr"]


class Cassandra(Server):
    def __init__(self, tools, directory):
        super().__init__("cassandra", directory)
        self.port, storage = free_ports(2)
        path = jars(tools, "cassandra")
        agent = [jar for jar in path.split(":") if os.path.basename(jar).startswith("jamm-")]
        config = os.path.join(self.home, "cassandra.yaml")
        folder = lambda name: os.path.join(self.home, name)  # noqa: E731
        with open(config, "w") as out:
            json.dump({
                "cluster_name": "e2e", "num_tokens": 1, "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
                "data_file_directories": [folder("data")], "commitlog_directory": folder("commitlog"), "hints_directory": folder("hints"),
                "saved_caches_directory": folder("saved"), "cdc_raw_directory": folder("cdc"),
                "commitlog_sync": "periodic", "commitlog_sync_period": "1000ms", "endpoint_snitch": "SimpleSnitch",
                "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                                   "parameters": [{"seeds": f"127.0.0.1:{storage}"}]}],
                "listen_address": "127.0.0.1", "rpc_address": "127.0.0.1", "native_transport_port": self.port,
                "storage_port": storage, "start_native_transport": True, "auto_snapshot": False,
            }, out)
        self.command = ["java", "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", f"-javaagent:{agent[0]}",
                        "-Djdk.attach.allowAttachSelf=true", f"-Dcassandra.config=file:{config}", f"-Dcassandra.storagedir={self.home}",
                        "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.ring_delay_ms=100",
                        *[f"--add-exports={e}=ALL-UNNAMED" for e in EXPORTS], *[f"--add-opens={e}=ALL-UNNAMED" for e in OPENS],
                        "-cp", path, "org.apache.cassandra.service.CassandraDaemon"]

    def answers(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True


# Prints the rows of a trace in Jaeger's tables, as JSON.
ROWS = """
import json, sys
from cassandra.cluster import Cluster
cluster = Cluster(["127.0.0.1"], port=int(sys.argv[1]))
session = cluster.connect("jaeger_v1")
rows = session.execute("SELECT span_id, operation_name, duration FROM traces WHERE trace_id = %s", [bytes.fromhex(sys.argv[2])])
print(json.dumps([["%016x" % (r.span_id & (1 << 64) - 1), r.operation_name, r.duration] for r in rows]))
cluster.shutdown()
"""


def rows_of(tools, cassandra, trace_id):
    def make(target):
        run(["python3", "-m", "venv", target])
        run([os.path.join(target, "bin", "pip"), "-q", "install", "cassandra-driver==3.30.1"])

    python = os.path.join(tools.once("cassandra_driver", "3.30.1", make), "bin", "python")
    done = subprocess.run([python, "-c", ROWS, str(cassandra.port), trace_id], capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, f"the driver says {done.stderr[-1000:]}")
    return json.loads(done.stdout)


def test_cassandra(tools, binary, directory):
    """Kept traces are in Cassandra, written by Jaeger, and come back by its API; what was not kept is not there."""
    if not glob.glob("/usr/lib/jvm/*17*"):
        raise Skip("Cassandra 5 wants a JDK 17")
    with Cassandra(tools, directory) as cassandra:
        storage = {"cassandra": {
            "schema": {"keyspace": "jaeger_v1", "create": True, "datacenter": "datacenter1", "trace_ttl": "48h",
                       "dependencies_ttl": "48h", "replication_factor": 1},
            "connection": {"servers": [f"127.0.0.1:{cassandra.port}"], "tls": {"insecure": True}}}}
        with Jaeger(tools.jaeger(), directory, storage=storage) as jaeger:
            with Daemon(binary, directory, basic_config(POLICIES, otlp_exporter(jaeger), decision_wait="2s")) as daemon:
                sent = clients(tools, daemon)[0].send()
                settled(daemon, "otlp")
                expect(daemon.stop() == 0, "the daemon did not end with 0")
            kept, rest = sent["keep"], sent["drop"]
            expect(kept and rest, "want traces of both kinds")
            for trace_id, trace in kept.items():
                def whole():  # Jaeger writes span by span
                    found = jaeger.trace_v1(trace_id)
                    return found if found and len(found["spans"]) == len(trace) else None

                expect_same_v1(trace_id, trace, until(whole, f"{trace_id} is in Jaeger, whole", 60, 0.1))
                rows = rows_of(tools, cassandra, trace_id)
                want = sorted([s["spanId"], s["name"], (s["end"] - s["start"]) // 1000] for s in trace)
                expect(sorted(rows) == want, f"the rows of {trace_id} are {rows}, wanted {want}")
            for trace_id in rest:
                expect(rows_of(tools, cassandra, trace_id) == [], f"trace {trace_id} was not kept and is there")
    say(f"  {len(kept)} traces in Cassandra's tables and by Jaeger's API, {len(rest)} others not")
