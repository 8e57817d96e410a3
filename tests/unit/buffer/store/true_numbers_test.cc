// SPDX-License-Identifier: Apache-2.0
// What use_tracestate promises: the thresholds written on kept spans estimate how many spans there were.
#include <catch2/catch.hpp>

#include <cmath>

#include "buffer/store/trace_store.h"
#include "support/buffer_fixture.h"
#include "support/kept_sink.h"
#include "support/random_otlp.h"
#include "wire/otlp/tracestate.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

struct Store {
  explicit Store(const std::string& yaml, bool use_tracestate, RecordPolicy record = RecordPolicy::kOff)
      : policies(yaml, {{}}, 1, {.use_tracestate = use_tracestate}),
        budget({1ULL << 32, 1ULL << 32, 1ULL << 32, 1ULL << 32}) {
    TraceStoreOptions options;
    options.shards = 2;
    options.limits.decision_wait = 100ms;
    options.limits.cache_bytes = 1 << 20;
    options.pool_bytes = 512 << 20;
    options.record_policy = record;
    options.limits.wall_at_origin_ns = 5'000'000'000;
    store = std::make_unique<TraceStore>(options, budget, policies.set, *policies.tables, sink, 5, at(0s));
  }
  void send(const twin::TracesData& data, Duration when) {
    const std::string bytes = data.SerializeAsString();
    SpanBatch batch;
    batch.hash_seed = store->hash_seed();
    scan_request(bytes, policies.set->plan(), batch, [](SpanBatch&) { return true; });
    REQUIRE(store->accept(batch, 0, at(when)));
  }
  std::vector<twin::Span> kept_spans() const {
    std::vector<twin::Span> spans;
    for (const KeptTracePtr& kept : out) {
      twin::TracesData data;
      REQUIRE(data.ParseFromString(kept->otlp));
      for (const auto& resource_spans : data.resource_spans()) {
        for (const auto& scope_spans : resource_spans.scope_spans()) {
          for (const auto& span : scope_spans.spans()) spans.push_back(span);
        }
      }
    }
    return spans;
  }

  Policies policies;
  ByteBudget budget;
  std::vector<KeptTracePtr> out;
  FunctionSink sink{[this](KeptTracePtr kept) { out.push_back(std::move(kept)); }};
  std::unique_ptr<TraceStore> store;
};

double weight(const std::string& state, bool& known) {
  const auto threshold = read_ot(state).threshold;
  known = threshold.has_value();
  return known ? std::ldexp(1.0, 56) / static_cast<double>(kNever - *threshold) : 1;
}

std::string random_trace_id(Random& r) {
  std::string id;
  while (id.size() < 16) id += static_cast<char>(r.next());
  return id;
}

}  // namespace

