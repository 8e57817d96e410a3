# SPDX-License-Identifier: Apache-2.0
"""config/to-s3.yaml into MinIO: Parquet files that pyarrow and DuckDB read, and nothing lost on the way there."""

import contextlib
import glob
import json
import os
import re
import shutil
import struct
import time
import urllib.request

import otlp_bytes as otlp
from examples import send_by_sdk
from harness import shipped
from otlp_bytes import field, varint
from sdk import POLICIES
from servers import Minio
from spans import CODES, KINDS, expect_same
from tailgate_process import expect, until
from tools import program, run, say, text_of

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODULE = "libtailgate_parquet.so"
QUICK = ["sampling.decision_wait=5s", "sampling.decision_wait_after_root_received=300ms", "exporters.s3.max_file_age=1s",
         "exporters.s3.retry_on_failure={initial_interval: 200ms, max_interval: 1s}"]
KEEP_ALL = 'sampling.policies=[{name: all, type: always_sample}]'


def with_module(tools, binary, directory):
    """A copy of the binary with the module beside it: that of its own build, or one built for it against pyarrow's wheel."""
    built = os.path.join(os.path.dirname(binary), MODULE)
    if not os.path.exists(built):
        tools.need("cmake", "ninja")
        packages = glob.glob(os.path.join(os.path.dirname(tools.venv("s3")), "..", "lib", "*", "site-packages", "pyarrow"))
        home = os.path.join(tools.cache, "parquet_module")
        seen = os.path.join(home, "CMakeCache.txt")
        if os.path.exists(seen) and f"={os.path.abspath(SOURCE)}\n" not in text_of(seen):
            shutil.rmtree(home)  # of another copy of the source
        run(["cmake", "-S", SOURCE, "-B", home, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DTAILGATE_TESTS=OFF",
             "-DTAILGATE_WITH_PARQUET=ON", f"-DTAILGATE_PYARROW_DIR={os.path.abspath(packages[0])}"])
        run(["ninja", "-C", home, "-j2", "tailgate_parquet"])
        built = os.path.join(home, MODULE)
    home = os.path.join(directory, "bin")
    os.mkdir(home)
    for path in (binary, built):
        shutil.copy2(path, home)
    return os.path.join(home, os.path.basename(binary))


@contextlib.contextmanager
def daemon_into(minio, binary, directory, sets=()):
    os.environ.update({"S3_ENDPOINT": f"http://127.0.0.1:{minio.port}", "S3_BUCKET": minio.bucket, "AWS_ACCESS_KEY_ID": minio.user,
                       "AWS_SECRET_ACCESS_KEY": minio.password, "TAILGATE_DATA": directory})
    with shipped("to-s3.yaml", binary, directory, [*QUICK, *sets]) as daemon:
        yield daemon


