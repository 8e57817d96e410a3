// SPDX-License-Identifier: Apache-2.0
// Microbenchmarks of the hot functions: scan, buffer (append and drop), frame, check. Per span.
#include <benchmark/benchmark.h>
#include <lz4.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>

#include "base/hash.h"
#include "buffer/store/trace_store.h"
#include "cluster/split.h"
#include "config/config_file.h"
#include "decide/condition/condition.h"
#include "decide/policy_set.h"
#include "signals/signals.h"
#include "traffic.h"
#include "wire/otlp/frame.h"
#include "wire/otlp/repair.h"
#include "wire/otlp/scan.h"

using namespace tailgate;
using namespace tailgate::condition;
using namespace tailgate::bench;

namespace {

struct Fixture {
  explicit Fixture(const Shape& shape, FieldOrder order = FieldOrder::kForward) : pool(make_pool(shape, 50, 1, order)) {
    const auto document = load_config_text("policies:" + std::string(kPolicies), "bench");
    policies = PolicySet::build(document->root.child("policies").items(), {}, {{}}, tables, {});
    for (const Group& group : pool) {
      for (const Request& request : group.requests) requests.push_back(ByteView(request.grpc).substr(5));
    }
  }
  std::vector<Group> pool;
  std::vector<ByteView> requests;
  PolicyTables tables;
  PolicySetPtr policies;
};

const Shape& shape_of(const benchmark::State& state) { return state.range(0) == 0 ? kLarge : kSmall; }

void scan(benchmark::State& state) {
  Fixture f(shape_of(state), state.range(2) == 0 ? FieldOrder::kForward : FieldOrder::kBackward);
  SpanBatch batch;
  std::size_t i = 0;
  const ScanPlan none;
  const ScanPlan& plan = state.range(1) == 0 ? none : f.policies->plan();
  for (auto _ : state) {
    batch.clear();
    benchmark::DoNotOptimize(
        scan_request(f.requests[i++ % f.requests.size()], plan, batch, [](SpanBatch&) { return true; }));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * shape_of(state).spans_per_request()));
}

// A request as a daemon of three members has it that owns none of the traces (0), or a third of them (1): scanned, and
// split by their homes.
void split(benchmark::State& state) {
  Fixture f(shape_of(state), FieldOrder::kForward);
  const Homes homes({"a", "b", "c"});
  const Routing routing({homes, homes}, state.range(1) == 0 ? "" : "a", false);
  SpanBatch batch;
  SplitScratch scratch;
  std::vector<SplitPart> parts;
  std::size_t i = 0;
  const ScanPlan none;
  const auto knows = [](const TraceId&) { return false; };
  const auto way_of = [&](const TraceId& id) { return routing.way_of(id, Hop::kStart, knows); };
  for (auto _ : state) {
    batch.clear();
    parts.clear();
    scan_request(f.requests[i++ % f.requests.size()], none, batch, [](SpanBatch&) { return true; });
    benchmark::DoNotOptimize(split_request(batch, routing.names().size(), way_of, scratch, parts));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * shape_of(state).spans_per_request()));
}

// The least that a journal costs here, to tell slow machines from slow code: requests through LZ4 with this
// acceleration (1 is its default), written in megabytes to a file that begins anew after a gigabyte. 0: random letters,
// 1: values like those of SDKs.
void journal_floor(benchmark::State& state) {
  Shape shape = kLarge;
  shape.like_sdk = state.range(0) == 1;
  Fixture f(shape);
  constexpr std::size_t kTogether = 1 << 20, kFile = 1 << 30;
  std::string path = "/tmp/tailgate-bench-XXXXXX", packed(2 * kTogether, '\0');
  const int fd = ::mkstemp(path.data());
  ::unlink(path.c_str());
  std::size_t i = 0, at = 0, raw = 0, written = 0;
  for (auto _ : state) {
    const ByteView request = f.requests[i++ % f.requests.size()];
    at += static_cast<std::size_t>(
        LZ4_compress_fast(request.data(), packed.data() + at, static_cast<int>(request.size()),
                          static_cast<int>(packed.size() - at), static_cast<int>(state.range(1))));
    if ((raw += request.size()) < kTogether) continue;
    if (::pwrite(fd, packed.data(), at, static_cast<off_t>(written)) < 0) state.SkipWithError("cannot write");
    written += at;
    if (written > kFile) written = static_cast<std::size_t>(::ftruncate(fd, 0));
    at = raw = 0;
  }
  ::close(fd);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * shape.spans_per_request()));
}

