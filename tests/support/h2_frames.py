# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frames by hand, good and bad ones, and the little of HPACK needed to tell a gRPC status. Standard library only."""

import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
TRACE_SERVICE = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

# RFC 7541 appendix B, the letters of "grpc-status".
_HUFFMAN = {"g": "100110", "r": "101100", "p": "101011", "c": "00100", "-": "010110", "s": "01000", "t": "01001",
            "a": "00011", "u": "101101"}


def _huffman(text):
    bits = "".join(_HUFFMAN[c] for c in text)
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


_STATUS_NAMES = [bytes([0x80 | len(_huffman("grpc-status"))]) + _huffman("grpc-status"), b"\x0bgrpc-status"]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(prefix_bits, first, n):
    """RFC 7541 section 5.1."""
    top = (1 << prefix_bits) - 1
    if n < top:
        return bytes([first | n])
    out = bytearray([first | top])
    n -= top
    while n >= 128:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def literal(name, value, first=0x00):
    """Literal with a new name; 0x40: with incremental indexing."""
    name, value = (x.encode() if isinstance(x, str) else x for x in (name, value))
    return bytes([first]) + integer(7, 0, len(name)) + name + integer(7, 0, len(value)) + value


def grpc_headers(*more, path=TRACE_SERVICE, content_type="application/grpc"):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
              ("content-type", content_type), ("te", "trailers"), *more]
    return b"".join(literal(n, v) for n, v in fields)


def grpc_message(payload, compressed=False):
    return bytes([compressed]) + struct.pack(">I", len(payload)) + payload


def grpc_status(block):
    """The status in a header block written without a dynamic table; None when there is none."""
    for name in _STATUS_NAMES:
        at = block.find(name)
        if at >= 0:
            at += len(name)
            return int(block[at + 1:at + 1 + block[at]])
    return None


class Closed(Exception):
    pass


class Connection:
    """A client connection. Says in its SETTINGS that it keeps no HPACK table, so that answers can be read."""

    def __init__(self, port, source="127.0.0.1", timeout=10, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            try:
                self.socket = tls.wrap_socket(self.socket)
            except OSError as error:
                self.socket.close()
                raise Closed(str(error)) from None
        self.next_stream = 1
        self.unread = b""
        self.window = 65535      # of the connection, what the peer lets us send
        self.stream_window = 65535
        self.frame_max = 16384
        self.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 1, 0)))

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from None

    def stream(self):
        self.next_stream += 2
        return self.next_stream - 2

    def read_frame(self):
        """(type, flags, stream, payload); SETTINGS and PING are answered on the way, window updates counted."""
        while True:
            if len(self.unread) >= 9:
                size = int.from_bytes(self.unread[:3], "big")
                if len(self.unread) >= 9 + size:
                    kind, flags = self.unread[3], self.unread[4]
                    stream = int.from_bytes(self.unread[5:9], "big") & 0x7FFFFFFF
                    payload = self.unread[9:9 + size]
                    self.unread = self.unread[9 + size:]
                    self._note(kind, flags, stream, payload)
                    return kind, flags, stream, payload
            try:
                more = self.socket.recv(65536)
            except OSError as error:
                raise Closed(str(error)) from None
            if not more:
                raise Closed("end of stream")
            self.unread += more

    def _note(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack_from(">HI", payload, at)
                if key == 4:
                    self.stream_window = value
                if key == 5:
                    self.frame_max = value
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")

    def wait_settings(self):
        while self.read_frame()[0] != SETTINGS:
            pass
        while self.window == 65535:  # a larger one is announced behind the SETTINGS
            self.read_frame()

    def discard(self):
        """Reads and forgets what has come, without waiting."""
        self.socket.setblocking(False)
        try:
            while True:
                if not self.socket.recv(1 << 20):
                    raise Closed("end of stream")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            raise Closed(str(error)) from None
        finally:
            self.socket.settimeout(10)

    def call(self, message, *headers, path=TRACE_SERVICE):
        """One unary call with the connection to itself: its gRPC status, or None when the stream was reset."""
        stream = self.stream()
        self.send(frame(HEADERS, END_HEADERS, stream, grpc_headers(*headers, path=path)))
        stream_window, sent, answer = self.stream_window, 0, []

        def read():
            nonlocal stream_window
            kind, flags, to, payload = self.read_frame()
            if kind == GOAWAY:
                raise Closed("GOAWAY")
            if to != stream:
                return
            if kind == WINDOW_UPDATE:
                stream_window += int.from_bytes(payload, "big")
            if kind == HEADERS:
                status = grpc_status(payload)
                if status is not None or flags & END_STREAM:
                    answer.append(status)
            if kind == RST_STREAM:
                answer.append(None)

        while sent < len(message) and not answer:
            size = min(len(message) - sent, self.frame_max, self.window, stream_window)
            if size <= 0:
                read()
                continue
            last = sent + size == len(message)
            self.send(frame(DATA, END_STREAM if last else 0, stream, message[sent:sent + size]))
            sent += size
            self.window -= size
            stream_window -= size
        while not answer:
            read()
        return answer[0]
