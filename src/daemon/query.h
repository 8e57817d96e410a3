// SPDX-License-Identifier: Apache-2.0
// `tailgate query`: finds traces in a store's directory, also beside the daemon that writes it. Threads: one.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace tailgate {

struct QueryArguments {
  std::string store;     // the directory
  std::string traceql;   // a query, or
  std::string trace_id;  // one trace
  Duration since = std::chrono::hours(1);
  std::size_t limit = 20;
  std::string format;  // table, json or otlp; empty: table on a terminal, json elsewhere
};

// What is wrong with them, "" if nothing is.
std::string wrong_with(const QueryArguments& arguments);

// Exit codes: 0 found, 1 a bad query or directory, 4 nothing found.
int query_store(const QueryArguments& arguments);

}  // namespace tailgate
