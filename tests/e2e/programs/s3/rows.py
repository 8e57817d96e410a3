# SPDX-License-Identifier: Apache-2.0
"""rows.py FILE...: the rows of span tables and what their footers say, as JSON: {"rows": [...], "groups": [...]}.

A row is {column: value} with times as numbers, maps as {key: value} and the name of its file. A group is one row group:
{"file", "rows", "columns": {name: {"min", "max", "bloom", "page_index", "codec"}}}."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def with_numbers(kind):
    """The type with integers where it has timestamps."""
    if pa.types.is_timestamp(kind):
        return pa.int64()
    if pa.types.is_map(kind):
        return kind
    if pa.types.is_list(kind):
        return pa.list_(with_numbers(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(one.name, with_numbers(one.type)) for one in kind])
    return kind


def plain(value, kind):
    if value is None:
        return None
    if pa.types.is_map(kind):
        assert len(dict(value)) == len(value), f"a key twice in {value}"
        return dict(value)
    if pa.types.is_list(kind):
        return [plain(one, kind.value_type) for one in value]
    if pa.types.is_struct(kind):
        return {one.name: plain(value[one.name], one.type) for one in kind}
    return value


def bound(value):
    return value if value is None or isinstance(value, (int, str, bool)) else str(value)


rows, groups = [], []
for path in sys.argv[1:]:
    table = pq.ParquetFile(path, page_checksum_verification=True).read()
    kinds = {one.name: with_numbers(one.type) for one in table.schema}
    table = table.cast(pa.schema([pa.field(one.name, kinds[one.name], one.nullable) for one in table.schema]))
    rows += [{"file": path, **{name: plain(value, kinds[name]) for name, value in row.items()}} for row in table.to_pylist()]
    meta = pq.read_metadata(path)
    for i in range(meta.num_row_groups):
        columns = {}
        for j in range(meta.num_columns):
            chunk = meta.row_group(i).column(j)
            stats = chunk.statistics
            known = stats is not None and stats.has_min_max
            number = known and chunk.physical_type == "INT64" and "Timestamp" in str(stats.logical_type)
            columns[chunk.path_in_schema] = {
                "min": bound(stats.min_raw if number else stats.min) if known else None,
                "max": bound(stats.max_raw if number else stats.max) if known else None,
                "bloom": getattr(chunk, "bloom_filter_offset", None), "page_index": chunk.has_column_index,
                "codec": chunk.compression}
        groups.append({"file": path, "rows": meta.row_group(i).num_rows, "columns": columns})
print(json.dumps({"rows": rows, "groups": groups}))
