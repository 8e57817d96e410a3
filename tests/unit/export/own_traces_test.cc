// SPDX-License-Identifier: Apache-2.0
#include "export/own_traces.h"

#include <catch2/catch.hpp>

#include "support/otlp_builder.h"
#include "support/times.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kWall = 1'700'000'000'000'000'000;

struct Fixture {
  explicit Fixture(std::size_t queue_bytes = 1 << 20, std::uint32_t per_minute = 60)
      : budget({0, 0, queue_bytes, 0}),
        own({.exporters = 0b10, .slow = 1s, .spans_per_minute = per_minute, .version = "1.2", .seed = 7}, budget,
            [this](const KeptTracePtr& t) { pushed.push_back(t); }) {}
  ByteBudget budget;
  std::vector<KeptTracePtr> pushed;
  OwnTraces own;
};

}  // namespace

TEST_CASE("an operation that was slow or failed is a span, with its times and why", "[export]") {
  Fixture f;
  f.own.note({"sweep", at(0s), at(999ms), "", {}}, at(1s), kWall);
  CHECK(f.pushed.empty());
  f.own.note({"reload", at(0s), at(1ms), "tailgate.yaml:1:2: bad", {{"tailgate.config", "tailgate.yaml"}}}, at(1s),
             kWall);
  f.own.note({"export", at(0s), at(1s), "", {{"tailgate.attempts", std::uint64_t{3}}}}, at(2s), kWall);
  REQUIRE(f.pushed.size() == 2);

  const KeptTrace& failed = *f.pushed[0];
  CHECK(failed.own);
  CHECK(failed.policy == "_own");
  CHECK(failed.exporters == 0b10);
  CHECK(failed.errors == 1);
  CHECK(failed.end_ns == kWall - 999'000'000);
  CHECK(failed.start_ns == failed.end_ns - 1'000'000);
  CHECK(f.budget.used(Holder::kQueues) == f.pushed[0]->bytes() + f.pushed[1]->bytes());
  CHECK(f.own.stats().queued == 2);

  twin::TracesData data;
  REQUIRE(data.ParseFromString(failed.otlp + f.pushed[1]->otlp));
  REQUIRE(data.resource_spans_size() == 2);
  CHECK(data.resource_spans(0).resource().attributes(0).value().string_value() == "tailgate");
  const twin::Span& span = data.resource_spans(0).scope_spans(0).spans(0);
  CHECK(span.trace_id() == failed.id.view());
  CHECK(span.span_id().size() == 8);
  CHECK(span.name() == "reload");
  CHECK(span.start_time_unix_nano() == failed.start_ns);
  CHECK(span.status().code() == 2);
  CHECK(span.status().message() == "tailgate.yaml:1:2: bad");
  CHECK(span.attributes(0).value().string_value() == "tailgate.yaml");
  const twin::Span& slow = data.resource_spans(1).scope_spans(0).spans(0);
  CHECK(slow.status().code() == 0);
  CHECK(slow.attributes(0).value().int_value() == 3);
  CHECK(slow.trace_id() != span.trace_id());
}

TEST_CASE("own spans are limited to a rate and to the room there is", "[export]") {
  Fixture f(1 << 20, 6);
  const auto note = [&](Duration when) { f.own.note({"sweep", at(when - 2s), at(when), "", {}}, at(when), kWall); };
  for (int i = 0; i < 100; ++i) note(0s);
  CHECK(f.pushed.size() == 6);
  CHECK(f.own.stats().dropped == 94);
  note(9s);
  CHECK(f.pushed.size() == 6);
  note(10s);
  note(10s);
  CHECK(f.pushed.size() == 7);
  for (int i = 0; i < 100; ++i) note(1h);
  CHECK(f.pushed.size() == 13);

  Fixture full(100);
  full.own.note({"reload", at(0s), at(0s), "why", {}}, at(0s), kWall);
  CHECK(full.pushed.empty());
  CHECK(full.own.stats().dropped == 1);
  CHECK(full.budget.used(Holder::kQueues) == 0);
}