// Of 1,000 series; four of five spans are a side of a request. 0: not watched, 1: span metrics, 2: a service graph too.
void watch(benchmark::State& state) {
  Shape shape = shape_of(state);
  shape.names = 20;
  shape.calls = true;
  std::vector<Group> pool = make_pool(shape, 50, 1);
  const auto document =
      load_config_text("policies:" + std::string(kPolicies) + "\nspan_metrics:\nservice_graph:\n", "bench");
  SignalsConfig config;
  if (state.range(1) >= 1) config.span_metrics = read_span_metrics(document->root.child("span_metrics"));
  if (state.range(1) >= 2) config.service_graph = read_service_graph(document->root.child("service_graph"));
  PolicyTables tables;
  PolicySetOptions options;
  options.watched = config.attributes();
  options.watched_of_resources = config.resource_attributes();
  const auto policies = PolicySet::build(document->root.child("policies").items(), {}, {{}}, tables, options);
  Signals signals(config, 1, TimePoint{});
  SpanBatch batch;
  std::size_t group = 0, request = 0;
  std::uint64_t id = 0;
  std::vector<TraceId> ids(shape.traces);
  TimePoint now;
  for (auto _ : state) {
    if (request == 0) {
      for (TraceId& one : ids) one = nth_id(1, id++);
    }
    Request& next = pool[group].requests[request];
    for (const auto& [at, trace] : next.ids) std::memcpy(next.grpc.data() + at, ids[trace].bytes.data(), 16);
    if (++request == pool[group].requests.size()) {
      request = 0;
      group = (group + 1) % pool.size();
    }
    now += std::chrono::milliseconds(1);
    batch.clear();
    SpanWatcher* const watcher = config.any() ? &signals.begin(policies->plan()) : nullptr;
    scan_request(
        ByteView(next.grpc).substr(5), policies->plan(), batch, [](SpanBatch&) { return true; }, watcher);
    if (watcher != nullptr) signals.taken(now);
    benchmark::DoNotOptimize(batch);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * shape.spans_per_request()));
}

void append_and_close(benchmark::State& state) {
  Fixture f(shape_of(state));
  ChunkPool chunks(4ULL << 30);
  ByteBudget budget({1ULL << 40, 1ULL << 40, 1ULL << 40, 1ULL << 40});
  TraceBuffer buffer({.decision_wait = std::chrono::seconds(1),
                      .cache_bytes = 64 << 20,
                      .explain_bytes = state.range(1) != 0 ? 64u << 20 : 0},
                     chunks, budget, f.policies, f.tables, 1, TimePoint());
  // Scanned once; only ids change, so that what is measured is the buffer.
  std::vector<std::unique_ptr<SpanBatch>> batches;
  for (const ByteView request : f.requests) {
    auto batch = std::make_unique<SpanBatch>();
    scan_request(request, f.policies->plan(), *batch, [](SpanBatch&) { return true; });
    batches.push_back(std::move(batch));
  }
  const std::size_t services = shape_of(state).services;
  std::vector<std::uint32_t> all;
  for (std::uint32_t t = 0; t < shape_of(state).traces; ++t) all.push_back(t);
  std::uint64_t n = 0;
  AddResult added;
  std::vector<ClosedTrace> closed;
  TimePoint now;
  std::size_t i = 0;
  for (auto _ : state) {
    SpanBatch& batch = *batches[i % batches.size()];
    for (std::size_t t = 0; t < batch.traces.size(); ++t) {
      const TraceId id = batch.traces[t].id = nth_id(1, n + t);
      for (std::uint32_t s = batch.traces[t].first; s != kNoIndex; s = batch.spans[s].next) {
        std::memcpy(const_cast<char*>(batch.spans[s].data) + 2, id.bytes.data(), 16);  // trace_id stands first
      }
    }
    if (++i % services == 0) n += batch.traces.size();
    now += std::chrono::microseconds(80);  // a million spans a second
    added.clear();
    std::size_t bound = 0;
    for (const BatchTrace& trace : batch.traces) bound += pool_bytes_bound(trace.facts.bytes, trace.facts.spans);
    budget.charge(Holder::kTraces, bound);
    buffer.add(batch, all.data(), all.size(), 0, now, added);
    budget.release(Holder::kTraces, bound - added.pool_bytes);
    closed.clear();
    buffer.close_due(now, 32, closed);
    for (const ClosedTrace& c : closed) buffer.settle(c, {});
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * shape_of(state).spans_per_request()));
}

