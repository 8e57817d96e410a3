// SPDX-License-Identifier: Apache-2.0
// The doors for Jaeger: stored traces for a stock Jaeger (gRPC, jaeger.storage.v2) and for programs that ask a Jaeger
// (HTTP, /jaeger/api/...): docs/query/jaeger.md. Threads: any; answers are made in the pool.
#pragma once

#include "web/pages.h"
#include "web/query_pool.h"
#include "web/trace_search.h"

namespace tailgate {

// `pool` outlives the pages.
void add_jaeger_doors(Pages& pages, QueryPool& pool, StoreDoorOptions options);

}  // namespace tailgate
