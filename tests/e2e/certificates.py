# SPDX-License-Identifier: Apache-2.0
"""Certificates for servers on 127.0.0.1 and for their clients, by the openssl command."""

import os

from tools import run

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Authority:
    """Whom some trust; `ca` is the file with its certificate."""

    def __init__(self, tools, directory, name="ca"):
        tools.need("openssl")
        self.directory, self.name = directory, name
        self.ca, self.key = self.path(name, "pem"), self.path(name, "key")
        run(["openssl", "req", "-x509", *NEW_KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.ca])

    def path(self, name, extension):
        return os.path.join(self.directory, f"{name}.{extension}")

    def issue(self, name):
        """(certificate, key) files of `name`, good for 127.0.0.1, of a server and of a client."""
        certificate, key, request = (self.path(name, extension) for extension in ("pem", "key", "csr"))
        run(["openssl", "req", "-new", *NEW_KEY, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", request])
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-days", "2", "-copy_extensions", "copy",
             "-out", certificate])
        return certificate, key
