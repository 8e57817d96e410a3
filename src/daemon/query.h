// SPDX-License-Identifier: Apache-2.0
// `tailgate query`: finds traces in a store's directory, and one by its id in a journal's, also beside the daemon that
// writes them. Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "journal/past.h"
#include "store/reader.h"

namespace tailgate {

struct QueryArguments {
  std::string store;     // the directory, or
  std::string journal;   // that of a journal, with trace_id; both: the store is asked first
  std::string traceql;   // a query, or
  std::string trace_id;  // one trace
  Duration since = std::chrono::hours(1);
  std::size_t limit = 20;
  std::string format;  // table, json or otlp; empty: table on a terminal, json elsewhere
};

// What is wrong with them, "" if nothing is.
std::string wrong_with(const QueryArguments& arguments);

// A trace out of a journal as if it were stored. Its scopes say its verdict: tailgate.verdict.
StoredTrace stored_of_past(const TraceId& id, PastTrace&& found, std::string_view verdict);

// Exit codes: 0 found, 1 a bad query or directory, 4 nothing found.
int query_traces(const QueryArguments& arguments);

}  // namespace tailgate
