# SPDX-License-Identifier: Apache-2.0
"""query.py SQL: what DuckDB answers, as JSON: a list of rows."""

import json
import sys

import duckdb

print(json.dumps(duckdb.sql(sys.argv[1]).fetchall(), default=str))
