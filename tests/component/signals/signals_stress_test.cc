// SPDX-License-Identifier: Apache-2.0
// Signals under all their threads at once: receivers count, scrapes read and let silent series go, the second hand
// ticks. Nothing is lost or counted twice, whatever expires between. Under TSan this is the proof that each object has
// one lock or one owner.
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "signals/signals.h"
#include "support/otlp_builder.h"
#include "support/service_graph_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kRequests = 3000, kThreads = 4, kSpans = 5;

// A request of a server's root and of calls whose other side another thread sends; names change with time, so that
// those of before are silent.
std::string request_of(std::uint64_t thread, std::uint64_t n) {
  std::vector<SpanSpec> specs;
  const std::uint64_t trace = 1 + n, id = 10 * (thread + 1);
  specs.push_back({.trace = trace, .id = id, .name = "root-" + std::to_string(n / 50) + "-" + std::to_string(thread)});
  for (std::uint64_t i = 1; i < kSpans; ++i) {
    // Odd ones are clients; even ones the servers of the next thread's clients.
    const std::uint64_t other = 10 * ((thread + 1) % kThreads + 1);
    specs.push_back({.trace = trace, .id = id + i, .parent = i % 2 == 1 ? id : other + i - 1, .name = "op"});
  }
  twin::TracesData data = traces(specs, "service-" + std::to_string(thread));
  auto* spans = data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans();
  for (int i = 1; i < spans->size(); i += 2) spans->at(i).set_kind(kClient);
  return data.SerializeAsString();
}

// The value at the end of each line that begins with `name`, by the rest of the line.
void read_values(const std::string& page, const std::string& name, std::map<std::string, std::uint64_t>& out) {
  for (const std::string& line : lines_with(sample_lines(page), name)) {
    const std::size_t at = line.rfind(' ');
    out[line.substr(0, at)] = std::stoull(line.substr(at));
  }
}

std::uint64_t sum(const std::map<std::string, std::uint64_t>& values) {
  std::uint64_t out = 0;
  for (const auto& [labels, value] : values) out += value;
  return out;
}

}  // namespace

TEST_CASE("threads that count and scrapes that let series go lose nothing", "[signals]") {
  SignalsConfig config{.span_metrics = ReadSpanMetrics("{series_expiration: 0s, exemplars: {enabled: true}}").config,
                       .service_graph = ReadServiceGraph("{edge_expiration: 1m}").config};
  config.service_graph->ttl = 500h;  // the clock of the scrapes below runs ahead
  config.parts = 2;                  // fewer than threads: they share
  Signals signals(config, 7, TimePoint{});
  const ScanPlan plan = plan_of(config);
  std::atomic<std::uint64_t> begun{0}, done{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t n = 0; n < kRequests; ++n) {
        const std::string bytes = request_of(t, n);
        SpanBatch batch;
        ++begun;
        SpanWatcher& watcher = signals.begin(plan);
        scan_request(
            bytes, plan, batch, [](SpanBatch&) { return true; }, &watcher);
        if (n % 10 == 0) {  // refused, and sent again
          signals.refused();
          scan_request(
              bytes, plan, batch, [](SpanBatch&) { return true; }, &signals.begin(plan));
        }
        signals.taken(TimePoint{} + 1s);
        if (n % 100 == 0) {
          KeptTrace kept;
          kept.exporters = 1;
          kept.otlp = bytes;
          signals.kept(kept, TimePoint{} + std::chrono::seconds(n), 1);
        }
      }
      ++done;
    });
  }
  // Each scrape is a minute later: an edge without a request since the one before goes, and comes again.
  std::map<std::string, std::uint64_t> calls;
  int minutes = 0;
  std::size_t longest = 0;
  while (done < kThreads) {
    Exposition out(OpenMetrics::kYes);
    signals.write(out, TimePoint{} + std::chrono::minutes(++minutes));
    const std::string page = out.take();
    longest = std::max(longest, page.size());
    read_values(page, "traces_spanmetrics_calls_total", calls);
    signals.tick(TimePoint{} + 2s);
    (void)signals.span_metrics()->stats();
    (void)signals.service_graph()->stats();
  }
  for (std::thread& thread : threads) thread.join();
  Exposition out(OpenMetrics::kNo);
  signals.write(out, TimePoint{} + std::chrono::minutes(++minutes));
  const std::string last = out.take();
  read_values(last, "traces_spanmetrics_calls_total", calls);
  CHECK(sum(calls) == kThreads * kRequests * kSpans);
  CHECK(signals.span_metrics()->stats().overflow_spans == 0);
  const ServiceGraph::Stats graph = signals.service_graph()->stats();
  std::uint64_t requests = 0;  // over all lives of each edge
  for (const ServiceCalls& one :
       signals.service_graph()->calls(TimePoint{}, TimePoint{} + 1000h, TimePoint{} + 2s, 100).most)
    requests += one.calls;
  INFO(graph.expired_edges << " edges expired in " << minutes << " scrapes");
  CHECK(graph.waiting == 0);
  CHECK(graph.replaced == 0);
  CHECK(requests == kThreads * kRequests * (1 + (kSpans - 1) / 2));  // roots by `user`, and pairs
}

TEST_CASE("what had no room finds that of series that go while it is counted", "[signals]") {
  constexpr std::size_t kSeries = 1000;
  const auto count = [](SeriesTable& table, std::size_t part_index, std::uint64_t hash) {
    SeriesTable::Part& part = table.part(part_index);
    const MutexLock lock(part.mutex);
    SeriesId series = part.counts.find(hash);
    if (series == SeriesCounts::kUnknown) {
      SeriesTable::Wanted wanted{hash, "l=\"" + std::to_string(hash) + "\""};
      table.resolve(part, {&wanted, 1});
      series = wanted.series;
    }
    ++part.counts.block(series)[0];
    return series;
  };
  const auto see = [](std::span<const SeriesTable::Row>) {};
  for (int round = 0; round < 50; ++round) {
    SeriesTable table({.series_max = kSeries,
                       .shape = {.sums = 0, .counts = 1},
                       .parts = kThreads,
                       .life = {.expiration = 1min, .start_at_zero = 0s}});
    for (std::uint64_t i = 0; i < kSeries; ++i) count(table, i % kThreads, i + 1);
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> hot{0};
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (bool first = true; !over; first = false) {
          count(table, t, 1'000'000 + t);
          if (first) ++hot;
        }
      });
    }
    while (hot < kThreads) std::this_thread::yield();
    table.page(TimePoint{}, see);
    table.page(TimePoint{} + 1min, see);
    over = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(table.stats().expired == kSeries);
    for (std::uint64_t t = 0; t < kThreads; ++t) CHECK(count(table, t, 1'000'000 + t) != kOverflowSeries);
  }
}
