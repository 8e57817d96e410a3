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

// Who called whom: the pairs of services with the most calls, as many as an answer may have.
struct Dependencies {
  std::vector<StoredDependency> most;
  std::uint64_t left_out = 0;  // calls of other pairs
};
// In these times (Unix nanoseconds), over all spans; any thread.
using AllCalls = std::function<Dependencies(std::uint64_t from_ns, std::uint64_t to_ns, std::size_t max)>;

// `pool` outlives the pages. With `calls`, dependencies come from there and not from stored traces.
void add_jaeger_doors(Pages& pages, QueryPool& pool, StoreDoorOptions options, AllCalls calls = {});

}  // namespace tailgate
