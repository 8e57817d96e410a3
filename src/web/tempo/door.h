// SPDX-License-Identifier: Apache-2.0
// /tempo/...: the HTTP API of Tempo over the store, for Grafana's Tempo data source: docs/query/tempo.md. Errors are
// plain sentences. Threads: any; what reads the store runs in the pool.
#pragma once

#include <memory>

#include "base/result.h"
#include "net/http/http.h"
#include "store/reader.h"
#include "web/pages.h"
#include "web/query_pool.h"
#include "web/trace_search.h"

namespace tailgate {

struct TempoDoorOptions {
  std::shared_ptr<StoreReader> store;  // null: nothing is stored, and every question is told so
  SearchLimits limits = {};
};

// `pool` outlives the pages.
void add_tempo_door(Pages& pages, QueryPool& pool, TempoDoorOptions options);

Response tempo_json();  // 200, without a body
Response tempo_error(const Error& error);

}  // namespace tailgate
