// SPDX-License-Identifier: Apache-2.0
#include "buffer/trace_buffer.h"

#include <catch2/catch.hpp>

#include "codec/protobuf.h"
#include "support/backward_otlp.h"
#include "support/buffer_fixture.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

TEST_CASE("a trace closes when its wait is over, whatever came in between", "[buffer]") {
  BufferFixture f({.decision_wait = 10s});
  f.add({{.id = 1, .status = 2}}, 0s);
  f.add({{.id = 2, .parent = 1}}, 9s);
  CHECK(f.close_due(9'999ms) == 0);
  REQUIRE(f.close_due(10s) == 1);
  CHECK(f.reader.trace(f.closed[0]).facts.spans == 2);
  CHECK(f.closed[0].verdict.reason == CloseReason::kTimeout);
}

TEST_CASE("a due trace that waits for its spans is asked about again each second, and closes with them", "[buffer]") {
  BufferFixture f({.decision_wait = 10s, .decision_wait_after_root = 1s});
  int asked = 0;
  f.buffer.set_waits(std::make_shared<const Waits>([&](const TraceId& id) { return ++asked, id == id_of_trace(1); }));
  f.add({{.trace = 1, .id = 1}, {.trace = 2, .id = 1, .status = 2}}, 0s);
  CHECK(f.close_due(1s) == 1);  // of the other
  CHECK(asked == 2);
  CHECK(f.buffer.puts_off());
  CHECK(f.close_due(1'999ms) == 0);
  CHECK(asked == 2);
  CHECK(f.close_due(20s) == 0);
  CHECK(asked == 3);
  f.buffer.set_waits(nullptr);
  f.add({{.trace = 1, .id = 2, .parent = 1, .status = 2}}, 20'500ms);
  CHECK(f.close_due(20'999ms) == 1);  // a span has it looked at
  CHECK(f.buffer.puts_off());
  CHECK(f.close_due(21'002ms) == 0);
  CHECK_FALSE(f.buffer.puts_off());
  CHECK(f.reader.trace(f.closed.back()).facts.spans == 2);
}

TEST_CASE("memory and size close a trace that waits", "[buffer]") {
  BufferFixture f({.decision_wait = 1s, .trace_spans_max = 2});
  f.buffer.set_waits(std::make_shared<const Waits>([](const TraceId&) { return true; }));
  f.add({{.trace = 1, .id = 1, .status = 2}, {.trace = 2, .id = 1, .status = 2}}, 0s);
  CHECK(f.close_due(9s) == 0);
  f.add({{.trace = 1, .id = 2}}, 9s);
  REQUIRE(f.closed.size() == 1);
  CHECK(f.closed[0].verdict.reason == CloseReason::kSize);
  CHECK(f.buffer.close_early(CloseReason::kMemory, at(9s), 9, f.closed) == 1);
}

TEST_CASE("a trace whose verdict is known does not wait for one", "[buffer]") {
  struct All final : Foregone {
    std::optional<Known> find(const TraceId&) const override { return Known{}; }
  };
  const All all;
  BufferFixture f({.decision_wait = 1s});
  f.buffer.set_waits(std::make_shared<const Waits>([](const TraceId&) { return true; }));
  f.add({{.trace = 1, .id = 1}}, 0s);
  f.close_due(1s);
  CHECK(f.buffer.traces_held() == 1);
  f.buffer.set_foregone(&all);
  f.close_due(2s);
  CHECK(f.buffer.traces_held() == 0);
}

TEST_CASE("waits under a second hold", "[buffer]") {
  BufferFixture f({.decision_wait = 250ms});
  f.add({{.status = 2}}, 0s);
  CHECK(f.close_due(249ms) == 0);
  CHECK(f.close_due(250ms) == 1);
}

TEST_CASE("a wait longer than the wheel holds", "[buffer]") {
  BufferFixture f({.decision_wait = 600s});
  f.add({{.status = 2}}, 0s);
  for (Duration t = 0s; t < 600s; t += 7s) CHECK(f.close_due(t) == 0);
  CHECK(f.close_due(600s) == 1);
}

TEST_CASE("the root closes a trace once it has been quiet and linked", "[buffer]") {
  BufferFixture f({.decision_wait = 30s, .decision_wait_after_root = 2s});
  f.add({{.id = 2, .parent = 1, .status = 2}}, 0s);
  CHECK(f.close_due(5s) == 0);  // no root yet
  f.add({{.id = 1}}, 5s);
  CHECK(f.close_due(6'998ms) == 0);
  f.add({{.id = 3, .parent = 1}}, 6'998ms);  // not quiet
  CHECK(f.close_due(8'997ms) == 0);
  REQUIRE(f.close_due(8'998ms) == 1);
  CHECK(f.closed[0].verdict.reason == CloseReason::kRoot);
}

TEST_CASE("a trace that names a parent not yet seen waits for it", "[buffer]") {
  BufferFixture f({.decision_wait = 30s, .decision_wait_after_root = 2s});
  f.add({{.id = 1, .status = 2}, {.id = 3, .parent = 2}}, 0s);
  CHECK(f.close_due(10s) == 0);
  f.add({{.id = 2, .parent = 1}}, 10s);
  CHECK(f.close_due(11'999ms) == 0);
  REQUIRE(f.close_due(12s) == 1);
  CHECK(f.closed[0].verdict.reason == CloseReason::kRoot);

  f.add({{.trace = 2, .id = 1, .status = 2}, {.trace = 2, .id = 3, .parent = 2}}, 20s);  // the parent never comes
  CHECK(f.close_due(49'999ms) == 0);
  REQUIRE(f.close_due(50s) == 1);
  CHECK(f.closed[1].verdict.reason == CloseReason::kTimeout);
}

TEST_CASE("links are kept for any number of spans", "[buffer]") {
  BufferFixture f({.decision_wait = 30s, .decision_wait_after_root = 1s});
  for (std::uint64_t i = 200; i > 1; --i) f.add({{.id = i, .parent = i - 1}}, 0s);  // children first
  f.add({{.id = 1}}, 0s);
  f.add({{.trace = 2, .id = 1}}, 0s);
  f.close_due(1s);
  CHECK(f.decided(Decision::kNotSampled, CloseReason::kRoot) == 2);
}

TEST_CASE("late spans follow their trace", "[buffer]") {
  BufferFixture f({.decision_wait = 1s, .cache_bytes = 1 << 20});
  f.add({{.trace = 1, .status = 2}, {.trace = 2}}, 0s);
  const std::uint64_t bytes = f.buffer.counters().received_bytes;
  CHECK(bytes == f.buffer.counters().held_bytes);
  CHECK(f.close_due(1s) == 1);
  f.settle_all();
  f.add({{.trace = 1, .id = 9}, {.trace = 2, .id = 9}}, 5s);
  REQUIRE(f.added.late.size() == 1);
  CHECK(f.buffer.counters().received_bytes > bytes);
  CHECK(f.added.late[0].verdict.decision == Decision::kSampled);
  CHECK(f.received() == f.accounted());
  CHECK(f.buffer.counters().held == 1);  // the late span of the kept trace, until it is settled
  f.buffer.settle_late(f.requests.back()->batch.traces[f.added.late[0].trace].facts, {});
  CHECK(f.buffer.counters().held == 0);
  CHECK(f.buffer.counters().held_bytes == 0);
  CHECK(f.buffer.counters().forwarded == 2);
  CHECK(f.buffer.counters().not_sampled == 2);
  CHECK(f.buffer.traces_held() == 0);
}

TEST_CASE("without a cache a late span opens a trace of its own", "[buffer]") {
  BufferFixture f({.decision_wait = 1s, .cache_bytes = 0});
  f.add({{.status = 2}}, 0s);
  f.close_due(1s);
  f.settle_all();
  f.add({{.id = 9}}, 5s);
  CHECK(f.buffer.traces_held() == 1);
}

TEST_CASE("a trace over its caps is decided on the spot and the rest follows", "[buffer]") {
  BufferFixture f({.decision_wait = 10s, .trace_spans_max = 3, .cache_bytes = 1 << 20});
  f.add({{.id = 1, .status = 2}, {.id = 2}}, 0s);
  CHECK(f.closed.empty());
  f.add({{.id = 3}}, 1s);
  REQUIRE(f.closed.size() == 1);
  CHECK(f.closed[0].verdict.reason == CloseReason::kSize);
  f.add({{.id = 4}}, 1s);
  CHECK(f.added.late.size() == 1);

  BufferFixture big({.decision_wait = 10s, .trace_bytes_max = 500});
  big.add({{.status = 2, .name = std::string(600, 'x')}}, 0s);
  REQUIRE(big.closed.size() == 1);
  CHECK(big.closed[0].verdict.reason == CloseReason::kSize);
}

TEST_CASE("maximum_trace_size_bytes drops a trace unjudged, as contrib does", "[buffer]") {
  BufferFixture f({.decision_wait = 10s, .maximum_trace_size_bytes = 500, .cache_bytes = 1 << 20});
  f.add({{.status = 2, .name = std::string(600, 'x')}}, 0s);
  CHECK(f.closed.empty());
  CHECK(f.decided(Decision::kNotSampled, CloseReason::kTooLarge) == 1);
  CHECK(f.buffer.counters().not_sampled == 1);
}

TEST_CASE("closing early takes what is due soonest", "[buffer]") {
  BufferFixture f({.decision_wait = 10s});
  f.add({{.trace = 1, .status = 2}}, 0s);
  f.add({{.trace = 2, .status = 2}}, 1s);
  REQUIRE(f.buffer.close_early(CloseReason::kMemory, at(2s), 1, f.closed) == 1);
  CHECK(f.reader.trace(f.closed[0]).id.view() == trace_id(1));
  CHECK(f.closed[0].verdict.reason == CloseReason::kMemory);
}

TEST_CASE("the stored bytes of a trace are the bytes that came, whatever their sizes and their order", "[buffer]") {
  BufferFixture f({.decision_wait = 1s});
  Random random(11);
  std::vector<std::string> spans;
  for (std::uint64_t i = 0; i < 300; ++i) {
    twin::Span span;
    fill(span, {.id = i + 1, .status = 2, .name = std::string(random.below(3000), 'n')});
    const std::string forward = span.SerializeAsString();
    const std::string id_field = forward.substr(0, 18);
    const auto other_id = "\x0a\x10" + std::string(16, 'o');
    const std::string ways[] = {forward,
                                backward_otlp(span),
                                backward_otlp(span, &random),
                                forward + id_field,  // twice, first and last
                                other_id + forward,  // the last one counts
                                forward.substr(18) + other_id + id_field};
    spans.push_back(ways[random.below(std::size(ways))]);
  }
  for (std::size_t i = 0; i < spans.size(); i += 10) {
    const std::string resource =
        traces({}, i % 20 == 0 ? "web" : "db").resource_spans(0).resource().SerializeAsString();
    std::string scope_spans, resource_spans, request;
    for (std::size_t k = i; k < i + 10; ++k) pb::append_len(scope_spans, 2, spans[k]);
    pb::append_len(resource_spans, 1, resource);
    pb::append_len(resource_spans, 2, scope_spans);
    pb::append_len(request, 1, resource_spans);
    f.add_request(request, 0s);
    REQUIRE(f.requests.back()->result.ok);
  }
  REQUIRE(f.close_due(1s) == 1);
  std::string payload;
  const OpenTrace& trace = f.reader.trace(f.closed[0]);
  f.reader.gather(f.closed[0], payload);
  std::size_t n = 0;
  for_each_span(payload, [&](std::uint32_t prefix, ByteView span) {
    REQUIRE(span == spans[n]);
    CHECK((f.buffer.prefix(prefix).resource().find("web") != std::string::npos) == (n / 10 % 2 == 0));
    ++n;
  });
  CHECK(n == 300);
  CHECK(static_cast<double>(trace.pool_bytes()) < 1.01 * static_cast<double>(trace.facts.bytes));
  const std::size_t used = f.budget.used(Holder::kTraces);
  CHECK(used >= trace.pool_bytes());
  f.settle_all();
  CHECK(f.budget.used(Holder::kTraces) == 0);  // prefixes are charged by the store
}

TEST_CASE("the resource of a thousand requests is stored once, and goes when nobody refers to it", "[buffer]") {
  BufferFixture f({.decision_wait = 1s});
  for (std::uint64_t i = 0; i < 1000; ++i) f.add({{.trace = i, .status = 2}}, 0s, i % 2 == 0 ? "web" : "db");
  const std::size_t bytes = f.buffer.prefix_bytes();
  CHECK(bytes > 0);
  CHECK(bytes < 1000);
  f.close_due(1s);
  f.buffer.tidy(at(60s));
  CHECK(f.buffer.prefix_bytes() == bytes);  // closed but not settled: still being read
  f.settle_all();
  f.buffer.tidy(at(60s));
  CHECK(f.buffer.prefix_bytes() == 0);
}

TEST_CASE("a trace is judged by the policies in force when it closes", "[buffer]") {
  BufferFixture f({.decision_wait = 10s});
  f.add({{.trace = 1, .attributes = {{"http.route", "/a"}}}, {.trace = 2, .attributes = {{"http.route", "/b"}}}}, 0s);
  const Policies routes(
      "[{name: routes, type: string_attribute, string_attribute: {key: http.route, values: [/a]}},"
      " {name: web, type: string_attribute, string_attribute: {key: service.name, values: [shop]}}]",
      {{}}, 2);
  f.buffer.set_policies(routes.set);
  f.add({{.trace = 3, .attributes = {{"http.route", "/a"}}}}, 1s);  // scanned under the old set, still
  f.add({{.trace = 4}}, 1s, "shop");
  CHECK(f.close_due(11s) == 3);  // 1 and 3 by route, 4 by its resource
  CHECK(f.decided(Decision::kNotSampled, CloseReason::kTimeout) == 1);
}

TEST_CASE("a trace that took spans under two sets is asked whole by the last", "[buffer]") {
  BufferFixture f({.decision_wait = 10s});
  f.add({{.id = 1, .status = 2}}, 0s);
  const Policies routes("[{name: routes, type: string_attribute, string_attribute: {key: http.route, values: [/a]}}]",
                        {{}}, 2);
  f.buffer.set_policies(routes.set);
  f.policies.set = routes.set;
  f.add({{.id = 2, .attributes = {{"http.route", "/a"}}}}, 1s);
  CHECK(f.close_due(10s) == 1);
}

TEST_CASE("milliseconds wrap after 49 days and nothing happens", "[buffer]") {
  constexpr Duration kWrap = std::chrono::milliseconds(1LL << 32);
  BufferFixture f({.decision_wait = 10s, .decision_wait_after_root = 1s});
  f.close_due(kWrap / 2 - 1s);  // the sweeper comes by all the time; two visits span the distance here
  f.close_due(kWrap - 5s);
  f.add({{.trace = 1, .id = 2, .parent = 1, .status = 2}}, kWrap - 5s);
  CHECK(f.close_due(kWrap + 4'999ms) == 0);
  CHECK(f.close_due(kWrap + 5s) == 1);
  f.settle_all();
  f.buffer.tidy(at(kWrap + 20s));
  f.add({{.trace = 2, .status = 2}}, kWrap + 20s);
  CHECK(f.close_due(kWrap + 21s) == 1);
  CHECK(f.received() == f.accounted());
}

TEST_CASE("the cache remembers in the order of decision and tells every trace apart", "[buffer]") {
  DecisionCache cache(64 << 10, 5);  // 4,096 entries, 512 of them for kept traces
  Random random(1);
  std::vector<TraceId> ids;
  for (int i = 0; i < 20'000; ++i) {
    TraceId id;
    for (char& c : id.bytes) c = static_cast<char>(random.next());
    ids.push_back(id);
    cache.put(id, Verdict());
  }
  std::size_t recent = 0, old = 0;
  for (std::size_t i = 0; i < 2000; ++i) recent += cache.find(ids[ids.size() - 1 - i]).has_value();
  for (std::size_t i = 0; i < 10'000; ++i) old += cache.find(ids[i]).has_value();
  CHECK(recent > 1900);
  CHECK(old < 10);
  for (int i = 0; i < 20'000; ++i) {
    TraceId id;
    for (char& c : id.bytes) c = static_cast<char>(random.next());
    REQUIRE_FALSE(cache.find(id));
  }
  Verdict kept;
  kept.decision = Decision::kSampled;
  kept.policy = 7;
  cache.put(ids.back(), kept);
  CHECK(cache.find(ids.back())->policy == 7);  // the newer verdict
}

TEST_CASE("a request that read the clock long before it was scanned does not turn time back", "[buffer]") {
  BufferFixture f({.decision_wait = 30s});
  f.add({{.trace = 1, .id = 1, .status = 2}}, 10s);
  f.add({{.trace = 2, .id = 1, .status = 2}}, 5s);  // several generations of the prefixes earlier
  CHECK(f.close_due(39'999ms) == 0);
  REQUIRE(f.close_due(40s) == 2);
  CHECK(f.received() == f.accounted());
}