// Keeps 8 MiB of what it got, as the exporters' queues do.
class ShortQueue final : public KeptSink {
 public:
  void push(KeptTracePtr kept) override {
    bytes_ += kept->bytes();
    for (queue_.push_back(std::move(kept)); bytes_ > 8 << 20; queue_.pop_front()) bytes_ -= queue_.front()->bytes();
  }
  bool make_room(std::size_t, bool) override { return false; }

 private:
  std::deque<KeptTracePtr> queue_;
  std::size_t bytes_ = 0;
};

// A store that holds a second of traces and then keeps them all, or none.
void store(benchmark::State& state) {
  Fixture f(shape_of(state));
  const auto document =
      load_config_text(state.range(1) != 0 ? "policies: [{name: all, type: always_sample}]" : "policies: []", "bench");
  const PolicySetPtr policies = PolicySet::build(document->root.child("policies").items(), {}, {{}}, f.tables, {});
  ByteBudget budget({1ULL << 40, 1ULL << 40, 1ULL << 40, 1ULL << 40});
  ShortQueue queue;
  TraceStoreOptions options;
  options.limits = {.decision_wait = std::chrono::seconds(1), .cache_bytes = 64 << 20, .explain_bytes = 64 << 20};
  options.pool_bytes = 4ULL << 30;
  options.prefix_bytes = 64 << 20;
  TraceStore traces(options, budget, policies, f.tables, queue, 1, TimePoint());
  std::vector<std::unique_ptr<SpanBatch>> batches;
  for (const ByteView request : f.requests) {
    auto batch = std::make_unique<SpanBatch>();
    batch->hash_seed = traces.hash_seed();
    scan_request(request, policies->plan(), *batch, [](SpanBatch&) { return true; });
    batches.push_back(std::move(batch));
  }
  const std::size_t services = shape_of(state).services;
  std::uint64_t n = 0;
  TimePoint now;
  std::size_t i = 0;
  for (auto _ : state) {
    SpanBatch& batch = *batches[i % batches.size()];
    for (std::size_t t = 0; t < batch.traces.size(); ++t) {
      batch.traces[t].id = nth_id(1, n + t);
      batch.traces[t].hash = hash_bytes(batch.traces[t].id.view(), batch.hash_seed);
    }
    if (++i % services == 0) n += batch.traces.size();
    now += std::chrono::microseconds(400);
    if (!traces.accept(batch, 0, now)) state.SkipWithError("no room");
    if (i % 64 == 0) traces.sweep(now);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * shape_of(state).spans_per_request()));
}

void frame(benchmark::State& state) {
  Fixture f(shape_of(state));
  SpanBatch batch;
  scan_request(f.requests[0], f.policies->plan(), batch, [](SpanBatch&) { return true; });
  std::vector<FrameSpan> spans;
  std::string out;
  for (auto _ : state) {
    spans.clear();
    for (const BatchSpan& span : batch.spans) {
      spans.push_back(
          {batch.groups[span.group].resource, batch.groups[span.group].scope, ByteView(span.data, span.size)});
    }
    out.clear();
    frame_trace(spans, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * batch.spans.size()));
}

// What every kept span is asked before it goes on.
void check(benchmark::State& state) {
  Fixture f(shape_of(state));
  SpanBatch batch;
  scan_request(f.requests[0], f.policies->plan(), batch, [](SpanBatch&) { return true; });
  for (auto _ : state) {
    for (const BatchSpan& span : batch.spans) {
      benchmark::DoNotOptimize(form_of(ByteView(span.data, span.size), Part::kSpan));
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * batch.spans.size()));
}

// One condition over one scanned span of the large shape: what asking it costs, without the scan.
constexpr const char* kConditions[] = {
    R"(attributes["http.route"] == "/checkout")",
    R"(attributes["app.attribute.3"] > 100)",
    R"(kind == SPAN_KIND_SERVER and status.code == STATUS_CODE_ERROR)",
    R"(name == "operation" or name == "other")",
    R"(resource.attributes["service.name"] == "service-9")",
    R"(end_time - start_time > Duration("10s"))",
    R"(IsMatch(attributes["http.route"], "^/pay/[0-9]+"))",
    R"(IsMatch(name, "^GET /(users|orders)/[0-9]+$"))",
    R"(HasPrefix(ToLowerCase(name), "get") and Split(attributes["http.route"], "/")[1] == "pay")",
    R"(Len(attributes) > 100 or Substring(SHA256(attributes["http.route"]), 0, 2) == "00")",
};

