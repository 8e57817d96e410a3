# SPDX-License-Identifier: Apache-2.0
"""Backends that are one process each, on free ports of loopback, with their data in a temporary directory."""

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from tailgate_process import Failed, expect, free_ports, get, until
from tools import run, text_of

STOP_SECONDS = 5  # Tempo over S3 takes minutes; its data is thrown away, so it is killed


class Server:
    """`command` is started in a folder of its own, and is ready once `answers()` is true."""

    def __init__(self, name, directory):
        self.name, self.command, self.env, self.process = name, [], {}, None
        self.home = os.path.join(directory, name)
        self.log_path = os.path.join(directory, f"{name}.log")
        os.makedirs(self.home)

    def file(self, name, content):
        """Writes a file of settings, as JSON, which YAML takes; its path."""
        path = os.path.join(self.home, name)
        with open(path, "w") as out:
            json.dump(content, out, indent=1)
        return path

    def started(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}:\n{text_of(self.log_path)[-3000:]}")
        try:
            return self.answers()
        except OSError:
            return False

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.home,
                                            env={**os.environ, **self.env})
        until(self.started, f"{self.name} answers", 90, 0.1)

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()


class Prometheus(Server):
    """Scrapes each second, with `spans_job` also /metrics/spans. `rules` are files, `others` more targets of the job."""

    def __init__(self, directory, job, target, rules, spans_job=None, others=()):
        super().__init__("prometheus", directory)
        self.port, = free_ports(1)
        config = self.file("prometheus.yaml", {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": rules,
            "scrape_configs": [{"job_name": name, "metrics_path": path, "static_configs": [
                {"targets": [f"127.0.0.1:{port}" for port in (target, *others)]}]}
                               for name, path in ((job, "/metrics"), (spans_job, "/metrics/spans")) if name]})
        self.command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.home}/data",
                        f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
                        "--enable-feature=exemplar-storage"]

    def answers(self):
        return get(self.port, "/-/ready")[0] == 200

    def query(self, expression):
        """The result vector; an error of the query is one of the test."""
        status, text = get(self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        expect(status == 200, f"Prometheus says {status} to {expression}: {text[:500]}")
        return json.loads(text)["data"]["result"]

    def alerts(self):
        """{name: state}"""
        return {one["labels"]["alertname"]: one["state"] for one in json.loads(get(self.port, "/api/v1/alerts")[1])["data"]["alerts"]}


class Minio(Server):
    """S3, with one bucket."""

    user, password = "test", "testtest1"

    def __init__(self, tools, directory, bucket):
        tools.need("curl")
        super().__init__("minio", directory)
        self.port, = free_ports(1)
        self.bucket = bucket
        self.command = [tools.minio(), "server", os.path.join(self.home, "data"), "--address", f"127.0.0.1:{self.port}", "--quiet"]
        self.env = {"MINIO_ROOT_USER": self.user, "MINIO_ROOT_PASSWORD": self.password, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}

    def answers(self):
        """With the bucket made: it says it is ready before it takes one. After a restart it is there."""
        for how in (["-X", "PUT", f"/{self.bucket}"], [f"/{self.bucket}?list-type=2"]):
            with contextlib.suppress(Failed):
                self.request(*how)
                return True
        return False

    def request(self, *how):
        """A signed request by curl, whose last argument is the path."""
        return run(["curl", "-sSf", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{self.user}:{self.password}", *how[:-1],
                    f"http://127.0.0.1:{self.port}{how[-1]}"])

    def get(self, key, path):
        """An object into the file `path`."""
        self.request("-o", path, f"/{self.bucket}/{urllib.parse.quote(key)}")


class Tempo(Server):
    """All of Tempo in one process; blocks are complete after seconds. Without a `store` they are in a folder."""

    def __init__(self, tools, directory, store=None, name="tempo"):
        super().__init__(name, directory)
        self.port, rpc, self.grpc, self.http, gossip = free_ports(5)
        ring = {"kvstore": {"store": "inmemory"}}
        storage = {"backend": "local", "local": {"path": os.path.join(self.home, "blocks")}}
        if store:
            storage = {"backend": "s3", "s3": {"endpoint": f"127.0.0.1:{store.port}", "bucket": store.bucket, "access_key": store.user,
                                               "secret_key": store.password, "insecure": True, "region": "us-east-1"}}
        at = lambda port: {"endpoint": f"127.0.0.1:{port}"}  # noqa: E731
        config = self.file("tempo.yaml", {
            "server": {"http_listen_address": "127.0.0.1", "http_listen_port": self.port, "grpc_listen_address": "127.0.0.1",
                       "grpc_listen_port": rpc, "log_level": "warn"},
            "distributor": {"receivers": {"otlp": {"protocols": {"grpc": at(self.grpc), "http": at(self.http)}}},
                            "ring": {**ring, "instance_addr": "127.0.0.1"}},
            "ingester": {"trace_idle_period": "1s", "flush_check_period": "1s", "max_block_duration": "5s", "complete_block_timeout": "5s",
                         "lifecycler": {"min_ready_duration": "0s", "address": "127.0.0.1", "ring": {**ring, "replication_factor": 1}}},
            "compactor": {"ring": {**ring, "instance_addr": "127.0.0.1", "wait_stability_min_duration": "100ms",
                                   "wait_stability_max_duration": "1s"}},
            "memberlist": {"bind_addr": ["127.0.0.1"], "bind_port": gossip, "advertise_addr": "127.0.0.1"},
            "query_frontend": {"search": {"query_backend_after": "1s", "query_ingesters_until": "5m"}},
            "querier": {"frontend_worker": {"frontend_address": f"127.0.0.1:{rpc}"}},
            "storage": {"trace": {**storage, "wal": {"path": os.path.join(self.home, "wal")}, "blocklist_poll": "2s",
                                  "block": {"version": "vParquet4"}}},
            "usage_report": {"reporting_enabled": False},
        })
        self.command = [tools.tempo(), f"-config.file={config}"]

    def answers(self):
        return get(self.port, "/ready")[0] == 200

    def trace(self, trace_id):
        """The trace as Tempo's JSON has it, OTLP with `batches`; None when it is not there."""
        status, text = get(self.port, f"/api/traces/{trace_id}")
        if status == 404:
            return None
        expect(status == 200, f"Tempo says {status} to a trace: {text[:500]}")
        return json.loads(text)

    def search(self, query, **more):
        """Ids of the traces that TraceQL finds."""
        status, text = get(self.port, "/api/search?" + urllib.parse.urlencode({"q": query, "limit": 100, **more}))
        expect(status == 200, f"Tempo says {status} to {query}: {text[:500]}")
        return {one["traceID"].rjust(32, "0") for one in json.loads(text).get("traces", [])}

    def flush(self):
        """What the ingester holds becomes blocks."""
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/flush", method="POST"), timeout=30).close()
        except urllib.error.HTTPError as error:
            raise Failed(f"Tempo says {error.code} to /flush") from None
