# SPDX-License-Identifier: Apache-2.0
"""The build for arm64 with Debian's cross compiler, on a Debian of its own; the tests of the core, and the daemon, under
qemu. It compiles nearly everything, so it takes a quarter of an hour and more."""

import os
import shutil

from package import ROOT, TRACE, Machine, Service, debian
from tailgate_process import expect
from tools import run, say, text_of

CORE = ["base", "codec", "model", "wire", "decide", "buffer"]
HOST = ["ccache", "cmake", "g++-aarch64-linux-gnu", "git", "ninja-build", "pkg-config", "protobuf-compiler", "protobuf-compiler-grpc",
        "python3", "qemu-user-static"]
LISTS = os.path.join(ROOT, ".ci", "packages.txt")


def libraries():
    """Debian's packages that the code is compiled and linked with."""
    wanted, use = [], False
    for line in text_of(LISTS).splitlines():
        if line.startswith("#"):
            use = line.startswith("# libraries") or line.startswith("# tests")
        elif use and line not in HOST and not line.startswith("python3"):
            wanted.append(line)
    return wanted


def cross_debian(tools):
    template = debian(tools)

    def make(target):
        os.rmdir(target)
        run(["cp", "-a", template, target])
        machine = Machine(target)
        machine.run("dpkg", "--add-architecture", "arm64")
        machine.run("apt-get", "update", "-qq")
        # What is for every processor has no package of arm64.
        of_all = machine.run("sh", "-c", f"apt-cache show --no-all-versions {' '.join(libraries())} | awk '/^Package:/ {{p = $2}} /^Architecture: all/ {{print p}}'").split()
        packages = [one if one in of_all else one + ":arm64" for one in libraries()]
        machine.run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *HOST, *packages)

    return tools.once("debian-arm64", "1 " + text_of(LISTS) + " ".join(HOST), make)


def test_arm64(tools, _, directory):
    tools.need("git")
    machine = Machine(cross_debian(tools))
    shutil.rmtree(machine.path("/src"), ignore_errors=True)
    run(["git", "clone", "-q", os.path.abspath(ROOT), machine.path("/src")])
    targets = " ".join(["tailgate", *(f"unit_{room}" for room in CORE)])
    machine.run("sh", "-c", "cd /src && cmake --preset release -DTAILGATE_TESTS=ON -DCMAKE_TOOLCHAIN_FILE=deploy/package/arm64.cmake && "
                            f"ninja -C build/release --quiet {targets}")
    done = machine.run("sh", "-c", f"cd /src && ctest --test-dir build/release -R '^unit.({'|'.join(CORE)})$'")
    expect(f"0 tests failed out of {len(CORE)}" in done, f"the tests of {CORE}: {done[-2000:]}")
    with Service(machine, os.path.join(directory, "log"), "cd /tmp && rm -f kept-traces.json && exec qemu-aarch64-static /src/build/release/tailgate run "
                                                          "--config /src/config/tailgate.yaml") as service:
        service.send("00f067aa0ba902b7", "", status={"code": 2})
        service.stop()
    expect(TRACE in text_of(machine.path("/tmp/kept-traces.json")), "the trace is kept")
    say(f"  built; {len(CORE)} rooms tested and a trace kept under qemu")
