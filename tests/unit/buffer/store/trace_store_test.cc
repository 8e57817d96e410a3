// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/trace_store.h"

#include <catch2/catch.hpp>

#include "otlp_twin.pb.h"
#include "support/buffer_fixture.h"
#include "support/kept_sink.h"
#include "support/log_lines.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

struct StoreFixture {
  explicit StoreFixture(std::size_t queue_bytes = 64 << 20, std::vector<RouteRule> routes = {{}},
                        const std::string& yaml = BufferFixture::kErrors, PolicySetOptions with = {})
      : policies(yaml, routes, 1, with), budget({64 << 20, 64 << 20, queue_bytes, 64 << 20}) {
    TraceStoreOptions options;
    options.shards = 3;
    options.limits.decision_wait = 1s;
    options.limits.cache_bytes = 1 << 20;
    options.limits.explain_bytes = 1 << 20;
    options.pool_bytes = 64 << 20;
    store = std::make_unique<TraceStore>(options, budget, policies.set, *policies.tables, sink, 5, at(0s));
  }

  bool send(const std::string& bytes, Duration when) {
    Scanned scanned(bytes, policies.set->plan());
    scanned.batch.clear();
    scanned.batch.hash_seed = store->hash_seed();
    scan_request(scanned.bytes, policies.set->plan(), scanned.batch, [](SpanBatch&) { return true; });
    return store->accept(scanned.batch, 0, at(when));
  }

  Policies policies;
  ByteBudget budget;
  std::vector<KeptTracePtr> out;
  FunctionSink sink{[this](KeptTracePtr kept) { out.push_back(std::move(kept)); }};
  std::unique_ptr<TraceStore> store;
};

}  // namespace

TEST_CASE("a kept trace comes out with what is said of it", "[buffer]") {
  StoreFixture f;
  f.send(request({{.id = 2, .parent = 1, .start_ms = 5, .end_ms = 40, .status = 2, .name = "child"}}, "db"), 0s);
  f.send(request({{.id = 1, .start_ms = 0, .end_ms = 50, .name = "GET /"}}, "web"), 500ms);
  f.store->sweep(at(1s));
  REQUIRE(f.out.size() == 1);
  const KeptTrace& kept = *f.out[0];
  CHECK(kept.spans == 2);
  CHECK(kept.errors == 1);
  CHECK(kept.has_root);
  CHECK(kept.root_service == "web");
  CHECK(kept.root_name == "GET /");
  CHECK(kept.end_ns - kept.start_ns == 50'000'000);
  CHECK(kept.policy == "errors");
  CHECK(kept.exporters == 1);
  CHECK_FALSE(kept.late);
  CHECK(f.budget.used(Holder::kQueues) == kept.bytes());
}

namespace {

// Has no memory for the first so many deliveries.
struct PoorLog final : DecisionLog {
  PoorLog() : DecisionLog(orders) {}
  void decided(std::span<const DecidedTrace>) override {}
  void swept(TimePoint when) override {
    last_closing = closing();
    last_swept = when;
  }
  std::shared_ptr<Delivery> delivery(const Kept&) override {
    if (fails-- > 0) throw std::bad_alloc();
    return nullptr;
  }
  std::atomic<std::uint64_t> orders{1};
  int fails = 1;
  std::int64_t last_closing = -1;
  TimePoint last_swept{};
};

}  // namespace

TEST_CASE("a kept trace without memory to send it is counted, and no trace is closing for ever", "[buffer]") {
  StoreFixture f;
  PoorLog log;
  f.store->set_decision_log(&log);
  f.send(request({{.trace = 1, .id = 1, .status = 2}, {.trace = 1, .id = 2}}), 0s);
  f.send(request({{.trace = 2, .id = 1, .status = 2}}), 0s);
  f.store->sweep(at(2s));
  f.store->sweep(at(3s));
  CHECK(log.last_closing == 0);
  CHECK(f.out.size() == 1);
  const StoreSnapshot s = f.store->report().snapshot();
  CHECK(s.totals.shed[static_cast<std::size_t>(Shed::kOverload)] + s.totals.forwarded == 3);
  CHECK(s.totals.shed[static_cast<std::size_t>(Shed::kOverload)] > 0);
  f.store->set_decision_log(nullptr);
}

