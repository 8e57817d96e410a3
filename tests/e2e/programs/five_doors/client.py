# SPDX-License-Identifier: Apache-2.0
"""Sends one trace, whose spans come by five doors, and one without an error; both of five services.

    client.py OTLP_HTTP JAEGER_HTTP JAEGER_GRPC JAEGER_UDP_BINARY ZIPKIN    (ports)

Each message is written here byte by byte, so that no SDK hides what a protocol says. The form is described in ../../spans.py.
"""

import json
import os
import socket
import struct
import sys
import time
import urllib.request

import grpc

SERVICES = ["front", "cart", "stock", "mail", "audit"]
KINDS = ["server", "client", "server", "consumer", "server"]


def post(port, path, kind, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=30) as answer:
        if answer.status not in (200, 202):
            sys.exit(f"{path} answers {answer.status}")


# --- protobuf -----------------------------------------------------------------------------------------------------


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number, value):
    """A varint for an int, else a length and bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    body = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(body)) + body


def time_message(ns):
    return field(1, ns // 1_000_000_000) + field(2, ns % 1_000_000_000)


def otlp_json(s):
    attributes = [{"key": "step", "value": {"intValue": s["step"]}}]
    return {"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": s["service"]}}]},
        "scopeSpans": [{"spans": [{
            "traceId": s["trace"], "spanId": s["id"], "name": s["name"], "kind": 2, "attributes": attributes,
            "startTimeUnixNano": str(s["start"]), "endTimeUnixNano": str(s["end"])}]}]}]}


def jaeger_proto(s):
    tag = field(1, "step") + field(2, 2) + field(5, s["step"])
    kind = field(1, "span.kind") + field(3, s["kind"])
    parent = field(1, bytes.fromhex(s["trace"])) + field(2, bytes.fromhex(s["parent"]))
    span = (field(1, bytes.fromhex(s["trace"])) + field(2, bytes.fromhex(s["id"])) + field(3, s["name"]) + field(4, parent) + field(5, 1)
            + field(6, time_message(s["start"])) + field(7, time_message(s["end"] - s["start"])) + field(8, tag) + field(8, kind))
    return field(1, field(1, span) + field(2, field(1, s["service"])))  # PostSpansRequest of a Batch


# --- Thrift, binary -----------------------------------------------------------------------------------------------


def i32(number, value):
    return struct.pack(">bhi", 8, number, value)


def i64(number, value):
    return struct.pack(">bhq", 10, number, value)


def text(number, value):
    return struct.pack(">bhi", 11, number, len(value.encode())) + value.encode()


def struct_(number, body):
    return struct.pack(">bh", 12, number) + body + b"\0"


def list_(number, bodies):
    return struct.pack(">bhbi", 15, number, 12, len(bodies)) + b"".join(body + b"\0" for body in bodies)


def signed(hex_digits):
    return struct.unpack(">q", bytes.fromhex(hex_digits))[0]


def thrift_batch(s):
    tags = [text(1, "step") + i32(2, 3) + i64(6, s["step"]), text(1, "span.kind") + i32(2, 0) + text(3, s["kind"])]
    span = (i64(1, signed(s["trace"][16:])) + i64(2, signed(s["trace"][:16])) + i64(3, signed(s["id"])) + i64(4, signed(s["parent"]))
            + text(5, s["name"]) + i32(7, 1) + i64(8, s["start"] // 1000) + i64(9, (s["end"] - s["start"]) // 1000) + list_(10, tags))
    return struct_(1, text(1, s["service"])) + list_(2, [span])


def emit_batch(s):
    return struct.pack(">Ii", 0x80010004, 9) + b"emitBatch" + struct.pack(">i", 1) + struct_(1, thrift_batch(s)) + b"\0"


# ------------------------------------------------------------------------------------------------------------------


def zipkin(s, failing):
    tags = {"step": str(s["step"]), **({"error": "no paper"} if failing else {})}
    return [{"traceId": s["trace"], "id": s["id"], "parentId": s["parent"], "name": s["name"], "kind": "SERVER", "tags": tags,
             "timestamp": s["start"] // 1000, "duration": (s["end"] - s["start"]) // 1000, "localEndpoint": {"serviceName": s["service"]}}]


def form(s, failing):
    by_zipkin = s["service"] == "audit"
    attributes = {"step": ["string", str(s["step"])] if by_zipkin else ["int", s["step"]]}
    if by_zipkin and failing:
        attributes["error"] = ["string", "no paper"]
    return {"spanId": s["id"], "parentSpanId": s["parent"], "traceState": "", "name": s["name"],
            "kind": {"server": 2, "client": 3, "consumer": 5}[s["kind"]], "start": s["start"], "end": s["end"], "attributes": attributes,
            "events": [], "links": [], "status": [2, "no paper"] if by_zipkin and failing else [0, ""], "service": s["service"], "scope": ""}


def main():
    otlp_port, http_port, grpc_port, udp_port, zipkin_port = map(int, sys.argv[1:])
    traces = {}
    for failing in (True, False):
        trace, base, parent, spans = os.urandom(16).hex(), (time.time_ns() - 1_000_000_000) // 1000 * 1000, "", []
        for step, (service, kind) in enumerate(zip(SERVICES, KINDS)):
            own = os.urandom(8).hex()
            spans.append({"trace": trace, "id": own, "parent": parent, "service": service, "kind": kind, "name": f"step {step}",
                          "step": step, "start": base + step * 1_000_000, "end": base + 90_000_000 - step * 1_000_000})
            parent = own
        front, cart, stock, mail, audit = spans
        # Children first, as they end: the root's door is the last.
        post(zipkin_port, "/api/v2/spans", "application/json", json.dumps(zipkin(audit, failing)).encode())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(emit_batch(mail), ("127.0.0.1", udp_port))
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
            channel.unary_unary("/jaeger.api_v2.CollectorService/PostSpans")(jaeger_proto(stock), timeout=30)
        post(http_port, "/api/traces?format=jaeger.thrift", "application/x-thrift", thrift_batch(cart) + b"\0")
        post(otlp_port, "/v1/traces", "application/json", json.dumps(otlp_json(front)).encode())
        traces["keep" if failing else "drop"] = {trace: [form(s, failing) for s in spans]}
    print(json.dumps(traces))


if __name__ == "__main__":
    main()
