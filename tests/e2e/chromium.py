# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, driven over the DevTools protocol: a WebSocket client as far as that needs one, and a page with a
mouse, a keyboard, and a record of what it asked for and complained about."""

import base64
import http.client
import json
import os
import socket
import struct
import subprocess
import time

from tailgate_process import Failed, expect, until
from tools import Tools

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38,
        "ArrowRight": 39, "ArrowDown": 40}


class WebSocket:
    """The client's side of RFC 6455: texts, whole or in fragments, and pings."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        expect(b" 101 " in status, f"no WebSocket: {status}")
        while self.stream.readline().strip():
            pass

    def _send(self, opcode, data):
        size = len(data)
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | (size if size < 126 else 126 if size < 65536 else 127))
        head += b"" if size < 126 else struct.pack("!H", size) if size < 65536 else struct.pack("!Q", size)
        self.socket.sendall(head + b"\0\0\0\0" + data)  # a mask of zeros changes nothing

    def send(self, text):
        self._send(1, text.encode())

    def _read(self, size):
        data = self.stream.read(size)
        if len(data) != size:
            raise Failed("Chromium has closed the connection")
        return data

    def receive(self):
        """The next text."""
        text = b""
        while True:
            first, second = self._read(2)
            size = second & 0x7F
            if size >= 126:
                size = struct.unpack("!H" if size == 126 else "!Q", self._read(2 if size == 126 else 8))[0]
            data = self._read(size)
            opcode = first & 0x0F
            if opcode == 8:
                raise Failed("Chromium has closed the connection")
            if opcode == 9:
                self._send(10, data)
            elif opcode in (0, 1):
                text += data
                if first & 0x80:
                    return text.decode()


class Page:
    """A tab. `requests` are the addresses that it asked for, `statuses` the answers, `complaints` what is on its console:
    errors, exceptions, and violations of the content security policy."""

    def __init__(self, port, target):
        self.socket = WebSocket(port, f"/devtools/page/{target}")
        self.number, self.loads = 0, 0
        self.requests, self.statuses, self.complaints = [], [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("id") == self.number:
                expect("error" not in message, f"{method}: {message.get('error')}")
                return message["result"]
            self._on_event(message.get("method"), message.get("params", {}))

    def _on_event(self, method, about):
        if method == "Page.loadEventFired":
            self.loads += 1
        elif method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Network.responseReceived":
            self.statuses.append((about["response"]["status"], about["response"]["url"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(about["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(about["args"]))
        elif method == "Log.entryAdded" and about["entry"]["source"] != "network":  # `statuses` has those
            self.complaints.append(about["entry"]["text"])

    def evaluate(self, expression):
        """The value of JavaScript, awaited, by way of JSON."""
        out = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        expect("exceptionDetails" not in out, f"{expression}: {out.get('exceptionDetails')}")
        return out["result"].get("value")

    def wait(self, expression, seconds=20):
        try:
            return until(lambda: self.evaluate(expression), expression, seconds)
        except Failed as error:
            raise Failed(f"{error}\n{self.evaluate('location.href + document.body.innerText')[:3000]}") from None

    def on_new_document(self, script):
        """Runs before any script of each page from now on."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def go(self, address, ready="document.readyState === 'complete'"):
        before = self.loads
        out = self.call("Page.navigate", url=address)
        expect("errorText" not in out, f"{address}: {out.get('errorText')}")
        until(lambda: self.evaluate("1") and self.loads > before, f"{address} is loaded", 30)
        return self.wait(ready)

    def reload(self, ready):
        before = self.loads
        self.call("Page.reload")
        until(lambda: self.evaluate("1") and self.loads > before, "the page is loaded again", 30)
        return self.wait(ready)

    def text(self, selector="body"):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector):
        """With the mouse, in the middle of what is there."""
        at = self.wait(f"""(() => {{ const node = document.querySelector({json.dumps(selector)}); if (!node) return null;
            node.scrollIntoView({{block: 'center'}}); const box = node.getBoundingClientRect();
            return box.width ? [box.x + Math.min(box.width / 2, 60), box.y + box.height / 2] : null; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def press(self, key, times=1, shift=False):
        for _ in range(times):
            about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
            self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": "\r"} if key == "Enter" else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text):
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def enter(self, selector, text):
        """Puts `text` into a field, as a person does."""
        self.evaluate(f"(() => {{ const node = document.querySelector({json.dumps(selector)}); node.focus(); node.select(); }})()")
        if text:
            self.type(text)
        else:
            self.call("Input.dispatchKeyEvent", type="keyDown", key="Delete", code="Delete", windowsVirtualKeyCode=46)

    def choose(self, selector, value):
        """An option of a select."""
        self.evaluate(f"""(() => {{ const node = document.querySelector({json.dumps(selector)}); node.value = {json.dumps(value)};
            node.dispatchEvent(new Event('change', {{bubbles: true}})); }})()""")

    def look(self, scheme="light", width=1400, height=1000):
        """Prefers light or dark, in a window of this size."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path):
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        with open(path, "wb") as out:
            out.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


class Chromium:
    """A context manager."""

    def __init__(self, directory):
        Tools.need("chromium")
        profile = os.path.join(directory, "chromium")
        self.log_path = os.path.join(directory, "chromium.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                 "--no-first-run", "--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            until(lambda: os.path.exists(os.path.join(profile, "DevToolsActivePort")), "Chromium listens", 90)
            time.sleep(0.2)  # the file is there before it is written
            with open(os.path.join(profile, "DevToolsActivePort")) as file:
                self.port = int(file.readline())
        except BaseException:
            self.stop()
            raise

    def page(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("PUT", "/json/new?about:blank")
            return Page(self.port, json.loads(connection.getresponse().read())["id"])
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