class Table:
    """What is in the bucket, fetched into a folder in the layout it has there."""

    def __init__(self, tools, minio, directory):
        self.python, self.minio = tools.venv("s3"), minio
        self.home = os.path.join(directory, f"table-{time.monotonic_ns()}")
        self.files = []
        for key in re.findall(r"<Key>([^<]*)</Key>", minio.request(f"/{minio.bucket}?list-type=2")):
            path = os.path.join(self.home, key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            minio.get(key, path)
            self.files.append(path)
        read = json.loads(run([self.python, program("s3", "rows.py"), *self.files]))
        self.rows, self.groups = read["rows"], read["groups"]
        for row in self.rows:
            hour = time.strftime("dt=%Y-%m-%d/hour=%H", time.gmtime(row["start_time"] % (1 << 64) // 10**9))
            row["misdated"] = f"spans/{hour}/" not in row["file"]
            expect(not row["misdated"] or row["name"] == "odd", f"a span of {hour} is in {row['file']}")

    def sql(self, query):
        """`query` over TABLE."""
        query = query.replace("TABLE", "read_parquet('s3://traces/spans/*/*/*.parquet', hive_partitioning = true)")
        return json.loads(run([self.python, program("s3", "query.py"), query.replace("s3://traces", self.home)]))

    def spans(self):
        """{trace id: [span as spans.py has it]}"""
        out = {}
        for row in self.rows:
            out.setdefault(row["trace_id"], []).append(span_of(row))
        return out


def typed_attributes(map_, types):
    """{key: [type, value]} from the texts and the letters beside them."""
    out = {}
    for (key, text), letter in zip(map_.items(), types, strict=True):
        if letter == "a":
            of = lambda v: ["bool" if isinstance(v, bool) else "int" if isinstance(v, int) else "double" if isinstance(v, float)  # noqa: E731
                            else "string", v]
            out[key] = ["array", [of(one) for one in json.loads(text)]]
        elif letter == "b":
            out[key] = ["bool", text == "true"]
        else:
            kind, make = {"s": ("string", str), "i": ("int", int), "d": ("double", float), "y": ("bytes", str)}[letter]
            out[key] = [kind, make(text)]
    return out


def span_of(row):
    attributes = lambda of: typed_attributes(of["attributes"], of["attribute_types"])  # noqa: E731
    return {"spanId": row["span_id"], "parentSpanId": row["parent_span_id"] or "", "traceState": row["trace_state"] or "",
            "name": row["name"], "kind": KINDS["SPAN_KIND_" + row["kind"]], "start": row["start_time"], "end": row["end_time"],
            "attributes": attributes(row),
            "events": [{"name": e["name"], "time": e["time"], "attributes": attributes(e)} for e in row["events"]],
            "links": [{"traceId": link["trace_id"], "spanId": link["span_id"], "traceState": link["trace_state"] or "",
                       "attributes": attributes(link)} for link in row["links"]],
            "status": [CODES["STATUS_CODE_" + row["status_code"]], row["status_message"] or ""],
            "service": row["service"] or "", "scope": row["scope_name"] or ""}


def post(daemon, body):
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        expect(answer.status == 200, f"the daemon says {answer.status}")


def stored(daemon, spans, seconds=60):
    """The metrics once the store has so many spans."""
    def look():
        metrics = daemon.metrics()
        metrics.check_law()
        return metrics if metrics.sum("tailgate_export_spans_total", exporter="s3") >= spans else None
    return until(look, f"{spans} spans are stored", seconds, 0.1)


# --- one span with all there is -----------------------------------------------------------------------------------


def any_value(value):
    if isinstance(value, bool):
        return b"\x10" + varint(value)
    if isinstance(value, int):
        return b"\x18" + varint(value & (1 << 64) - 1)
    if isinstance(value, float):
        return b"\x21" + struct.pack("<d", value)
    if isinstance(value, list):
        return field(5, b"".join(field(1, any_value(one)) for one in value))
    if isinstance(value, dict):
        return field(6, attributes_of(1, value))
    return field(7, value) if isinstance(value, bytes) else field(1, value.encode())


def attributes_of(number, values):
    return b"".join(field(number, field(1, key.encode()) + field(2, any_value(value))) for key, value in values.items())


def number(tag, value):
    return varint(tag << 3) + varint(value)


def fixed64(tag, value):
    return varint(tag << 3 | 1) + struct.pack("<Q", value)


def fixed32(tag, value):
    return varint(tag << 3 | 5) + struct.pack("<I", value)


def full_trace(now):
    """A request with one span that has every field, and the row it must become."""
    trace_id, span_id, parent, other = os.urandom(16), os.urandom(8), os.urandom(8), os.urandom(16)
    values = {"a.text": "zwölf €", "b.int": -7, "c.double": 0.5, "d.bool": True, "e.bytes": b"\x00\xff", "f.list": [1, "x", False],
              "g.map": {"k": 2, "j": "v"}, "h.empty": "", "http.response.status_code": 503, "http.request.method": "PUT",
              "http.route": "/pay/{id}", "url.full": "https://shop/pay/7", "http.target": "/pay/7", "net.peer.name": "db1",
              "error.type": "timeout", "db.system": "postgresql"}
    resource = {"service.name": "checkout", "service.namespace": "shop", "service.version": "1.2", "deployment.environment": "prod",
                "host.name": "h1", "k8s.namespace.name": "n1", "k8s.pod.name": "p1"}
    event = fixed64(1, now + 5) + field(2, b"exception") + attributes_of(3, {"exception.message": "no"}) + number(4, 3)
    link = (field(1, other) + field(2, parent) + field(3, b"k=v") + attributes_of(4, {"why": 1}) + number(5, 4) + fixed32(6, 0x101))
    span = (field(1, trace_id) + field(2, span_id) + field(3, b"a=b") + field(4, parent) + field(5, b"PUT /pay") + number(6, 2)
            + fixed64(7, now) + fixed64(8, now + 1_500_000_000) + attributes_of(9, values) + number(10, 5) + field(11, event)
            + number(12, 6) + field(13, link) + number(14, 7) + field(15, field(2, b"gave up") + number(3, 2)) + fixed32(16, 0x301))
    scope = field(1, field(1, b"lib") + field(2, b"3.1") + attributes_of(3, {"s": "t"}) + number(4, 8)) + field(3, b"https://scope")
    body = field(1, field(1, attributes_of(1, resource) + number(2, 9)) + field(2, scope + field(2, span)) + field(3, b"https://resource"))
    row = {"trace_id": trace_id.hex(), "span_id": span_id.hex(), "parent_span_id": parent.hex(), "trace_state": "a=b", "flags": 0x301,
           "service": "checkout", "name": "PUT /pay", "kind": "SERVER", "start_time": now, "end_time": now + 1_500_000_000,
           "duration_ns": 1_500_000_000, "status_code": "ERROR", "status_message": "gave up", "http_status": 503,
           "service_namespace": "shop", "service_version": "1.2", "environment": "prod", "host": "h1", "k8s_namespace": "n1",
           "k8s_pod": "p1", "http_method": "PUT", "http_route": "/pay/{id}", "url": "https://shop/pay/7", "url_path": "/pay/7",
           "server_address": "db1", "rpc_service": None, "rpc_method": None, "db_system": "postgresql", "messaging_system": None,
           "error_type": "timeout", "policy": "all", "by_chance": False, "late": False,
           "attributes": {"a.text": "zwölf €", "b.int": "-7", "c.double": "0.5", "d.bool": "true", "db.system": "postgresql",
                          "e.bytes": "AP8=", "error.type": "timeout", "f.list": '[1,"x",false]', "g.map": '{"j":"v","k":2}', "h.empty": "",
                          "http.request.method": "PUT", "http.response.status_code": "503", "http.route": "/pay/{id}",
                          "http.target": "/pay/7", "net.peer.name": "db1", "url.full": "https://shop/pay/7"},
           "attribute_types": "sidbsysamssissss", "dropped_attributes": 5,
           "events": [{"time": now + 5, "name": "exception", "attributes": {"exception.message": "no"}, "attribute_types": "s",
                       "dropped_attributes": 3}], "dropped_events": 6,
           "links": [{"trace_id": other.hex(), "span_id": parent.hex(), "trace_state": "k=v", "flags": 0x101, "attributes": {"why": "1"},
                      "attribute_types": "i", "dropped_attributes": 4}], "dropped_links": 7,
           "resource_attributes": resource, "resource_attribute_types": "sssssss", "resource_dropped_attributes": 9,
           "resource_schema_url": "https://resource", "scope_name": "lib", "scope_version": "3.1", "scope_attributes": {"s": "t"},
           "scope_attribute_types": "s", "scope_dropped_attributes": 8, "scope_schema_url": "https://scope"}
    return body, row


def expect_row(table, row):
    found = [one for one in table.rows if one["trace_id"] == row["trace_id"]]
    expect(len(found) == 1, f"trace {row['trace_id']} has {len(found)} rows")
    have = {key: value for key, value in found[0].items() if key not in ("file", "misdated")}
    expect(have.keys() == row.keys(), f"columns that are not looked at: {have.keys() ^ row.keys()}")
    for key, value in row.items():
        expect(have[key] == value, f"{key} is {have[key]!r}, sent was {value!r}")


# --- the tests ----------------------------------------------------------------------------------------------------


def test_s3(tools, binary, directory):
    """What SDKs send, one span with all that OTLP has, and times of all kinds, read back field by field."""
    binary = with_module(tools, binary, directory)
    with Minio(tools, directory, "traces") as minio:
        with daemon_into(minio, binary, directory, [f"sampling.policies={json.dumps(POLICIES)}"]) as daemon:
            kept, dropped = send_by_sdk(tools, daemon, "s3", slice(0, 4, 3))
            expect(daemon.stop() == 0, "the daemon did not end with 0")
        table = Table(tools, minio, directory)
        have = table.spans()
        expect(have.keys() == kept.keys(), f"the bucket has {len(have)} traces, kept were {len(kept)}")
        for trace_id, (spans, policy) in kept.items():
            expect_same(trace_id, spans, have[trace_id], "to-s3.yaml", True)
            expect({row["policy"] for row in table.rows if row["trace_id"] == trace_id} == {policy}, f"{trace_id} says another policy")
        say(f"  {len(kept)} traces of SDKs whole in {len(table.files)} files, {len(dropped)} absent")

        now = time.time_ns()
        body, row = full_trace(now)
        hours = [0, 1, 3_600_000_000_000 * 5, (1 << 63) - 1, (1 << 64) - 1] + [now + 3_600_000_000_000 * i for i in range(1, 100)]
        with daemon_into(minio, binary, directory, [KEEP_ALL]) as daemon:
            post(daemon, body)
            stored(daemon, 1)
            post(daemon, otlp.request([otlp.span(os.urandom(16), "odd", start_ns=t, end_ns=t) for t in hours], "clock"))
            bad = field(1, os.urandom(16)) + field(2, os.urandom(8)) + field(5, b"bad \xff\xfe name") + fixed64(7, now) + fixed64(8, now)
            post(daemon, otlp.request([bad], "bytes"))
            metrics = stored(daemon, len(hours) + 2)
            expect(metrics.sum("tailgate_export_failed_spans_total") == 0, "spans failed")
            expect(metrics.sum("tailgate_export_files_total") > 2, "files are not counted")
            expect(daemon.stop() == 0, "the daemon did not end with 0")
        table = Table(tools, minio, directory)
        expect_row(table, row)
        odd = [one for one in table.rows if one["name"] == "odd"]
        expect(sorted(one["start_time"] % (1 << 64) for one in odd) == sorted(hours), "times are not those that were sent")
        expect(len({one["file"] for one in odd}) <= 2 * 32, "a batch made more than 32 files")
        expect(any(one["name"] == "bad \ufffd\ufffd name" for one in table.rows), "a name that is not UTF-8 is not there")
        misdated = sum(one["misdated"] for one in table.rows)
        expect(misdated == metrics.sum("tailgate_export_misdated_spans_total"), f"{misdated} spans are in a folder of now")
        (found,), = table.sql("SELECT attributes['b.int'] FROM TABLE WHERE http_status = 503 AND resource_attributes['host.name'] = 'h1'")
        expect(found in ("-7", ["-7"]), f"DuckDB finds {found!r} in the map")
    say(f"  every field of a span, {len(odd)} odd times in {len({one['file'] for one in odd})} files, by pyarrow and DuckDB")


def question():
    """The query of docs/exporters/s3.md."""
    with open(os.path.join(SOURCE, "docs", "exporters", "s3.md")) as page:
        return re.search(r"```sql\n(SELECT.*?);\n```", page.read(), re.S)[1]


def test_s3_query(tools, binary, directory):
    """The question the table is laid out for reads few row groups: by folders, statistics and bloom filters."""
    binary = with_module(tools, binary, directory)
    services = ["account", "cart", "checkout", "mail", "search", "stock"]
    wanted, old = set(), 5 * 3600 * 10**9
    with Minio(tools, directory, "traces") as minio:
        with daemon_into(minio, binary, directory, [KEEP_ALL, "exporters.s3.row_group_rows=1000", "exporters.s3.max_file_age=5s"]) as daemon:
            now = time.time_ns() - 20 * 10**9
            for i in range(120):  # 100 spans each; every other request is of five hours ago
                service, spans = services[i // 2 % len(services)], []
                for j in range(100):
                    ids, slow = (os.urandom(16), os.urandom(8)), service == "checkout" and i >= 60 and j == 50
                    start = now + i * 10**7 - (old if i % 2 else 0)
                    spans.append(otlp.span(ids[0], f"op{j}", b"", start, start + (2 * 10**9 if slow else 1000), False,
                                           [("http.status_code", "500" if slow else str(200 + j % 2)), ("user.id", "u1")], ids[1]))
                    if slow and not i % 2:
                        wanted.add(ids[0].hex())
                post(daemon, otlp.request(spans, service))
            metrics = stored(daemon, 12000)
            expect(daemon.stop() == 0, "the daemon did not end with 0")
        table = Table(tools, minio, directory)
        sent, have = (metrics.sum(f"tailgate_export_{name}", exporter="s3") for name in ("file_bytes_total", "spans_total"))
        expect(sum(map(os.path.getsize, table.files)) == sent and have == 12000, "the bytes counted are not those in the bucket")

        found = table.sql(question())
        expect({row[1] for row in found} == wanted and len(found) == len(wanted), f"DuckDB finds {found}, sent were {wanted}")
        expect({row[2:] for row in map(tuple, found)} == {(2000.0, "u1")}, f"DuckDB shows {found[0]}")
        plan = table.sql("EXPLAIN ANALYZE " + question())[0][1]
        files = re.search(r"Scanning Files:\s*(\d+)/(\d+)", plan)
        expect(files and int(files[1]) <= int(files[2]) / 2, f"the folders of other hours are read: {plan}")

        def may_have(group):
            of = group["columns"]
            return (of["service"]["min"] <= "checkout" <= of["service"]["max"] and of["duration_ns"]["max"] > 10**9
                    and of["http_status"]["min"] <= 500 <= of["http_status"]["max"])

        left = [group for group in table.groups if may_have(group)]
        expect(len(table.groups) >= 12, f"only {len(table.groups)} row groups")
        expect(0 < len(left) <= len(table.groups) / 4, f"{len(left)} of {len(table.groups)} row groups may have an answer")
        for group in table.groups:
            of = group["columns"]
            expect(of["service"]["min"] == of["service"]["max"] or group["rows"] < 1000, f"a group of {of['service']}")
            expect(all(one["codec"] == "ZSTD" for one in of.values()), "a column is not compressed by zstd")
            expect(of["start_time"]["page_index"] and of["service"]["page_index"], "no page index")

        # A trace id is in one row group; of the others a filter is wrong once in twenty times.
        one = wanted.pop()
        probes = [table.sql(f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', 'trace_id', '{one}')") for path in table.files]
        kept = [excluded for groups in probes for excluded, in groups].count(False)
        expect(1 <= kept <= 1 + len(table.groups) / 5, f"the bloom filters leave {kept} of {len(table.groups)} row groups for a trace id")
    say(f"  {len(found)} spans found in {files[1]} of {files[2]} files; statistics leave {len(left)} of {len(table.groups)} row groups, "
        f"bloom filters {kept} for a trace id")


def test_s3_outage(tools, binary, directory):
    """Large files in parts; a store that is away and a daemon that is killed lose nothing; wrong keys wait and say why."""
    binary = with_module(tools, binary, directory)
    ids = []

    def send(daemon, count, blob=0):
        made = [os.urandom(16) for _ in range(count)]
        attributes = lambda: [("blob", os.urandom(blob // 2).hex())] if blob else []  # noqa: E731
        now = time.time_ns()
        post(daemon, otlp.request([otlp.span(one, "n", start_ns=now, end_ns=now + 1000, attributes=attributes()) for one in made], "shop"))
        ids.extend(one.hex() for one in made)

    with Minio(tools, directory, "traces") as minio:
        with daemon_into(minio, binary, directory, [KEEP_ALL, "exporters.s3.part_bytes=5MiB", "exporters.s3.max_file_age=3s"]) as daemon:
            for _ in range(3):
                send(daemon, 100, 80_000)
            stored(daemon, 300)
            listing = minio.request(f"/{minio.bucket}?list-type=2")
            parts = [int(n) for n in re.findall(r"<ETag>[^<]*-(\d+)(?:&#34;|&quot;|\")</ETag>", listing)]
            expect(parts and max(parts) >= 2, f"no object in parts: {listing[-600:]}")
            uploads = minio.request(f"/{minio.bucket}?uploads=")
            expect("<Upload>" not in uploads, f"an upload is not completed: {uploads}")
            say(f"  24 MB in objects of {sorted(parts)} parts")

            minio.stop()
            send(daemon, 50)
            until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter="s3") >= 2, "attempts fail", 60, 0.1)
            send(daemon, 50)
            time.sleep(1.5)  # the promise is for what was decided a second ago
            daemon.kill()
        with daemon_into(minio, binary, directory, [KEEP_ALL]) as daemon:
            send(daemon, 50)
            until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter="s3") >= 1, "attempts fail", 60, 0.1)
            minio.start()
            stored(daemon, 150, 90)
            send(daemon, 20)
            time.sleep(1)
            daemon.kill()  # while it collects
        with daemon_into(minio, binary, directory, [KEEP_ALL, "exporters.s3.max_file_age=1h"]) as daemon:
            until(lambda: daemon.metrics().sum("tailgate_export_queue_spans", exporter="s3") == 20, "what was collected is there", 60, 0.1)
            expect(daemon.stop() == 0, "the daemon did not end with 0")  # and goes out at the end, old enough or not
        have = [row["trace_id"] for row in Table(tools, minio, directory).rows]
        expect(set(have) == set(ids), f"{len(set(ids) - set(have))} of {len(ids)} traces are lost")
        say(f"  store away, two kills: {len(ids)} traces all there, {len(have) - len(ids)} twice")

        minio.password, right = "wrong-secret-key", minio.password
        with daemon_into(minio, binary, directory, [KEEP_ALL, "shutdown_timeout=1s"]) as daemon:
            minio.password = right
            send(daemon, 5)
            until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter="s3", reason="refused") >= 2, "refusals", 60, 0.1)
            expect(daemon.stop(10) == 0, "the daemon did not end with 0")
            log = daemon.log()
        expect("SignatureDoesNotMatch" in log and "wrong-secret-key" not in log, f"the log: {log[-1000:]}")
        with daemon_into(minio, binary, directory, [KEEP_ALL]) as daemon:
            stored(daemon, 5)
            expect(daemon.stop() == 0, "the daemon did not end with 0")
        have = {row["trace_id"] for row in Table(tools, minio, directory).rows}
        expect(have == set(ids), "what waited for the right key is not there")
    say("  a wrong key is told, not shown, and loses nothing")
