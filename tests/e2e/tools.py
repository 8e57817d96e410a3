# SPDX-License-Identifier: Apache-2.0
"""What the clients need, built or installed once into a cache directory: a part is complete when its stamp is there."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

from tailgate_process import expect

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
JAEGER_MODULE = "github.com/jaegertracing/jaeger@v1.76.0"  # its cmd/jaeger is Jaeger v2
TEMPO_MODULE = "github.com/grafana/tempo"  # about 2.8; programs/tempo pins version and checksum, which Go's checksum database lacks
MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"


class Skip(Exception):
    """Something of the machine's is missing; the text says what."""


def say(text):
    print(text, flush=True)


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    expect(done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
    return done.stdout


def program(*path):
    return os.path.join(PROGRAMS, *path)


def text_of(path):
    with open(path) as file:
        return file.read()


class Tools:
    def __init__(self, cache):
        self.cache = os.path.abspath(cache)

    @staticmethod
    def need(*names):
        missing = [name for name in names if shutil.which(name) is None]
        if missing:
            raise Skip(f"not installed: {', '.join(missing)}")

    def once(self, name, version, make):
        """The directory of `name`, made by `make` unless the one of this version is there."""
        target = os.path.join(self.cache, name)
        stamp = os.path.join(self.cache, f"{name}.stamp")
        digest = hashlib.sha256(version.encode()).hexdigest()
        if os.path.exists(stamp) and text_of(stamp) == digest:
            return target
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        say(f"  preparing {name} in {target}")
        began = time.monotonic()
        make(target)
        with open(stamp, "w") as out:
            out.write(digest)
        say(f"    took {time.monotonic() - began:.0f} s")
        return target

    def venv(self, name):
        """The interpreter of an environment with programs/NAME/requirements.txt."""
        try:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
        except ImportError:
            raise Skip("not installed: python3-venv") from None
        wanted = program(name, "requirements.txt")

        def make(target):
            run([sys.executable, "-m", "venv", target])
            run([os.path.join(target, "bin", "python3"), "-m", "pip", "install", "--disable-pip-version-check", "-r", wanted])

        return os.path.join(self.once(name, text_of(wanted), make), "bin", "python3")

    def npm(self, name):
        """The node_modules of programs/NAME/package.json."""
        self.need("node", "npm")
        wanted = program(name, "package.json")

        def make(target):
            shutil.copy(wanted, target)
            run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=target)

        return os.path.join(self.once(name, text_of(wanted), make), "node_modules")

    def go_environment(self):
        return {**os.environ, "CGO_ENABLED": "0", "GOCACHE": os.path.join(self.cache, "go-build")}

    def go(self, name):
        """The binary of the Go module in programs/NAME."""
        self.need("go")
        source = program(name)
        version = "".join(text_of(os.path.join(source, file)) for file in sorted(os.listdir(source)))
        build = lambda target: run(["go", "build", "-trimpath", "-mod=readonly", "-o", os.path.join(target, name), "."],  # noqa: E731
                                   cwd=source, env=self.go_environment())
        return os.path.join(self.once(name, version, build), name)

    def go_install(self, name, package):
        """The binary of a published Go package, PATH@VERSION."""
        self.need("go")
        install = lambda target: run(["go", "install", "-trimpath", package], cwd=target,  # noqa: E731
                                     env={**self.go_environment(), "GOBIN": target})
        return os.path.join(self.once(name, package, install), name)

    def maven(self, name, artifact):
        """The jar GROUP:ARTIFACT:VERSION."""
        self.need("mvn", "java", "javac")
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        target = self.once(name, artifact, lambda target: run(
            ["mvn", "-q", "-B", copy, f"-Dmaven.repo.local={self.cache}/maven", f"-Dartifact={artifact}", f"-DoutputDirectory={target}"],
            cwd=target))
        return os.path.join(target, "-".join(artifact.split(":")[1:]) + ".jar")

    def named(self, variable):
        """The program an environment variable names, if it does."""
        path = os.environ.get(variable)
        expect(not path or os.access(path, os.X_OK), f"{variable}={path} is no program")
        return path

    def jaeger(self):
        """TAILGATE_E2E_JAEGER, or one built from its module."""
        return self.named("TAILGATE_E2E_JAEGER") or self._go_module("jaeger", JAEGER_MODULE, "cmd/jaeger")

    def tempo(self):
        """TAILGATE_E2E_TEMPO, or one built from its module."""
        pins = program("tempo")
        return self.named("TAILGATE_E2E_TEMPO") or self._go_module("tempo", TEMPO_MODULE, "cmd/tempo", "-mod=mod", pins=pins)

    def minio(self):
        return self.go_install("minio", MINIO)

    def _go_module(self, name, module, package, *flags, pins=None):
        """The binary of a module that does not allow `go install`: a copy of it is built, so that Go verifies what it uses
        against the module's own go.sum. `pins`: a folder with the go.mod and go.sum by which the module itself is verified."""
        self.need("go")

        def make(target):
            for file in os.listdir(pins) if pins else ():
                shutil.copy(os.path.join(pins, file), target)
            out = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, cwd=target)
            expect(out.returncode == 0, f"go mod download failed:\n{out.stdout}{out.stderr}")
            source = os.path.join(target, "src")
            shutil.copytree(json.loads(out.stdout)["Dir"], source)
            run(["chmod", "-R", "u+w", source])
            run(["go", "build", "-trimpath", "-ldflags", "-s -w", *flags, "-o", os.path.join(target, name), f"./{package}"],
                cwd=source, env=self.go_environment())
            shutil.rmtree(source)

        version = module if pins is None else "".join(text_of(os.path.join(pins, file)) for file in sorted(os.listdir(pins)))
        return os.path.join(self.once(name, version, make), name)
