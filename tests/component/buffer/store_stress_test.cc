// SPDX-License-Identifier: Apache-2.0
// The store under all its threads at once: receivers accept, a sweeper closes, policies change, scrapes read, until
// each kind of thread has done a fixed amount of work. Every snapshot obeys the law of the metrics. Under TSan
// this is the proof that each object has one lock or one owner.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "buffer/store/trace_store.h"
#include "support/kept_sink.h"
#include "support/otlp_builder.h"
#include "support/policies.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kErrors = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";
constexpr const char* kRoutes =
    "[{name: routes, type: string_attribute, string_attribute: {key: http.route, values: [/a]}},"
    " {name: some, type: probabilistic, probabilistic: {sampling_percentage: 20}}]";

PolicySetPtr policy_set(const char* yaml, std::uint32_t epoch, PolicyTables& tables) {
  const auto document = load_config_text(yaml, "test.yaml");
  return PolicySet::build(document->root.items(), {}, {{}}, tables, {.epoch = epoch});
}

// Requests of many small traces and a few large ones; all receivers share the trace ids.
std::vector<std::string> requests(std::uint64_t seed) {
  Random r(seed);
  std::vector<std::string> out;
  std::uint64_t span = seed << 32;
  for (int i = 0; i < 200; ++i) {
    std::vector<SpanSpec> specs;
    for (std::uint64_t n = 1 + r.below(20); n != 0; --n) {
      SpanSpec spec;
      spec.trace = r.one_in(8) ? 1 + r.below(3) : 10 + r.below(500);
      spec.id = ++span;
      spec.parent = r.one_in(3) ? 0 : span - 1;
      spec.status = r.one_in(20) ? 2 : 0;
      spec.name = std::string(r.below(300), 'n');
      if (r.one_in(20)) spec.attributes = {{"http.route", "/a"}};
      specs.push_back(spec);
    }
    out.push_back(request(specs, "service-" + std::to_string(r.below(30))));
  }
  return out;
}

// Enough for all threads to meet often; about a second without sanitizers.
constexpr std::uint64_t kBatches = 50'000, kSweeps = 700, kPolicyChanges = 150, kScrapes = 700;

struct Totals {
  std::uint64_t received, ends, held, forwarded;
};

Totals totals(const TraceStore& store) {
  const BufferCounters c = store.report().snapshot().totals;
  std::uint64_t received = 0;
  for (const std::uint64_t n : c.received) received += n;
  return {received, c.forwarded + c.not_sampled + c.dropped + c.shed[0] + c.shed[1] + c.shed[2] + c.shed[3] + c.held,
          c.held, c.forwarded};
}

void stress(std::size_t pool_bytes, std::size_t queue_bytes) {
  PolicyTables tables;
  ByteBudget budget({64 << 20, pool_bytes, queue_bytes, 64 << 20});
  std::uint32_t epoch = 1;
  std::atomic<std::uint64_t> kept_spans{0}, accepted{0};
  FunctionSink sink([&](const KeptTracePtr& kept) { kept_spans += kept->spans; });
  TraceStoreOptions options;
  options.shards = 3;
  options.limits.decision_wait = 300ms;
  options.limits.decision_wait_after_root = 20ms;
  options.limits.trace_spans_max = 500;
  options.limits.cache_bytes = 1 << 20;
  options.pool_bytes = pool_bytes;
  options.prefix_bytes = pool_bytes / 8;
  const TimePoint origin(1h);
  TraceStore store(options, budget, policy_set(kErrors, epoch, tables), tables, sink, 11, origin);

  // How often each kind of thread has done its work; all go on until every kind has done its share.
  std::atomic<std::uint64_t> batches{0}, sweeps{0}, changes{0}, scrapes{0};
  const auto finished = [&] {
    return batches >= kBatches && sweeps >= kSweeps && changes >= kPolicyChanges && scrapes >= kScrapes;
  };
  std::atomic<std::int64_t> ms{0};  // the clock of all threads, moved by the sweeper
  const auto now = [&] { return origin + std::chrono::milliseconds(ms.load()); };
  std::atomic<std::uint64_t> broken{0};

  std::vector<std::thread> threads;
  for (std::uint64_t t = 1; t <= 3; ++t) {
    threads.emplace_back([&, t] {
      const std::vector<std::string> all = requests(t);
      SpanBatch batch;
      for (std::size_t i = 0; !finished(); ++i) {
        const PolicySetPtr policies = store.policies();
        batch.clear();
        batch.hash_seed = store.hash_seed();
        scan_request(all[i % all.size()], policies->plan(), batch, [](SpanBatch&) { return true; });
        if (store.accept(batch, static_cast<SourceId>(t), now())) accepted += batch.spans.size();
        ++batches;
      }
    });
  }
  threads.emplace_back([&] {
    while (!finished()) {
      ms += 7;
      store.sweep(now());
      ++sweeps;
      std::this_thread::sleep_for(1ms);
    }
  });
  threads.emplace_back([&] {
    while (!finished()) {
      ++epoch;
      store.set_policies(policy_set(epoch % 2 == 0 ? kRoutes : kErrors, epoch, tables));
      ++changes;
      std::this_thread::sleep_for(5ms);
    }
  });
  threads.emplace_back([&] {
    while (!finished()) {
      const Totals t = totals(store);
      broken += t.received != t.ends;
      ++scrapes;
      std::this_thread::sleep_for(1ms);
    }
  });
  for (std::thread& thread : threads) thread.join();

  store.close_all(CloseReason::kShutdown, now());
  const Totals end = totals(store);
  CHECK(broken == 0);
  CHECK(scrapes > 10);
  CHECK(accepted > 1000);
  CHECK(end.received == accepted);
  CHECK(end.received == end.ends);
  CHECK(end.held == 0);
  CHECK(end.forwarded == kept_spans);
  store.sweep(now() + 60s);  // frees prefixes
  CHECK(budget.used(Holder::kTraces) == 0);
  CHECK(budget.used(Holder::kQueues) == 0);
}

}  // namespace

TEST_CASE("the law holds at every scrape while all threads work", "[buffer]") { stress(64 << 20, 64 << 20); }

TEST_CASE("the law holds at every scrape when memory and queues are short", "[buffer]") { stress(256 << 10, 16 << 10); }
