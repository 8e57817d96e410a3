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
  CHECK_FALSE(f.buffer.knows(id_of_trace(2)));
  CHECK(f.buffer.knows(id_of_trace(3)));
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
  CHECK_FALSE(f.buffer.knows(id_of_trace(1)));
  f.add({{.trace = 1, .id = 1}}, 0ms);
  CHECK(f.buffer.knows(id_of_trace(1)));
  f.close_due(31s);
  CHECK(f.buffer.knows(id_of_trace(1)));
  CHECK_FALSE(f.buffer.knows(id_of_trace(2)));
  f.buffer.remember(id_of_trace(2), Verdict());
  CHECK(f.buffer.knows(id_of_trace(2)));
}

TEST_CASE("open traces of an origin can be forgotten, and the others go on", "[buffer]") {
  BufferLimits limits;
  limits.cache_bytes = 1 << 16;
  BufferFixture f(limits);
  for (std::uint64_t t = 1; t <= 6'000; ++t)
    f.add_request(request({{.trace = t, .id = 1}, {.trace = t, .id = 2}}), 0ms, static_cast<SpanOrigin>(t % 3));
  f.add_request(request({{.trace = 3, .id = 3}}), 1ms, 1);  // the origin of a trace is that of its first spans
  std::size_t from = 0;
  while (f.buffer.forget(from, 1)) {
  }
  CHECK(f.buffer.traces_held() == 4'000);
  CHECK(f.buffer.counters().forgotten == 4'000);
  CHECK(f.received() == f.accounted() + f.buffer.counters().forgotten);
  CHECK(f.buffer.fate(id_of_trace(1)) == Fate::kUnknown);
  CHECK(f.buffer.fate(id_of_trace(2)) == Fate::kOpen);
  CHECK(f.buffer.fate(id_of_trace(3)) == Fate::kOpen);
  f.add_request(request({{.trace = 1, .id = 1}}), 2ms, 2);  // read again, it is a new trace
  CHECK(f.buffer.fate(id_of_trace(1)) == Fate::kOpen);
  f.close_due(31s);
  CHECK(f.buffer.counters().not_sampled == 8'002);
  CHECK(f.buffer.counters().held == 0);
}

TEST_CASE("a trace that has spans of several origins is not forgotten with one of them", "[buffer]") {
  BufferFixture f;
  for (std::uint64_t t = 1; t <= 3; ++t) f.add_request(request({{.trace = t, .id = 1, .status = 2}}), 0ms, 1);
  f.add_request(request({{.trace = 1, .id = 2}}), 1ms, 0);  // who sent it was told that it is here
  f.add_request(request({{.trace = 2, .id = 2}}), 1ms, 2);
  f.add_request(request({{.trace = 3, .id = 2}}), 1ms, 1);
  std::size_t from = 0;
  while (f.buffer.forget(from, 1)) {
  }
  CHECK(f.buffer.fate(id_of_trace(1)) == Fate::kOpen);
  CHECK(f.buffer.fate(id_of_trace(2)) == Fate::kOpen);
  CHECK(f.buffer.fate(id_of_trace(3)) == Fate::kUnknown);
  CHECK(f.buffer.counters().forgotten == 2);
  f.close_due(31s);
  f.settle_all();
  CHECK(f.buffer.counters().forwarded == 4);
  CHECK(f.received() == f.accounted() + f.buffer.counters().forgotten);
}

TEST_CASE("nothing that is open, or kept and not settled, began before the oldest", "[buffer]") {
  BufferFixture f;
  CHECK(f.buffer.oldest(at(5s)) == at(5s));
  f.add({{.trace = 1, .id = 1, .status = 2}}, 10s);
  f.add({{.trace = 2, .id = 1}}, 20s);
  const auto within = [&](Duration began) {
    const TimePoint oldest = f.buffer.oldest(at(60s));
    return oldest <= at(began) && oldest > at(began - 1100ms);
  };
  CHECK(within(10s));
  CHECK(f.buffer.oldest(at(5s)) == at(5s));
  CHECK(f.close_due(41s) == 1);
  CHECK(within(10s));  // it is on its way out
  f.settle_all();
  CHECK(within(20s));
  f.close_due(51s);
  CHECK(f.buffer.oldest(at(60s)) == at(60s));
}
