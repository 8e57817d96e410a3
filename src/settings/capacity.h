// SPDX-License-Identifier: Apache-2.0
// Capacity: the memory that a rate of spans needs, for `tailgate check --rate` and the table in docs/operations.md.
//
// It follows from what TraceBuffer charges for an open trace (docs/design/0002) and from how memory_limit is shared out
// (docs/design/0007). Threads: any.
#pragma once

#include <cstddef>
#include <string>

#include "base/clock.h"
#include "settings/sampling.h"

namespace tailgate {

struct Traffic {
  double spans_per_second = 0;
  std::size_t span_bytes = 500;  // of one span on the wire
  std::size_t trace_spans = 10;  // of one trace
};

// What the share `traces` is charged while all this traffic is open for `open`, with a reserve of a twentieth.
std::size_t open_bytes(const Traffic& traffic, Duration open);

// How long the traffic can be open before `cap` bytes of the share `traces` are full.
Duration open_time(const Traffic& traffic, std::size_t cap);

// The least memory_limit whose share `traces` is at least `traces`; in steps of 1 MiB. The caches keep their size where
// the configuration sets it.
std::size_t memory_limit_for(std::size_t traces, const SamplingConfig& sampling, std::size_t tls_connections);

// What this traffic needs of the configuration and what it has, in lines for people.
struct CapacityReport {
  bool enough = false;
  std::string text;
};
CapacityReport report_capacity(const Traffic& traffic, const SamplingConfig& sampling, std::size_t tls_connections);

}  // namespace tailgate
