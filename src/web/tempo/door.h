// SPDX-License-Identifier: Apache-2.0
// /tempo/...: the HTTP API of Tempo over the store, for Grafana's Tempo data source: docs/query/tempo.md. Errors are
// plain sentences. Threads: any; what reads the store runs in the pool.
#pragma once

#include "base/result.h"
#include "net/http/http.h"
#include "web/pages.h"
#include "web/query_pool.h"
#include "web/trace_search.h"

namespace tailgate {

// `pool` outlives the pages.
void add_tempo_door(Pages& pages, QueryPool& pool, StoreDoorOptions options);

Response tempo_error(const Error& error);

}  // namespace tailgate
