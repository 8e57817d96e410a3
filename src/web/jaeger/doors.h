// SPDX-License-Identifier: Apache-2.0
// The doors for Jaeger: stored traces for a stock Jaeger (gRPC, jaeger.storage.v2) and for programs that ask a Jaeger
// (HTTP, /jaeger/api/...): docs/query/jaeger.md. Threads: any; answers are made in the pool.
#pragma once

#include <functional>
#include <vector>

#include "store/reader.h"
#include "web/pages.h"
#include "web/query_pool.h"
#include "web/trace_search.h"

namespace tailgate {

// Who called whom in these times (Unix nanoseconds), over all spans; any thread.
using AllCalls = std::function<std::vector<StoredDependency>(std::uint64_t from_ns, std::uint64_t to_ns)>;

// `pool` outlives the pages. With `calls`, dependencies come from there and not from stored traces.
void add_jaeger_doors(Pages& pages, QueryPool& pool, StoreDoorOptions options, AllCalls calls = {});

}  // namespace tailgate