TEST_CASE("a sweep that is late does not say that what it left open is decided", "[buffer]") {
  // One trace a second, and the others wait for the end of the second in which they are judged.
  StoreFixture f(64 << 20, {{}}, "[{name: r, type: rate_limiting, rate_limiting: {traces_per_second: 1}}]",
                 {.use_tracestate = true});
  PoorLog log;
  log.fails = 0;
  f.store->set_decision_log(&log);
  const Duration hold = 1s + 1s + 500ms;  // as the journal has it: decision_wait, an interval and something
  for (std::uint64_t t = 1; t != 20; ++t) f.send(request({{.trace = t, .id = t}}), 5s);
  const auto open = [&] { return f.store->report().snapshot().traces; };
  f.store->sweep(at(9s));  // three seconds late
  bool waited = false;
  for (Duration when = 9s; when < 14s; when += 100ms) {
    f.store->sweep(at(when));
    waited |= open() != 0 && when > 9s;
    if (open() != 0) CHECK(log.last_swept - hold < at(5s));
  }
  CHECK(waited);
  CHECK(open() == 0);
  CHECK(log.last_swept > at(13s));
  f.store->set_decision_log(nullptr);
}

TEST_CASE("while due traces are held none is closed, and then all are", "[buffer]") {
  StoreFixture f;
  PoorLog log;
  log.fails = 0;
  f.store->set_decision_log(&log);
  f.store->hold_due(at(1100ms), at(3s));
  f.send(request({{.trace = 1, .id = 1, .status = 2}}), 0s);
  f.store->sweep(at(1s));  // as in a replay of what came before
  CHECK(f.out.size() == 1);
  log.last_closing = -1;
  f.send(request({{.trace = 2, .id = 1}}), 1050ms);
  for (const Duration now : {Duration(1100ms), Duration(2s), Duration(2999ms)}) {
    f.store->sweep(at(now));
    f.send(request({{.trace = 3, .id = 1}}), now);  // which would help when it is late
  }
  CHECK(f.out.size() == 1);
  CHECK(log.last_closing == -1);  // nor does a journal take them for decided
  f.send(request({{.trace = 2, .id = 2, .status = 2}}), 2999ms);
  f.store->sweep(at(3s));
  REQUIRE(f.out.size() == 2);
  CHECK(f.out[1]->spans == 2);
  f.store->set_decision_log(nullptr);
}

TEST_CASE("while traces wait a journal does not take them for decided", "[buffer]") {
  StoreFixture f;
  PoorLog log;
  log.fails = 0;
  f.store->set_decision_log(&log);
  f.store->sweep(at(1s));
  f.store->set_waits(std::make_shared<const Waits>([](const TraceId& id) { return id == id_of_trace(1); }));
  f.store->sweep(at(2s));
  CHECK(log.last_swept == at(2s));  // nothing waits
  f.send(request({{.trace = 1, .id = 1}, {.trace = 2, .id = 1, .status = 2}}), 2s);
  for (Duration now = 3s; now < 9s; now += 100ms) f.store->sweep(at(now));
  CHECK(f.out.size() == 1);
  CHECK(log.last_swept < at(3s));
  f.store->set_waits(nullptr);
  f.send(request({{.trace = 1, .id = 2, .status = 2}}), 9s);
  f.store->sweep(at(9s));
  REQUIRE(f.out.size() == 2);
  CHECK(f.out[1]->spans == 2);
  CHECK(log.last_swept < at(3s));
  for (Duration now = 9s; now < 14s; now += 100ms) f.store->sweep(at(now));
  CHECK(log.last_swept > at(13s));
  f.store->set_decision_log(nullptr);
}

TEST_CASE("the fate of a trace is known while it is open, and while its verdict is remembered", "[buffer]") {
  StoreFixture f;
  const auto fate = [&](std::uint64_t n) { return f.store->fate(id_of_trace(n)); };
  f.send(request({{.trace = 1, .id = 1, .status = 2}, {.trace = 2, .id = 2}}), 0s);
  CHECK(fate(1) == Fate::kOpen);
  CHECK(fate(3) == Fate::kUnknown);
  f.store->sweep(at(2s));
  CHECK(fate(1) == Fate::kKept);
  CHECK(fate(2) == Fate::kNotKept);
}