void ask_condition(benchmark::State& state) {
  Fixture f(kLarge);
  struct Asked final : SpanPredicate {
    bool on_resource(const ByteView*) const override { return false; }
    bool on_span(const SpanFields& span) const override {
      if (!std::exchange(done, true)) {
        for (auto _ : *state) benchmark::DoNotOptimize(asked->evaluate({span}));
      }
      return true;
    }
    const Condition* asked = nullptr;
    benchmark::State* state = nullptr;
    mutable bool done = false;  // the first span answers for all
  };
  ScanPlan plan;
  const char* const text = kConditions[state.range(0)];
  const Result<Condition> parsed = parse_condition(text, ConditionKind::kSpan, plan);
  auto predicate = std::make_unique<Asked>();
  predicate->asked = &*parsed;
  predicate->state = &state;
  plan.add(std::move(predicate));
  SpanBatch batch;
  scan_request(f.requests[0], plan, batch, [](SpanBatch&) { return true; });
  state.SetLabel(text);
}

// The scan of the large shape with n policies, each one condition on the same key: what one more costs.
void scan_with_conditions(benchmark::State& state) {
  std::string yaml = "policies:";
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    yaml += "\n  - {name: p" + std::to_string(i) +
            ", type: ottl_condition, ottl_condition: {span: ['attributes[\"http.route\"] == \"/none/" +
            std::to_string(i) + "\"']}}";
  }
  Fixture f(kLarge);
  const auto document = load_config_text(yaml, "bench");
  PolicyTables tables;
  const auto policies = PolicySet::build(document->root.child("policies").items(), {}, {{}}, tables, {});
  SpanBatch batch;
  std::size_t i = 0;
  for (auto _ : state) {
    batch.clear();
    benchmark::DoNotOptimize(
        scan_request(f.requests[i++ % f.requests.size()], policies->plan(), batch, [](SpanBatch&) { return true; }));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kLarge.spans_per_request()));
}

// A log of 1 GiB that is full, some five million decisions.
ExplainLog& full_log() {
  static ExplainLog* const log = [] {
    auto* const filled = new ExplainLog(1 << 30, 64, 2, 1);
    const std::vector<Ballot> ballots(4);
    for (std::uint64_t n = 0; n < 7'000'000; ++n) filled->put(nth_id(1, n), ballots).spans = 50;
    return filled;
  }();
  return *log;
}

void remember(benchmark::State& state) {
  ExplainLog& log = full_log();
  const std::vector<Ballot> ballots(4);
  std::uint64_t n = 10'000'000;
  for (auto _ : state) log.put(nth_id(1, n++), ballots).spans = 50;
  state.counters["records"] = static_cast<double>(log.size());
}

void explain(benchmark::State& state) {
  ExplainLog& log = full_log();
  std::uint64_t found = 0, n = 0;
  for (auto _ : state) {
    n += 7919;
    found += log.find(nth_id(1, 6'999'999 - n % 5'000'000)) != nullptr;
  }
  state.counters["found"] = static_cast<double>(found) / static_cast<double>(state.iterations());
}

}  // namespace

// Arguments: shape (0 large, 1 small); for scan: policies (0 none, 1 the four of the load test), order of fields (0
// forward, 1 backward); for append_and_close: is /explain on?
BENCHMARK(scan)->ArgsProduct({{0, 1}, {0, 1}, {0, 1}});
BENCHMARK(split)->ArgsProduct({{0, 1}, {0, 1}});
BENCHMARK(watch)->ArgsProduct({{0, 1}, {0, 1, 2}});
BENCHMARK(journal_floor)->ArgsProduct({{0, 1}, {1, 8}});
BENCHMARK(append_and_close)->Args({0, 1})->Args({0, 0})->Args({1, 1})->Args({1, 0})->MinTime(3);
BENCHMARK(store)->Args({0, 0})->Args({0, 1})->Args({1, 0})->Args({1, 1})->MinTime(2);
BENCHMARK(explain);
BENCHMARK(remember);
BENCHMARK(frame)->Args({0})->Args({1});
BENCHMARK(check)->Args({0})->Args({1});
BENCHMARK(ask_condition)->DenseRange(0, 9);
BENCHMARK(scan_with_conditions)->Arg(0)->Arg(1)->Arg(10)->Arg(100);
BENCHMARK_MAIN();
