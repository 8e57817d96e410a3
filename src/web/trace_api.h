// SPDX-License-Identifier: Apache-2.0
// /api/search, /api/trace/{id} and what the page completes names with: docs/web.md. Like all of /api/ they are for the
// page and may change with every version. Threads: any; searches run in the pool.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "store/reader.h"
#include "web/explain.h"
#include "web/pages.h"
#include "web/query_pool.h"
#include "web/trace_search.h"

namespace tailgate {

struct TraceApiOptions {
  std::shared_ptr<StoreReader> store;  // null: nothing is stored, and only remembered decisions are found
  SearchLimits limits = {};
  // Asks what others remember of a trace, and returns what waits for it: as /explain says it; empty: nobody remembers
  // it. May be empty.
  std::function<std::function<std::string()>(const TraceId&)> explained_elsewhere = {};
  std::vector<std::string> exporters;  // names by index
};

// `pool` and `explained` outlive the pages.
void add_trace_api(Pages& pages, QueryPool& pool, const ExplainSource& explained, TraceApiOptions options);

}  // namespace tailgate
