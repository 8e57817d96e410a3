// SPDX-License-Identifier: Apache-2.0
// A TraceBuffer with its pool, budget and policies, fed with built requests, its time moved by hand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "buffer/trace_buffer.h"
#include "support/otlp_builder.h"
#include "support/policies.h"
#include "support/times.h"

namespace tailgate::test {

struct BufferFixture {
  explicit BufferFixture(BufferLimits limits = {}, const std::string& yaml = kErrors, PolicySetOptions options = {})
      : policies(yaml, {{}}, 1, options),
        buffer(limits, pool, budget, policies.set, *policies.tables, 42, at(Duration::zero())) {}

  static constexpr const char* kErrors = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";

  // Adds spans as one request. Kept traces that close on the spot are in added.closed.
  void add(const std::vector<SpanSpec>& spans, Duration when, const std::string& service = "web") {
    add_request(request(spans, service), when);
  }
  void add_request(std::string bytes, Duration when, SpanOrigin origin = 0) {
    requests.push_back(std::make_unique<Scanned>(std::move(bytes), policies.set->plan()));
    requests.back()->batch.origin = origin;
    const SpanBatch& batch = requests.back()->batch;
    std::vector<std::uint32_t> all;
    std::size_t bound = 0;
    for (std::uint32_t t = 0; t < batch.traces.size(); ++t) {
      all.push_back(t);
      bound += pool_bytes_bound(batch.traces[t].facts.bytes, batch.traces[t].facts.spans);
    }
    budget.charge(Holder::kTraces, bound);
    added.clear();
    buffer.add(batch, all.data(), all.size(), 0, at(when), added);
    budget.release(Holder::kTraces, bound - added.pool_bytes);
    for (const ClosedTrace& c : added.closed) closed.push_back(c);
  }

  // Traces kept by closing what is due.
  std::size_t close_due(Duration when) {
    const std::size_t before = closed.size();
    while (buffer.close_due(at(when), 1000, closed)) {
    }
    return closed.size() - before;
  }

  void settle_all() {
    for (const ClosedTrace& c : closed) buffer.settle(c, {});
    closed.clear();
  }

  // The right side of the law of the metrics.
  std::uint64_t accounted() const {
    const BufferCounters& c = buffer.counters();
    return c.forwarded + c.not_sampled + c.dropped + c.shed[0] + c.shed[1] + c.shed[2] + c.shed[3] + c.held;
  }
  std::uint64_t received() const { return buffer.counters().received[0]; }
  std::uint64_t decided(Decision decision, CloseReason reason) const {
    return buffer.counters().decided[static_cast<std::size_t>(decision)][static_cast<std::size_t>(reason)];
  }

  Policies policies;
  ChunkPool pool{64 << 20};
  ByteBudget budget{{64 << 20, 64 << 20, 64 << 20, 64 << 20}};
  TraceBuffer buffer;
  const ClosedTraceReader reader{pool};
  std::vector<std::unique_ptr<Scanned>> requests;
  AddResult added;
  std::vector<ClosedTrace> closed;
};

}  // namespace tailgate::test