TEST_CASE("adjusted counts estimate the true count for each kind of policy", "[buffer]") {
  const auto [name, yaml] = GENERATE(table<std::string, std::string>({
      {"probabilistic", "[{name: p, type: probabilistic, probabilistic: {sampling_percentage: 10}}]"},
      {"the most permissive of two",
       "[{name: p, type: probabilistic, probabilistic: {sampling_percentage: 10}},"
       " {name: q, type: probabilistic, probabilistic: {sampling_percentage: 40}}]"},
      {"errors and a baseline",
       "[{name: e, type: status_code, status_code: {status_codes: [ERROR]}},"
       " {name: p, type: probabilistic, probabilistic: {sampling_percentage: 5}}]"},
      {"and",
       "[{name: a, type: and, and: {and_sub_policy: [{name: o, type: status_code, status_code: {status_codes: "
       "[ERROR]}},"
       " {name: p, type: probabilistic, probabilistic: {sampling_percentage: 30}}]}}, {name: rest, type: and, and: "
       "{and_sub_policy: ["
       "{name: n, type: not, not: {not_sub_policy: {name: o, type: status_code, status_code: {status_codes: "
       "[ERROR]}}}},"
       "{name: p, type: probabilistic, probabilistic: {sampling_percentage: 10}}]}}]"},
      {"rate_limiting", "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 500}}]"},
      {"bytes_limiting", "[{name: r, type: bytes_limiting, bytes_limiting: {bytes_per_second: 50000}}]"},
      {"errors beside a rate",
       "[{name: e, type: status_code, status_code: {status_codes: [ERROR]}},"
       " {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 300}}]"},
      {"composite",
       "[{name: c, type: composite, composite: {max_total_spans_per_second: 600, policy_order: [e, rest], "
       "composite_sub_policy:"
       " [{name: e, type: status_code, status_code: {status_codes: [ERROR]}}, {name: rest, type: always_sample}],"
       " rate_allocation: [{policy: e, percent: 20}, {policy: rest, percent: 70}]}}]"},
  }));
  INFO(name);
  Store f(yaml, true);
  Random r(11);
  double sent = 0;
  for (int second = 0; second < 20; ++second) {
    for (int part = 0; part < 10; ++part) {
      twin::TracesData data;
      auto* spans = data.add_resource_spans()->add_scope_spans();
      for (int i = 0; i < 100; ++i) {
        const std::string id = random_trace_id(r);
        const std::uint64_t random = randomness_of(TraceId::from(id.data()));
        const bool head_sampled = r.one_in(3);
        if (head_sampled && random < kNever / 2) continue;  // it was not kept at its head
        const bool error = r.one_in(10);
        for (std::uint64_t n = 1 + r.below(3); n != 0; --n) {
          auto* span = spans->add_spans();
          span->set_trace_id(id);
          span->set_span_id(span_id(n));
          span->set_trace_state(head_sampled ? "v=1,ot=th:8" : "ot=th:0");
          if (error) span->mutable_status()->set_code(2);
          sent += head_sampled ? 2 : 1;
        }
      }
      const Duration now = second * 1s + part * 100ms;
      f.send(data, now);
      f.store->sweep(at(now));
    }
  }
  for (Duration later = 20s; later < 24s; later += 10ms) f.store->sweep(at(later));
  CHECK(f.store->report().snapshot().traces == 0);
  double estimate = 0, variance = 0;
  for (const twin::Span& span : f.kept_spans()) {
    bool known = false;
    const double w = weight(span.trace_state(), known);
    CHECK(known);
    if (span.trace_state().find("v=1") != std::string::npos) CHECK(w >= 2);
    estimate += w;
    variance += w * w * 3;  // spans of a trace come and go together, up to three
  }
  INFO("sent " << sent << ", estimated " << estimate << ", deviation " << std::sqrt(variance));
  CHECK(std::abs(estimate - sent) < 4 * std::sqrt(variance));
  CHECK(f.out.size() < 16'000);  // something was left to chance
}

TEST_CASE("what was kept with certainty keeps its th, what was kept by an unknown chance loses it", "[buffer]") {
  const auto state_of = [](const std::string& yaml, bool use_tracestate, const std::string& in) {
    Store f(yaml, use_tracestate);
    twin::TracesData data = traces({{.status = 2}});
    data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0)->set_trace_id("0123456789" +
                                                                                           std::string(6, '\xff'));
    data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0)->set_trace_state(in);
    f.send(data, 0s);
    for (Duration now = 0s; now < 3s; now += 10ms) f.store->sweep(at(now));
    const auto spans = f.kept_spans();
    REQUIRE(spans.size() == 1);
    return spans[0].trace_state();
  };
  const std::string all = "[{name: all, type: always_sample}]";
  const std::string hashed = "[{name: p, type: probabilistic, probabilistic: {sampling_percentage: 99.9999}}]";
  const std::string limited = "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 100}}]";
  CHECK(state_of(all, true, "a=b,ot=th:2") == "a=b,ot=th:2");
  CHECK(state_of(all, false, "a=b,ot=th:2") == "a=b,ot=th:2");
  CHECK(state_of(hashed, false, "a=b,ot=th:2") == "a=b");
  CHECK(state_of(hashed, false, "a=b") == "a=b");
  CHECK(state_of(limited, false, "ot=th:2") == "");
  CHECK(state_of(limited, true, "ot=th:2") == "ot=th:2");  // there was room for all
  CHECK(state_of("[{name: n, type: not, not: {not_sub_policy: {name: p, type: probabilistic, probabilistic: "
                 "{sampling_percentage: 0.001}}}}]",
                 true, "ot=th:2;x:y") == "ot=x:y");
  CHECK(state_of("[{name: d, type: drop, drop: {drop_sub_policy: [{name: p, type: probabilistic, probabilistic: "
                 "{sampling_percentage: 0.001}}]}},"
                 " {name: all, type: always_sample}]",
                 true, "ot=th:2") == "");
  CHECK(state_of(all, true, "not a tracestate") == "not a tracestate");
}

