# SPDX-License-Identifier: Apache-2.0
"""read.py FILE...: the spans of Tempo's Parquet blocks, one JSON object {trace id: [span...]}, fewer fields than spans.py has."""

import json
import sys

import pyarrow.parquet

out = {}
for path in sys.argv[1:]:
    for trace in pyarrow.parquet.read_table(path).to_pylist():
        spans = out.setdefault(trace["TraceID"].hex(), {})
        for resource in trace["rs"]:
            for scope in resource["ss"]:
                for span in scope["Spans"]:
                    one = {"spanId": span["SpanID"].hex(), "parentSpanId": span["ParentSpanID"].hex(), "name": span["Name"],
                           "kind": span["Kind"], "start": span["StartTimeUnixNano"],
                           "end": span["StartTimeUnixNano"] + span["DurationNano"],
                           "status": [span["StatusCode"], span["StatusMessage"]],
                           "service": resource["Resource"]["ServiceName"], "scope": scope["Scope"]["Name"]}
                    spans[one["spanId"]] = one  # an ingester may have put it into two blocks
print(json.dumps({trace_id: list(spans.values()) for trace_id, spans in out.items()}))
