# SPDX-License-Identifier: Apache-2.0
"""A Tailgate daemon as a child process of a test: configuration, endpoints, metrics, memory. Standard library only."""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import time

LISTENING = re.compile(r"listening (receiver|page)=(\S+) endpoint=(\S+):(\d+)")
SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# Overrides that let a file of config/ run beside others, and be read by Daemon.
FREE_PORTS = [f"{path}.endpoint=127.0.0.1:0" for path in (
    "receivers.otlp.protocols.grpc", "receivers.otlp.protocols.http", "telemetry.metrics", "telemetry.health", "web")]
SHIPPED = [*FREE_PORTS, "telemetry.logs.level=info", "telemetry.logs.format=text"]


class Failed(Exception):
    """An expectation of the test does not hold."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def until(condition, what, seconds=30, every=0.02):
    """Polls `condition` until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not in {seconds} s: {what}")
        time.sleep(every)


def get(port, path, timeout=10, host="127.0.0.1"):
    """(status, body text) of a GET."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def basic_config(policies, exporters, **sampling):
    """Everything on a free port; YAML takes JSON."""
    return {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}, "http": {"endpoint": "127.0.0.1:0"}}}},
        "sampling": {"decision_wait": "2s", "memory_limit": "512MiB", "policies": policies, **sampling},
        "exporters": exporters,
        "telemetry": {"metrics": {"endpoint": "127.0.0.1:0"}, "health": {"endpoint": "127.0.0.1:0"}},
        "web": {"endpoint": "127.0.0.1:0"},
    }


class Metrics:
    """One scrape, parsed strictly: a line that is no sample and no comment is an error."""

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = SAMPLE.match(line)
            expect(match, f"not a line of a metrics page: {line!r}")
            self.samples.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))

    def sum(self, name, **labels):
        return sum(v for n, have, v in self.samples if n == name and all(have.get(k) == w for k, w in labels.items()))

    def by(self, name, label):
        out = {}
        for n, have, v in self.samples:
            if n == name:
                out[have.get(label)] = out.get(have.get(label), 0) + v
        return out

    def check_counters(self, first):
        """rate() misses what a counter that was not there begins with, so `first` has them all. Policies may be new."""
        def counters(page):
            return {(name, *sorted(labels.items())) for name, labels, _ in page.samples if name.endswith("_total")}

        policies = {labels["policy"] for _, labels, _ in first.samples if "policy" in labels}
        new = [one for one in counters(self) - counters(first) if dict(one[1:]).get("policy", "") in {"", *policies}]
        expect(not new, f"counters that were not there at the start: {new}")

    def check_law(self):
        """Every span received is somewhere, once; and so is every span routed to an exporter."""
        received = self.sum("tailgate_spans_received_total") + self.sum("tailgate_spans_replayed_total")
        ends = {name: self.sum(f"tailgate_{name}") for name in (
            "spans_refused_total", "spans_forwarded_total", "spans_not_sampled_total", "spans_dropped_total",
            "spans_shed_total", "spans_handed_over_total", "spans_forgotten_total", "spans_sent_to_members_total", "buffer_spans")}
        expect(received == sum(ends.values()), f"received {received:.0f} spans, but {ends}")
        for exporter, routed in self.by("tailgate_export_routed_spans_total", "exporter").items():
            of = {name: self.sum(f"tailgate_export_{name}", exporter=exporter)
                  for name in ("spans_total", "failed_spans_total", "dropped_spans_total", "queue_spans")}
            expect(routed == sum(of.values()), f"{routed:.0f} spans routed to {exporter}, but {of}")


def free_ports(count):
    """Below those the system gives to outgoing connections, one of which would else have the port before its server does."""
    held = []
    while len(held) < count:
        with contextlib.suppress(OSError):
            held.append(socket.create_server(("127.0.0.1", random.randrange(20000, 32768))))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Daemon:
    """Started by the constructor, ready when it returns; a context manager that kills what is left."""

    def __init__(self, binary, directory, config=None, path=None, sets=(), cwd=None, preexec_fn=None, ready=True):
        self.path = path or os.path.join(directory, "tailgate.yaml")
        if config is not None:
            with open(self.path, "w") as out:
                json.dump(config, out, indent=1)
        self.log_path = os.path.join(directory, f"daemon-{time.monotonic_ns()}.log")  # standard error
        self.out_path = self.log_path + ".out"
        command = [os.path.abspath(binary), "run", "--config", self.path]
        for override in sets:
            command += ["--set", override]
        with open(self.log_path, "wb") as log, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=log, stdin=subprocess.DEVNULL, cwd=cwd,
                                            preexec_fn=preexec_fn)
        self.pid = self.process.pid
        self.receivers, self.pages, self.first = [], {}, None
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def log(self):
        with open(self.log_path, errors="replace") as text:
            return text.read()

    def out(self):
        """Standard output."""
        with open(self.out_path, errors="replace") as text:
            return text.read()

    def alive(self):
        return self.process.poll() is None

    def wait_ready(self):
        def started():
            if not self.alive():
                raise Failed(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
            return re.search(r" ready$", self.log(), re.M)

        until(started, "the daemon is ready", 60)
        for kind, name, host, port in LISTENING.findall(self.log()):
            if kind == "page":
                self.pages[name] = int(port)
            else:
                self.receivers.append((name, host, int(port)))

    @property
    def grpc(self):
        return self.receivers[0][2]

    @property
    def http(self):
        return self.receivers[-1][2]

    def metrics(self):
        status, text = get(self.pages["metrics"], "/metrics")
        expect(status == 200, f"/metrics says {status}")
        metrics = Metrics(text)
        self.first = self.first or metrics
        metrics.check_counters(self.first)
        return metrics

    def ready(self):
        return get(self.pages["health"], "/ready")

    def signal(self, which):
        self.process.send_signal(which)

    def stop(self, seconds=30):
        """SIGTERM; the exit code, negative for a signal."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds=30):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"the daemon still runs after {seconds} s:\n{self.log()[-2000:]}") from None

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()

    def hang(self):
        """Every thread of it stands still when this returns; SIGCONT lets it go on."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    # Memory and CPU, from /proc.

    def _status_kib(self, key):
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise Failed(f"no {key} of process {self.pid}")

    def rss_mib(self):
        return self._status_kib("VmRSS") / 1024

    def peak_mib(self):
        return self._status_kib("VmHWM") / 1024

    def reset_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as out:
            out.write("5")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
