# SPDX-License-Identifier: Apache-2.0
"""The Debian package on a fresh, minimal Debian: installed, started, upgraded with a trace open, removed, purged. There
is no systemd in it: the test starts and stops the daemon as the unit does, as the unit's user. And the tarball, where
there is no C library at all."""

import glob
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time

from tailgate_process import LISTENING, expect, until
from tools import Skip, run, text_of

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
AS_THE_UNIT = ("cd /var/lib/tailgate && exec setpriv --reuid tailgate --regid tailgate --clear-groups "
               "/usr/bin/tailgate run --config /etc/tailgate/tailgate.yaml")


def built(variable, pattern):
    found = [os.environ[variable]] if variable in os.environ else glob.glob(os.path.join(ROOT, "build", "*", "package", pattern))
    if not found:
        raise Skip(f"there is no {pattern}: ./dev package makes one")
    return max(found, key=os.path.getmtime)


def bookworm_mirrors():
    """Of apt's lists, in both of their forms."""
    for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]:
        text = text_of(path) if os.path.isfile(path) else ""
        yield from re.findall(r"^deb (?:\[.*\] )?(\S+://\S+) bookworm main", text, re.M)
        for block in text.split("\n\n"):
            if re.search(r"^Suites:.*\bbookworm( |$)", block, re.M):
                yield from re.findall(r"^URIs: (\S+)", block, re.M)


def debian(tools):
    """A minimal bookworm, from where this machine has its packages."""
    tools.need("debootstrap", "dpkg-deb", "unshare")
    if os.geteuid() != 0:
        raise Skip("debootstrap and chroot want root")
    mirror = next(iter(bookworm_mirrors()), "http://deb.debian.org/debian")

    def make(target):
        run(["debootstrap", "--variant=minbase", "bookworm", target, mirror])
        shutil.copytree("/etc/apt", os.path.join(target, "etc/apt"), dirs_exist_ok=True)
        for path in ("/etc/ssl/certs", "/usr/local/share/ca-certificates"):
            if os.path.isdir(path):
                shutil.copytree(path, target + path, dirs_exist_ok=True)
        shutil.copy("/etc/hosts", os.path.join(target, "etc/hosts"))

    return tools.once("debian", "bookworm minbase 1 " + mirror, make)


class Machine:
    """A root directory that commands run in."""

    def __init__(self, root):
        self.root = root

    def command(self, *words):
        # A namespace of its own, so that nothing stays mounted.
        mounts = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
        return ["unshare", "--mount", "sh", "-c", mounts, self.root, *words]

    def run(self, *words):
        environment = {k: v for k, v in os.environ.items() if k.lower() in ("http_proxy", "https_proxy", "no_proxy")}
        environment.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND="noninteractive", LANG="C.UTF-8")
        return run(self.command(*words), env=environment)

    def path(self, path):
        return self.root + path

    def install(self, package):
        shutil.copy(package, self.path("/tmp/tailgate.deb"))
        self.run("apt-get", "install", "-qq", "-y", "--no-install-recommends", "/tmp/tailgate.deb")