TEST_CASE("the sweeper closes what is due, and requests help when it is late", "[buffer]") {
  StoreFixture f;
  const std::string first = request({{.trace = 1, .status = 2}});
  const std::string second = request({{.trace = 2, .status = 2}});
  f.send(first, 0s);
  f.send(second, 950ms);
  f.send(first, 1'090ms);
  CHECK(f.out.empty());
  f.send(first, 1'110ms);
  CHECK(f.out.size() == 1);
  f.store->sweep(at(1'950ms));
  CHECK(f.out.size() == 2);
}

TEST_CASE("the sweeper comes back when something is due, within limits, and soon while memory grows", "[buffer]") {
  StoreFixture f;
  f.send(request({{}}), 0s);
  CHECK(f.store->sweep(at(1ms)) == at(6ms));
  f.store->sweep(at(6ms));
  CHECK(f.store->sweep(at(850ms)) == at(950ms));
  CHECK(f.store->sweep(at(930ms)) == at(1s));
  CHECK(f.store->sweep(at(980ms)) == at(1'030ms));
}

TEST_CASE("a trace larger than a backend takes in one request goes out in parts", "[buffer]") {
  StoreFixture f;
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 1; i <= 50; ++i) specs.push_back({.id = i, .status = 2, .name = std::string(100'000, 'n')});
  f.send(request(specs), 0s);
  f.store->sweep(at(1s));
  REQUIRE(f.out.size() == 3);
  std::uint32_t spans = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(f.out[i]->part == i);
    CHECK(f.out[i]->parts == 3);
    CHECK(f.out[i]->otlp.size() < 2'200'000);
    spans += f.out[i]->spans;
  }
  CHECK(spans == 50);
  CHECK(f.store->report().snapshot().totals.forwarded == 50);
}

TEST_CASE("a span that no backend would parse is shed and the rest of its trace is not", "[buffer]") {
  StoreFixture f;
  std::string bytes = request({{.id = 1, .status = 2}, {.id = 2, .attributes = {{"k", "v"}}}});
  bytes[bytes.find("\x0a\x01k") + 1] = '\x70';
  f.send(bytes, 0s);
  f.store->sweep(at(1s));
  REQUIRE(f.out.size() == 1);
  CHECK(f.out[0]->spans == 1);
  const BufferCounters counters = f.store->report().snapshot().totals;
  CHECK(counters.forwarded == 1);
  CHECK(counters.shed[static_cast<std::size_t>(Shed::kMalformed)] == 1);
}

TEST_CASE("a resource that no backend would parse is read once, however many spans share it", "[buffer]") {
  StoreFixture f;
  std::vector<SpanSpec> spans(3'000, SpanSpec{.status = 2});
  for (std::uint64_t i = 0; i < spans.size(); ++i) spans[i].id = i + 1;
  twin::TracesData data;
  REQUIRE(data.ParseFromString(request(spans)));
  auto* const resource = data.mutable_resource_spans(0)->mutable_resource();
  for (int i = 0; i < 400'000; ++i) resource->add_attributes()->set_key("k");
  resource->add_attributes()->set_key("last");
  std::string bytes = data.SerializeAsString();
  bytes[bytes.find("\x0a\x04last") + 1] = '\x70';
  REQUIRE(f.send(bytes, 0s));
  f.store->sweep(at(1s));
  CHECK(f.out.empty());
  CHECK(f.store->report().snapshot().totals.shed[static_cast<std::size_t>(Shed::kMalformed)] == spans.size());
}

TEST_CASE("texts that are not UTF-8 are repaired in kept traces, once for each resource, and counted", "[buffer]") {
  const LogLines log(LogFormat::kJson, LogLevel::kWarn);
  StoreFixture f;
  for (const std::uint64_t id : std::initializer_list<std::uint64_t>{1, 2, 3}) {
    f.send(request({{.id = id, .parent = id - 1, .status = 2, .name = "caf\xe9"}}, id == 2 ? "db"
                                                                                           : "w\xe9"
                                                                                             "b"),
           0s);
  }
  f.send(request({{.trace = 2, .id = 4, .name = "caf\xe9"}},
                 "w\xe9"
                 "b"),
         0s);  // not kept: not looked at
  f.store->sweep(at(1s));
  REQUIRE(f.out.size() == 1);
  CHECK(f.out[0]->root_service ==
        "w\xEF\xBF\xBD"
        "b");
  CHECK(f.out[0]->root_name == "caf\xEF\xBF\xBD");
  twin::TracesData sent;
  REQUIRE(sent.ParseFromString(f.out[0]->otlp));
  REQUIRE(sent.resource_spans_size() == 2);  // those with the same resource still share it
  CHECK(sent.resource_spans(0).scope_spans(0).spans_size() == 2);
  MetricWriter metrics;
  f.store->report().collect(f.store->report().snapshot(), metrics);
  CHECK_THAT(metrics.text(), Catch::Contains("tailgate_kept_repairs_total{kind=\"text\"} 4\n"));
  CHECK_THAT(metrics.text(), Catch::Contains("tailgate_kept_repairs_total{kind=\"value\"} 0\n"));
  REQUIRE(log.all().size() == 1);
  CHECK_THAT(log.all()[0],
             Catch::Contains(R"("trace_id":")" + f.out[0]->id.hex() + R"(","span_id":"0000000000000001",)"));
}

TEST_CASE("the log names no span when only a resource was repaired", "[buffer]") {
  const LogLines log(LogFormat::kJson, LogLevel::kWarn);
  StoreFixture f;
  f.send(request({{.status = 2}}, "w\xe9"), 0s);
  f.store->sweep(at(1s));
  REQUIRE(log.all().size() == 1);
  CHECK_THAT(log.all()[0], Catch::Contains(R"("span_id":"",)"));
}

TEST_CASE("the memory of repaired spans is charged while their trace is made", "[buffer]") {
  const std::string bytes = request({{.status = 2, .name = std::string(100'000, '\xff')}});  // 300 kB when repaired
  StoreFixture small(500'000), large(1'000'000);
  for (StoreFixture* const f : {&small, &large}) {
    REQUIRE(f->send(bytes, 0s));
    f->store->sweep(at(1s));
  }
  CHECK(small.out.empty());
  CHECK(small.budget.used(Holder::kQueues) == 0);
  CHECK(small.store->report().snapshot().totals.shed[static_cast<std::size_t>(Shed::kQueueFull)] == 1);
  REQUIRE(large.out.size() == 1);
  CHECK(large.budget.used(Holder::kQueues) == large.out[0]->bytes());
}

TEST_CASE("a kept trace that finds no queue is shed with the reason", "[buffer]") {
  StoreFixture full(100);
  full.send(request({{.status = 2}}), 0s);
  full.store->sweep(at(1s));
  CHECK(full.out.empty());
  CHECK(full.store->report().snapshot().totals.shed[static_cast<std::size_t>(Shed::kQueueFull)] == 1);
  CHECK(full.budget.used(Holder::kQueues) == 0);

  StoreFixture nobody(64 << 20, {{{"other"}}});
  nobody.send(request({{.status = 2}}), 0s);
  nobody.store->sweep(at(1s));
  CHECK(nobody.out.empty());
  CHECK(nobody.store->report().snapshot().totals.shed[static_cast<std::size_t>(Shed::kNoExporter)] == 1);
}

TEST_CASE("errors that come after their trace was not sampled are in the metrics", "[buffer]") {
  StoreFixture f;
  f.send(request({{.id = 1}}), 0s);
  f.store->sweep(at(1s));
  f.send(request({{.id = 2, .parent = 1, .status = 2}}), 3s);
  MetricWriter metrics;
  f.store->report().collect(f.store->report().snapshot(), metrics);
  CHECK_THAT(metrics.text(), Catch::Contains("tailgate_late_error_spans_total{close_reason=\"timeout\"} 1\n"));
  CHECK_THAT(metrics.text(), Catch::Contains("tailgate_late_error_spans_total{close_reason=\"size\"} 0\n"));
}

TEST_CASE("late spans of a kept trace go out at once", "[buffer]") {
  StoreFixture f;
  f.send(request({{.id = 1, .status = 2}}), 0s);
  f.store->sweep(at(1s));
  f.send(request({{.id = 2, .parent = 1}}), 3s);
  REQUIRE(f.out.size() == 2);
  CHECK(f.out[1]->late);
  CHECK(f.out[1]->spans == 1);
  CHECK(f.out[1]->policy == "errors");
  CHECK(f.store->report().snapshot().totals.late[0] == 1);
  CHECK(f.store->report().snapshot().totals.held == 0);
}

TEST_CASE("shutdown decides what is open", "[buffer]") {
  StoreFixture f;
  f.send(request({{.trace = 1, .status = 2}, {.trace = 2}}), 0s);
  f.store->close_all(CloseReason::kShutdown, at(100ms));
  CHECK(f.out.size() == 1);
  CHECK(f.store->report().snapshot().totals.decided[0][static_cast<std::size_t>(CloseReason::kShutdown)] == 1);
  CHECK(f.store->report().snapshot().totals.decided[1][static_cast<std::size_t>(CloseReason::kShutdown)] == 1);
}

TEST_CASE("a request that could never fit is refused and the open traces are left alone", "[buffer]") {
  StoreFixture f;
  f.send(request({{.trace = 1}}), 0s);
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 0; i < 8000; ++i) specs.push_back({.trace = 10 + i, .name = std::string(7000, 'n')});
  CHECK_FALSE(f.send(request(specs), 0s));
  CHECK(f.store->report().snapshot().traces == 1);
}

TEST_CASE("the scopes of a resource share its bytes", "[buffer]") {
  StoreFixture f;
  auto data = traces({{.id = 1}}, std::string(10'000, 's'));
  for (int i = 0; i < 9; ++i) {
    auto* scope = data.mutable_resource_spans(0)->add_scope_spans();
    scope->mutable_scope()->set_name(std::string(1, static_cast<char>('a' + i)));
    fill(*scope->add_spans(), {.id = static_cast<std::uint64_t>(i) + 2});
  }
  f.send(data.SerializeAsString(), 0s);
  CHECK(f.store->report().snapshot().prefix_bytes < 13'000);
}

TEST_CASE("a kept trace is charged for the resource of many scopes once, as it is written", "[buffer]") {
  StoreFixture f(200'000);
  for (std::uint64_t n = 1; n <= 100; ++n) {
    twin::TracesData data = traces({{.id = n, .parent = n - 1, .status = 2}});
    data.mutable_resource_spans(0)->mutable_resource()->mutable_attributes(0)->mutable_value()->set_string_value(
        std::string(20'000, 'r'));
    data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_scope()->set_name("scope " + std::to_string(n));
    REQUIRE(f.send(data.SerializeAsString(), 0s));
  }
  f.store->sweep(at(1s));
  REQUIRE(f.out.size() == 1);
  CHECK(f.out[0]->spans == 100);
  CHECK(f.out[0]->otlp.capacity() == f.out[0]->otlp.size());
  CHECK(f.out[0]->bytes() < 40'000);
}

TEST_CASE("what was on its way when a push threw is not sent by the next one", "[buffer]") {
  StoreFixture f;
  int pushes = 0;
  FunctionSink sink([&](KeptTracePtr kept) {
    if (++pushes == 1) throw std::bad_alloc();
    f.out.push_back(std::move(kept));
  });
  TraceStoreOptions options;
  options.shards = 1;
  options.limits.decision_wait = 1s;
  options.limits.cache_bytes = 1 << 20;
  options.pool_bytes = 64 << 20;
  f.store = std::make_unique<TraceStore>(options, f.budget, f.policies.set, *f.policies.tables, sink, 5, at(0s));
  std::vector<SpanSpec> large;  // in three parts: two are left when the first is refused
  for (std::uint64_t i = 1; i <= 50; ++i) large.push_back({.id = i, .status = 2, .name = std::string(100'000, 'n')});
  f.send(request(large), 0s);
  CHECK_THROWS_AS(f.store->sweep(at(1s)), std::bad_alloc);
  CHECK(f.out.empty());

  f.send(request({{.trace = 2, .status = 2}}), 2s);
  f.store->sweep(at(3s));
  REQUIRE(f.out.size() == 1);
  REQUIRE(f.out[0] != nullptr);
  CHECK(f.out[0]->spans == 1);
}

TEST_CASE("what is remembered of a decided trace says why, with the values", "[buffer]") {
  const std::string yaml = R"([
      {name: slow, type: latency, latency: {threshold_ms: 1000}},
      {name: pay, type: string_attribute, string_attribute: {key: http.route, values: [/pay]}},
      {name: deep, type: trace, trace: {condition: 'depth > 2 and service_count > 1'}},
      {name: limit, type: bytes_limiting, bytes_limiting: {bytes_per_second: 10}},
      {name: rules, type: first_match, first_match: [
        {name: errors, policy: {type: status_code, status_code: {status_codes: [ERROR]}}},
        {policy: {type: trace, trace: {condition: 'depth > 1'}}, percentage: 0}]}])";
  StoreFixture f(64 << 20, {{}}, yaml);
  f.send(request({{.trace = 1, .id = 1, .end_ms = 48, .name = "GET /pay"}, {.trace = 1, .id = 2, .parent = 1}}), 0s);
  f.send(request({{.trace = 2, .id = 1, .status = 2, .name = "GET /cart"}}, "shop"), 0s);
  f.store->sweep(at(1s));
  const auto why = [&](std::uint64_t trace) {
    std::map<std::string, std::string> out;
    const auto e = f.store->explainer().explain(id_of_trace(trace));
    for (const ExplainedVote& vote : e->votes) out[vote.policy] = vote.why;
    return out;
  };
  auto first = why(1);
  CHECK(first["slow"] == "duration 48 ms, wanted > 1000 ms");
  CHECK(first["pay"] == "http.route on no span, wanted \"/pay\"");
  CHECK(first["deep"] == "depth 2, wanted depth > 2 and service_count > 1");
  CHECK(first["limit"].ends_with("bytes, wanted at most 20 at once"));
  CHECK(first["rules"] == "rule 2: depth 2, wanted depth > 1; its share is 0");
  CHECK(why(2)["rules"] == "rule errors: a span with status ERROR");
  CHECK(f.store->explainer().explain(id_of_trace(2))->policy == "rules/errors");

  const auto found = [&](const ExplainQuery& query) {
    const auto result = f.store->explainer().recent(query);
    return result ? static_cast<int>(result->size()) : -1;
  };
  CHECK(found({}) == 2);
  CHECK(found({.policy = "rules"}) == 1);
  CHECK(found({.policy = "rules/errors"}) == 1);
  CHECK(found({.policy = "nobody"}) == -1);
  CHECK(found({.service = "web"}) == 1);
  CHECK(found({.service = "*"}) == 2);
  CHECK(found({.service = "shop", .root = "GET /pay"}) == 0);
  CHECK(found({.root = "GET /*"}) == 2);
  // Patterns are matched while a shard's lock is held, so their size has a bound.
  CHECK(found({.root = "GET /*" + std::string(900, 'x')}) == 0);
  CHECK(found({.root = std::string(1001, 'x')}) == -1);
  CHECK(found({.service = std::string(17, '*')}) == -1);
}

TEST_CASE("the last decisions are the newest of all shards, and an unknown policy is told of some that are known",
          "[buffer]") {
  std::string yaml = "[{name: all, type: always_sample}";
  for (int i = 0; i < 150; ++i) yaml += ", {name: p" + std::to_string(i) + ", type: always_sample}";
  StoreFixture f(64 << 20, {{}}, yaml + "]");
  for (std::uint64_t n = 1; n <= 40; ++n) {
    f.send(request({{.trace = n, .id = 1}}), Duration(std::chrono::milliseconds(10 * n)));
    f.store->sweep(at(std::chrono::seconds(1 + n)));
  }
  const auto last = f.store->explainer().recent({.limit = 5});
  REQUIRE(last);
  REQUIRE(last->size() == 5);
  for (std::uint64_t i = 0; i < 5; ++i) CHECK((*last)[i].id == id_of_trace(40 - i));
  const auto unknown = f.store->explainer().recent({.policy = "nobody"});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().text.ends_with("p98 and 51 more, got 'nobody'"));
}
