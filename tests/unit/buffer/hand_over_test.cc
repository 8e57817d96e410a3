// SPDX-License-Identifier: Apache-2.0
// Open traces that leave undecided, for another daemon.
#include <catch2/catch.hpp>

#include "support/buffer_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

bool any(const TraceId&) { return true; }

std::vector<ClosedTrace> take_all(BufferFixture& f, const std::function<bool(const TraceId&)>& wanted = any) {
  std::vector<ClosedTrace> out;
  std::size_t from = 0;
  while (f.buffer.take_open(from, wanted, out)) {
  }
  return out;
}

TraceId id_of(std::uint64_t trace) { return TraceId::from(trace_id(trace).data()); }

}  // namespace

TEST_CASE("open traces that are wanted can be taken out, and their spans count as handed over", "[buffer]") {
  BufferFixture f;
  for (std::uint64_t t = 1; t <= 6'000; ++t) f.add({{.trace = t, .id = 1}, {.trace = t, .id = 2}}, 0ms);
  const std::vector<ClosedTrace> taken = take_all(f, [](const TraceId& id) { return id.view().back() % 2 == 0; });
  CHECK(taken.size() == 3'000);
  CHECK(f.buffer.traces_held() == 3'000);
  CHECK(f.buffer.counters().held == 12'000);  // until each is settled
  for (const ClosedTrace& one : taken) f.buffer.settle_handed(one);
  CHECK(f.buffer.counters().handed_over == 6'000);
  CHECK(f.buffer.counters().held == 6'000);
  CHECK(f.received() == f.accounted() + f.buffer.counters().handed_over);
  CHECK_FALSE(f.buffer.knows(id_of(2)));
  CHECK(f.buffer.knows(id_of(3)));
  f.close_due(31s);
  f.settle_all();
  CHECK(f.buffer.counters().not_sampled == 6'000);
}

TEST_CASE("a trace that is put back goes on, and is decided when it would have been", "[buffer]") {
  BufferFixture f;
  f.add({{.trace = 1, .id = 1, .status = 2}}, 0ms);
  for (const ClosedTrace& one : take_all(f)) f.buffer.put_back(one);
  f.add({{.trace = 1, .id = 2}}, 10s);
  CHECK(f.buffer.traces_held() == 1);
  CHECK(f.close_due(29s) == 0);
  CHECK(f.close_due(31s) == 1);
  CHECK(f.reader.trace(f.closed.front()).facts.spans == 2);
  f.settle_all();
  CHECK(f.buffer.counters().forwarded == 2);
}

TEST_CASE("a trace is known while it is open and while its verdict is remembered", "[buffer]") {
  BufferLimits limits;
  limits.cache_bytes = 1 << 16;
  BufferFixture f(limits);
  CHECK_FALSE(f.buffer.knows(id_of(1)));
  f.add({{.trace = 1, .id = 1}}, 0ms);
  CHECK(f.buffer.knows(id_of(1)));
  f.close_due(31s);
  CHECK(f.buffer.knows(id_of(1)));
  CHECK_FALSE(f.buffer.knows(id_of(2)));
  f.buffer.remember(id_of(2), Verdict());
  CHECK(f.buffer.knows(id_of(2)));
}