TEST_CASE("record_policy says on the root span, or on every scope, why a trace was kept", "[buffer]") {
  const auto attribute = [](const auto& attributes, const std::string& key) -> const twin::AnyValue* {
    for (const auto& a : attributes) {
      if (a.key() == key) return &a.value();
    }
    return nullptr;
  };
  const std::vector<SpanSpec> specs = {{.id = 2, .parent = 1, .status = 2},
                                       {.id = 1, .attributes = {{"http.route", "/a"}}}};
  Store root(BufferFixture::kErrors, false, RecordPolicy::kRoot);
  root.send(traces(specs), 0s);
  root.store->sweep(at(200ms));
  for (const twin::Span& span : root.kept_spans()) {
    const twin::AnyValue* const policy = attribute(span.attributes(), "tailgate.policy");
    REQUIRE((policy != nullptr) == (span.span_id() == span_id(1)));
    if (policy == nullptr) continue;
    CHECK(policy->string_value() == "errors");
    CHECK(attribute(span.attributes(), "tailgate.close_reason")->string_value() == "timeout");
    CHECK(attribute(span.attributes(), "tailgate.complete")->bool_value());
    CHECK(attribute(span.attributes(), "tailgate.decision_time_unix_nano")->int_value() == 5'200'000'000);
    CHECK(attribute(span.attributes(), "http.route")->string_value() == "/a");
  }
  Store scope(BufferFixture::kErrors, false, RecordPolicy::kScope);
  scope.send(traces(specs), 0s);
  scope.store->sweep(at(200ms));
  scope.send(traces({{.id = 3, .parent = 1}}), 300ms);
  REQUIRE(scope.out.size() == 2);
  for (const bool late : {false, true}) {
    twin::TracesData data;
    REQUIRE(data.ParseFromString(scope.out[late]->otlp));
    const auto& of = data.resource_spans(0).scope_spans(0).scope();
    CHECK(of.name() == "test");
    CHECK(attribute(of.attributes(), "tailsampling.policy")->string_value() == "errors");
    CHECK((attribute(of.attributes(), "tailsampling.cached_decision") != nullptr) == late);
  }
}

TEST_CASE("a trace that waits for its interval closes at its end, though a span with an unknown parent came",
          "[buffer]") {
  BufferLimits limits;
  limits.decision_wait = 10s;
  limits.decision_wait_after_root = 100ms;
  BufferFixture f(limits, "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 100}}]",
                  {.use_tracestate = true});
  f.add({{.trace = 1}}, 0s);
  f.add({{.trace = 2, .id = 1}}, 800ms);
  CHECK(f.close_due(900ms) == 0);
  CHECK(f.buffer.traces_held() == 2);
  f.add({{.trace = 1, .id = 5, .parent = 9}}, 950ms);
  CHECK_FALSE(f.buffer.close_due(at(1100ms), 1000, f.closed));  // true for ever: it would be looked at without end
  CHECK(f.decided(Decision::kSampled, CloseReason::kRoot) == 2);
  f.settle_all();
}

TEST_CASE("a trace that waited for a member and then waits for its interval is put off all the time", "[buffer]") {
  BufferFixture f({.decision_wait = 100ms}, "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 100}}]",
                  {.use_tracestate = true});
  f.buffer.set_waits(std::make_shared<const Waits>([](const TraceId&) { return true; }));
  f.add({{.trace = 1}}, 0s);
  CHECK(f.close_due(200ms) == 0);
  CHECK(f.buffer.puts_off());
  f.buffer.set_waits(nullptr);
  CHECK(f.close_due(1'300ms) == 0);  // the interval ends at 2 s
  CHECK(f.buffer.traces_held() == 1);
  CHECK(f.buffer.puts_off());
  CHECK(f.close_due(2'100ms) == 1);
  CHECK_FALSE(f.buffer.puts_off());
  f.settle_all();
}

TEST_CASE("a limit by randomness holds where no trace can wait for the end of its interval", "[buffer]") {
  const bool after_waiting = GENERATE(false, true);  // for a while: its interval is not over when memory runs short
  BufferLimits limits;
  limits.decision_wait = 10ms;
  BufferFixture f(limits, "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 50, burst_capacity: 50}}]",
                  {.use_tracestate = true});
  Random random(9);
  std::size_t kept = 0;
  for (int second = 0; second < 20; ++second) {
    for (int part = 0; part < 20; ++part) {
      const Duration now = second * 1s + part * 45ms;
      for (int i = 0; i < 20; ++i) f.add({{.trace = random.next() | 1}}, now);
      if (after_waiting) f.close_due(now + 20ms);
      f.buffer.close_early(CloseReason::kMemory, at(now + 20ms), 1000, f.closed);
    }
    if (second > 1) kept += f.closed.size();
    f.settle_all();
  }
  CHECK(kept > 18 * 25);
  CHECK(kept < 18 * 75);  // of 18 * 400
}

TEST_CASE("a trace that grew while it waited is not the one the cut was about", "[buffer]") {
  BufferLimits limits;
  limits.decision_wait = 10s;
  limits.decision_wait_after_root = 100ms;
  BufferFixture f(limits, "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 2, burst_capacity: 2}}]",
                  {.use_tracestate = true});
  const bool grown = GENERATE(false, true);
  f.add({{.trace = 1}}, 500ms);
  CHECK(f.close_due(650ms) == 0);
  if (grown) f.add({{.trace = 1, .id = 5, .parent = 1}}, 900ms);
  CHECK(f.close_due(999ms) == 0);
  CHECK(f.close_due(1100ms) == 1);
  REQUIRE(f.closed.size() == 1);
  CHECK(f.closed[0].verdict.threshold == (grown ? ThresholdTable::kUnknownCode : 0));
  CHECK(f.buffer.counters().held == (grown ? 2u : 1u));
  f.settle_all();
  CHECK(f.buffer.counters().forwarded == (grown ? 2u : 1u));
}

TEST_CASE("a trace that waits is judged by the set that is live when its interval ends", "[buffer]") {
  BufferLimits limits;
  limits.decision_wait = 10s;
  limits.decision_wait_after_root = 100ms;
  BufferFixture f(limits, "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 100}}]",
                  {.use_tracestate = true});
  const std::string other = GENERATE("r", "s");  // the same limiter, of which it is a candidate, or a new one
  const Policies next("[{name: " + other + ", type: rate_limiting, rate_limiting: {spans_per_second: 100}}]", {{}}, 2,
                      {.use_tracestate = true}, f.policies.tables);
  REQUIRE(next.errors.empty());
  f.add({{.trace = 1}}, 500ms);
  CHECK(f.close_due(650ms) == 0);
  f.buffer.set_policies(next.set);
  CHECK(f.close_due(1100ms) == 1);
  REQUIRE(f.closed.size() == 1);
  CHECK(f.closed[0].judged_by == next.set);
  CHECK(f.closed[0].verdict.threshold == (other == "r" ? 0 : ThresholdTable::kUnknownCode));
  f.settle_all();
}
