# SPDX-License-Identifier: Apache-2.0
"""Real backends for the exporters, on free ports and in temporary directories: Kafka, OpenSearch and Elasticsearch, from their jars."""

import base64
import glob
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid

from servers import Server, free_ports
from tailgate_process import Failed, expect, get
from tools import program, run, text_of

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def jars(tools, name):
    """The class path of programs/NAME/pom.xml."""
    tools.need("mvn", "java", "javac")
    pom = program(name, "pom.xml")

    def make(target):
        shutil.copy(pom, target)
        run(["mvn", "-q", "-B", COPY, f"-Dmaven.repo.local={tools.cache}/maven", f"-DoutputDirectory={target}/lib"], cwd=target)

    return ":".join(sorted(glob.glob(os.path.join(tools.once(f"jars_{name}", text_of(pom), make), "lib", "*.jar"))))


class Kafka(Server):
    """One broker that is its own controller. Its topics stay over a restart. `scram`: users that log in so, as its tool wants them."""

    def __init__(self, tools, directory, scram=(), **settings):
        super().__init__("kafka", directory)
        self.port, controller = free_ports(2)
        self.broker = f"127.0.0.1:{self.port}"
        self.java = ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                     "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
                     "-cp", jars(tools, "kafka")]
        path = os.path.join(self.home, "server.properties")
        values = {
            "process.roles": "broker,controller", "node.id": 1, "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER", "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1, "num.partitions": 3,
            "group.initial.rebalance.delay.ms": 0, "log.dirs": os.path.join(self.home, "data"), **settings}
        with open(path, "w") as out:
            out.writelines(f"{key}={value}\n" for key, value in values.items())
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).rstrip(b"=").decode()  # it must not begin with "-"
        run([*self.java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", path, *(part for user in scram for part in ("--add-scram", user))], cwd=self.home)
        self.command = [*self.java, "kafka.Kafka", path]

    def answers(self):
        return text_of(self.log_path).count("Kafka Server started") > self.starts

    def start(self):
        self.starts = text_of(self.log_path).count("Kafka Server started") if os.path.exists(self.log_path) else 0
        super().start()

    def topic(self, name, partitions, *settings):
        run([*self.java, "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.broker, "--create", "--topic", name,
             "--partitions", str(partitions), *(part for one in settings for part in ("--config", one))], cwd=self.home)

    def messages(self, topic, count):
        """[(partition, key, bytes of the value)] of a topic from its beginning, once it holds `count`."""
        done = subprocess.run(
            [*self.java, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", self.broker, "--topic", topic,
             "--from-beginning", "--timeout-ms", "15000", "--max-messages", str(count),
             "--property", "print.key=true", "--property", "print.partition=true", "--property", "key.separator=\t",
             "--property", "line.separator=\n\x01\x02\n", "--formatter",
             "org.apache.kafka.tools.consumer.DefaultMessageFormatter"],
            capture_output=True, timeout=120)
        out = []
        for record in done.stdout.split(b"\n\x01\x02\n")[:-1]:
            partition, key, value = record.split(b"\t", 2)
            out.append((partition.decode().removeprefix("Partition:"), key.decode(), value))
        return out


class OpenSearch(Server):
    name = "opensearch"  # also the key of Jaeger's storage

    def __init__(self, tools, directory):
        super().__init__(self.name, directory)
        self.port, transport = free_ports(2)
        os.makedirs(os.path.join(self.home, "config"), exist_ok=True)
        self.command = ["java", "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-cp", jars(tools, self.name),
                        self.source(), self.home, str(self.port), str(transport)]

    def source(self):
        return program("opensearch", "Server.java")

    def answers(self):
        status, text = get(self.port, "/_cluster/health")
        return status == 200 and json.loads(text)["status"] in ("green", "yellow")

    def call(self, method, path, body=None):
        """The JSON answer, None when there is no such thing."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise Failed(f"{method} {path} says {error.code}: {error.read().decode()[:1000]}") from None

    def documents(self, index):
        """{_id: source} of all documents of an index pattern."""
        self.call("POST", f"/{index}/_refresh")
        found = self.call("GET", f"/{index}/_search?size=10000&ignore_unavailable=true")
        expect(found is not None, f"no index {index}")
        return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}


class Elasticsearch(OpenSearch):
    name = "elasticsearch"

    def source(self):  # the classes have the names they had before OpenSearch parted from it
        path = os.path.join(self.home, "Server.java")
        with open(path, "w") as out:
            out.write(text_of(program("opensearch", "Server.java")).replace("org.opensearch", "org.elasticsearch"))
        return path