class Service:
    """The daemon, started by `command`."""

    def __init__(self, machine, log, command):
        self.log = log
        overrides = ["receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0", "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
                     "telemetry.metrics.endpoint=127.0.0.1:0", "telemetry.health.endpoint=127.0.0.1:0", "web.endpoint=127.0.0.1:0",
                     "sampling.decision_wait=40s"]
        flags = " ".join(f"--set {one}" for one in overrides)
        with open(log, "w") as out:
            self.process = subprocess.Popen(machine.command("sh", "-c", f"{command} {flags}"), stdout=out, stderr=out)
        try:
            ports = until(lambda: ports if len(ports := [m[4] for m in LISTENING.finditer(text_of(log)) if m[1] == "receiver"]) == 2 else None, f"two ports in {log}")
        except Exception:
            self.process.kill()
            raise
        self.port = int(ports[1])  # gRPC's is the first

    def send(self, span_id, parent, **more):
        now = time.time_ns()
        span = {"traceId": TRACE, "spanId": span_id, "parentSpanId": parent, "name": "pay", "startTimeUnixNano": str(now),
                "endTimeUnixNano": str(now + 1000), **more}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/v1/traces", json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}), {"content-type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        expect(status == 200, f"the span is answered {status}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        expect(self.process.wait(20) == 0, f"the daemon ended with {self.process.returncode}: {text_of(self.log)[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def newer(package, directory):
    """The same package with a higher version."""
    content = os.path.join(directory, "content")
    run(["dpkg-deb", "-R", package, content])
    control = os.path.join(content, "DEBIAN", "control")
    text = text_of(control)
    version = next(line for line in text.splitlines() if line.startswith("Version: "))
    with open(control, "w") as out:
        out.write(text.replace(version, version + "+1"))
    path = os.path.join(directory, "newer.deb")
    run(["dpkg-deb", "--root-owner-group", "-b", content, path])
    return path


def test_package(tools, _, directory):
    package = built("TAILGATE_DEB", "tailgate_*.deb")
    machine = Machine(os.path.join(directory, "machine"))
    run(["cp", "-a", debian(tools), machine.root])
    machine.install(package)
    expect(machine.run("tailgate", "--version").startswith("tailgate "), "the binary runs with what the package depends on")
    machine.run("tailgate", "check", "--strict", "/etc/tailgate/tailgate.yaml")
    expect(machine.run("stat", "-c", "%U %G %a", "/var/lib/tailgate").strip() == "tailgate tailgate 750", "the folder is its user's")
    unit = text_of(machine.path("/usr/lib/systemd/system/tailgate.service"))
    for wanted in ("User=tailgate", "ExecStart=/usr/bin/tailgate run --config /etc/tailgate/tailgate.yaml", "ProtectSystem=strict"):
        expect(wanted in unit, f"want {wanted} in the unit")
    for path in ("/usr/share/man/man1/tailgate.1.gz", "/usr/share/bash-completion/completions/tailgate", "/usr/share/doc/tailgate/copyright",
                 "/usr/share/doc/tailgate/changelog.gz", "/usr/share/doc/tailgate/docs/journal.md"):
        # Of the documentation a minimal Debian may be told to leave out some.
        listed = machine.run("dpkg-deb", "-c", "/tmp/tailgate.deb")
        expect("." + path in listed, f"want {path} in the package")

    config = machine.path("/etc/tailgate/tailgate.yaml")
    with open(config, "a") as out:
        out.write("journal: {directory: /var/lib/tailgate/journal}\n")
    kept = machine.path("/var/lib/tailgate/kept-traces.json")
    with Service(machine, os.path.join(directory, "old.log"), AS_THE_UNIT) as old:
        old.send("00f067aa0ba902b7", "00f067aa0ba902b1", status={"code": 2})
        machine.install(newer(package, directory))
        expect("+1" in machine.run("dpkg-query", "-W", "-f=${Version}", "tailgate"), "the newer one is installed")
        expect("journal:" in text_of(config), "the changed configuration stays")
        expect(old.process.poll() is None, "the old daemon runs on until it is told to stop")
        old.stop()
    expect(not os.path.exists(kept) or TRACE not in text_of(kept), "the trace was still open")
    with Service(machine, os.path.join(directory, "new.log"), AS_THE_UNIT) as new:
        new.send("00f067aa0ba902b1", "")
        until(lambda: os.path.exists(kept) and TRACE in text_of(kept), "the trace is kept", 60)
        new.stop()
    lines = [line for line in text_of(kept).splitlines() if TRACE in line]
    expect(len(lines) == 1 and lines[0].count(TRACE) == 2, f"one trace of two spans, got {lines}")

    machine.run("dpkg", "-r", "tailgate")
    expect(not os.path.exists(machine.path("/usr/bin/tailgate")) and os.path.exists(kept) and os.path.exists(config), "remove leaves its files")
    machine.run("dpkg", "-P", "tailgate")
    for path in ("/etc/tailgate", "/var/lib/tailgate"):
        expect(not os.path.exists(machine.path(path)), f"purge removes {path}")


def test_tarball(tools, _, directory):
    """With a shell and its tools in one static program, and nothing else."""
    tools.need("busybox", "unshare")
    if os.geteuid() != 0:
        raise Skip("chroot wants root")
    tarball = built("TAILGATE_TARBALL", "tailgate-*-linux-*.tar.gz")
    machine = Machine(os.path.join(directory, "machine"))
    for path in ("bin", "proc", "dev", "opt", "tmp"):
        os.makedirs(machine.path("/" + path))
    shell = shutil.which("busybox")
    expect("dynamically" not in run(["file", "-L", shell]), "want a static busybox (Debian: busybox-static)")
    shutil.copy(shell, machine.path("/bin/busybox"))
    for name in ("sh", "dirname", "readlink", "mount"):
        os.symlink("busybox", machine.path("/bin/" + name))
    run(["tar", "-C", machine.path("/opt"), "-xzf", tarball])
    folder = "/opt/" + os.listdir(machine.path("/opt"))[0]
    tailgate = folder + "/bin/tailgate"
    expect(machine.run(tailgate, "--version").startswith("tailgate "), "it runs")
    os.symlink(tailgate, machine.path("/bin/tailgate"))
    machine.run("tailgate", "check", "--strict", folder + "/config/tailgate.yaml")
    machine.run("tailgate", "check", "--strict", folder + "/config/gateway.yaml")
    log = os.path.join(directory, "log")
    with Service(machine, log, f"cd /tmp && exec tailgate run --config {folder}/config/tailgate.yaml") as service:
        service.send("00f067aa0ba902b7", "", status={"code": 2})
        comm = text_of(f"/proc/{service.process.pid}/comm").strip()
        expect(comm == "tailgate", f"the process is called {comm}")
        service.stop()
    expect(TRACE in text_of(machine.path("/tmp/kept-traces.json")), "the trace is kept")
    licenses = os.listdir(machine.path(folder + "/share/licenses"))
    expect({"libc6", "libssl3", "librdkafka1"} <= set(licenses), f"want the licenses of the libraries, got {licenses}")
