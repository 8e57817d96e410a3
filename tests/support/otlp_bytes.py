# SPDX-License-Identifier: Apache-2.0
"""OTLP trace requests as bytes, written by hand: protobuf and JSON. Standard library only."""

import json
import os
import struct


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def attribute(key, value):
    return field(1, key.encode()) + field(2, field(1, value.encode()))


def span(trace_id, name="work", parent=b"", start_ns=1_700_000_000_000_000_000, end_ns=1_700_000_000_001_000_000,
         error=False, attributes=(), span_id=None, kind=0):
    out = field(1, trace_id) + field(2, span_id or os.urandom(8))
    if parent:
        out += field(4, parent)
    out += field(5, name.encode()) + (b"\x30" + varint(kind) if kind else b"") + b"\x39" + struct.pack("<Q", start_ns) + b"\x41" + struct.pack("<Q", end_ns)
    for key, value in attributes:
        out += field(9, attribute(key, value))
    if error:
        out += field(15, b"\x18\x02")
    return out


def request(spans, service="test"):
    """ExportTraceServiceRequest with one resource and one scope around already encoded spans."""
    resource = field(1, field(1, attribute("service.name", service)))
    return field(1, resource + field(2, b"".join(field(2, s) for s in spans)))


def json_request(trace_id, service="test", error=False):
    return json.dumps({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"spans": [{
            "traceId": trace_id.hex(), "spanId": os.urandom(8).hex(), "name": "work", "kind": 2,
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000001000000",
            "status": {"code": 2} if error else {},
        }]}],
    }]}).encode()
