# SPDX-License-Identifier: Apache-2.0
"""config/to-tempo.yaml into a real Tempo: over gRPC and HTTP, with blocks on disk, and as Parquet on S3."""

import base64
import json
import os
import re
import time

from examples import policy_of, send_by_sdk
from harness import CONFIGS, shipped
from sdk import POLICIES
from servers import Minio, Tempo
from spans import expect_same, spans_of_otlp
from tailgate_process import expect, until
from tools import program, run, say

ID_KEYS = {"traceId", "spanId", "parentSpanId"}


def with_hex_ids(value):
    """Tempo's JSON has ids in base64."""
    if isinstance(value, dict):
        return {k: base64.b64decode(v).hex() if k in ID_KEYS else with_hex_ids(v) for k, v in value.items()}
    return [with_hex_ids(one) for one in value] if isinstance(value, list) else value


def spans_in(tempo, trace_id):
    trace = tempo.trace(trace_id)
    return spans_of_otlp({"resourceSpans": with_hex_ids(trace["batches"])}).get(trace_id) if trace else None


def expect_stored(tempo, kept, where):
    """`kept`: {trace id: (spans, policy)}. By id and by TraceQL."""
    now = int(time.time())
    for trace_id, (spans, policy) in kept.items():
        until(lambda: len(spans_in(tempo, trace_id) or []) >= len(spans), f"{where}: trace {trace_id} is in Tempo", 60, 0.2)
        have = spans_in(tempo, trace_id)
        expect(policy_of(have) == policy, f"{where}: trace {trace_id} says another policy than {policy}")
        expect_same(trace_id, spans, have, where, True)
    for policy in sorted({policy for _, policy in kept.values()}):
        wanted = {trace_id for trace_id, (_, why) in kept.items() if why == policy}
        query = f'{{span.tailgate.policy = "{policy}"}}'
        until(lambda: tempo.search(query, start=now - 3600, end=now + 3600) == wanted, f"{where}: {query} finds {wanted}", 60, 0.5)
    failed = {trace_id for trace_id, (spans, _) in kept.items() if any(s["status"][0] == 2 for s in spans)}
    until(lambda: tempo.search("{status = error}", start=now - 3600, end=now + 3600) == failed, f"{where}: status = error", 60, 0.5)


def send_through(tools, binary, directory, exporters, which):
    """config/to-tempo.yaml but for its exporters and policies."""
    sets = ["sampling.decision_wait=5s", "sampling.decision_wait_after_root_received=1s", f"sampling.policies={json.dumps(POLICIES)}"]
    if exporters:
        sets.append(f"exporters={json.dumps(exporters)}")
    with shipped("to-tempo.yaml", binary, directory, sets) as daemon:
        kept, dropped = send_by_sdk(tools, daemon, next(iter(exporters or {"otlp/tempo": None})), which)
        expect(daemon.stop() == 0, "the daemon did not end with 0")
    return kept, dropped


def test_tempo(tools, binary, directory):
    """Blocks on disk; what is in them answers after they are complete, too."""
    with Tempo(tools, directory) as tempo:
        os.environ["TAILGATE_TEMPO"] = f"127.0.0.1:{tempo.grpc}"
        kept, dropped = send_through(tools, binary, directory, None, slice(0, 4, 3))
        http = {"otlphttp/tempo": {"endpoint": f"http://127.0.0.1:{tempo.http}"}}
        more, others = send_through(tools, binary, directory, http, slice(2, 3))
        kept.update(more)
        expect_stored(tempo, kept, "otlp and otlphttp into Tempo")
        for trace_id in dropped + others:
            expect(tempo.trace(trace_id) is None, f"trace {trace_id} is in Tempo")
        run([*tempo.command, "-config.verify=true"])
    run([tools.tempo(), f"-config.file={CONFIGS}/../deploy/compose/tempo.yaml", "-config.verify=true"])
    say(f"  {len(kept)} traces whole in Tempo, by id and by TraceQL, {len(dropped + others)} absent")


def objects(minio):
    return re.findall(r"<Key>([^<]*)</Key>", minio.request(f"/{minio.bucket}?list-type=2"))


def test_tempo_s3(tools, binary, directory):
    """What is in the bucket is enough: for a reader of Parquet, and for a Tempo that has nothing else."""
    python = tools.venv("parquet")
    with Minio(tools, directory, "traces") as minio:
        with Tempo(tools, directory, minio) as tempo:
            os.environ["TAILGATE_TEMPO"] = f"127.0.0.1:{tempo.grpc}"
            kept, dropped = send_through(tools, binary, directory, None, slice(0, 2))
            expect_stored(tempo, kept, "Tempo on S3")
            tempo.flush()

            def blocks():
                """The spans in the bucket, once all are."""
                files = []
                for number, key in enumerate(key for key in objects(minio) if key.endswith("/data.parquet")):
                    files.append(os.path.join(directory, f"{number}.parquet"))
                    minio.get(key, files[-1])
                found = json.loads(run([python, program("parquet", "read.py"), *files])) if files else {}
                return found if all(len(found.get(i, [])) >= len(spans) for i, (spans, _) in kept.items()) else None

            found = until(blocks, "all kept traces are in Parquet blocks in the bucket", 90, 1)
            for trace_id, (spans, _) in kept.items():
                have = found[trace_id]
                expect_same(trace_id, [{key: s[key] for key in have[0]} for s in spans], have, "data.parquet")
            expect(found.keys() == kept.keys(), f"the blocks hold other traces too: {found.keys() - kept.keys()}")
        with Tempo(tools, directory, minio, "tempo_again") as again:
            expect_stored(again, kept, "a new Tempo over the bucket")
            for trace_id in dropped:
                expect(again.trace(trace_id) is None, f"trace {trace_id} is in Tempo")
    say(f"  {len(kept)} traces in Parquet blocks on S3, read by pyarrow and by a new Tempo; {len(dropped)} absent")
