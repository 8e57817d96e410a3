// SPDX-License-Identifier: Apache-2.0
#include "settings/capacity.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <regex>

#include "base/units.h"
#include "settings/assembly.h"
#include "support/buffer_fixture.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

SamplingConfig with_limit(std::size_t memory_limit, Duration wait) {
  SamplingConfig out;
  out.memory_limit = memory_limit;
  out.cache_bytes = default_cache_bytes(memory_limit);
  out.explain_bytes = default_explain_bytes(memory_limit);
  out.store.limits.decision_wait = wait;
  return out;
}

std::size_t share(std::size_t limit, std::size_t caches, std::size_t tls) {
  return budget_caps(limit, caches, tls)[static_cast<std::size_t>(Holder::kTraces)];
}

}  // namespace

TEST_CASE("the least memory_limit gives the share asked for, and one MiB less does not", "[settings]") {
  for (const std::size_t tls : {std::size_t{0}, std::size_t{1484}}) {
    for (const std::size_t traces : {30 * kMiB, 150 * kMiB, 1500 * kMiB, 20'000 * kMiB}) {
      CAPTURE(tls, traces);
      const std::size_t limit = memory_limit_for(traces, with_limit(512 * kMiB, 30s), tls);
      const auto caches = [](std::size_t l) { return default_cache_bytes(l) + default_explain_bytes(l); };
      CHECK(share(limit, caches(limit), tls) >= traces);
      const std::size_t less = limit - kMiB;
      CHECK((less < kMemoryLimitMin || share(less, caches(less), tls) < traces));
    }
  }
  CHECK(memory_limit_for(1, with_limit(512 * kMiB, 30s), 0) == kMemoryLimitMin);
}

TEST_CASE("caches that the configuration sets keep their size at another limit", "[settings]") {
  SamplingConfig sampling = with_limit(512 * kMiB, 30s);
  const std::size_t by_default = memory_limit_for(1000 * kMiB, sampling, 0);
  sampling.cache_bytes = 8 * kMiB;
  CHECK(memory_limit_for(1000 * kMiB, sampling, 0) < by_default - 56 * kMiB);
}

TEST_CASE("the time that fits into a share is the time that it was computed for", "[settings]") {
  const Traffic traffic{50'000, 900, 10};
  for (const Duration open : {5s, 30s, 600s}) {
    const Duration fits = open_time(traffic, open_bytes(traffic, open));
    CHECK(fits <= open);
    CHECK(fits > open - 10ms);
  }
  CHECK(open_time(traffic, 0) == 0ms);
}

TEST_CASE("the report says what a rate needs, what there is, and after how long traces would be decided",
          "[settings]") {
  // 5 MB/s for 30 s need 150 MB and more of the share `traces`; of 274 MiB it has 82 MB.
  const CapacityReport little = report_capacity({5'400, 931, 8}, with_limit(274 * kMiB, 30s), 0);
  CHECK_FALSE(little.enough);
  CHECK(little.text.find("need 16") != std::string::npos);
  CHECK(little.text.find("memory_limit   needs ") != std::string::npos);
  CHECK(little.text.find("is 274MiB") != std::string::npos);
  CHECK(little.text.find("traces would be decided after 1") != std::string::npos);

  const CapacityReport enough = report_capacity({5'400, 931, 8}, with_limit(512 * kMiB, 30s), 0);
  CHECK(enough.enough);
  CHECK(enough.text.find("would be decided") == std::string::npos);
}

TEST_CASE("what is computed for open traces is what they are charged, up to a fifth more", "[settings]") {
  struct Case {
    std::size_t span_bytes, trace_spans, spans_each;  // the last: of a trace in one request
  };
  for (const auto& [span_bytes, trace_spans, spans_each] :
       {Case{280, 1, 1}, Case{280, 8, 8}, Case{280, 8, 1}, Case{500, 10, 10}, Case{500, 10, 2}, Case{950, 50, 10},
        Case{950, 8, 8}, Case{950, 2, 1}, Case{2000, 40, 20}}) {
    CAPTURE(span_bytes, trace_spans, spans_each);
    BufferFixture f({.decision_wait = 600s});
    constexpr std::size_t kTraces = 200;
    for (std::size_t sent = 0; sent < trace_spans; sent += spans_each) {
      for (std::size_t trace = 1; trace <= kTraces; trace += 8) {
        std::vector<SpanSpec> spans;
        for (std::size_t i = 0; i < 8 * spans_each; ++i) {
          const std::size_t n = sent + i % spans_each;
          spans.push_back({.trace = trace + i / spans_each,
                           .id = n + 1,
                           .parent = n / 2,
                           .attributes = {{"k", std::string(span_bytes - 75, 'x')}}});
        }
        f.add_request(request(spans), 1s);
      }
      f.requests.clear();
    }
    const auto spans_per_second = static_cast<double>(kTraces * trace_spans);
    const auto computed =
        static_cast<double>(open_bytes({spans_per_second, span_bytes, trace_spans}, 1s - 100ms));  // closed 100 ms late
    const auto charged = static_cast<double>(f.budget.used(Holder::kTraces));
    CHECK(charged < computed);
    CHECK(charged > 0.8 * computed);
  }
}

TEST_CASE("traffic that nobody has needs more than nothing, and more than there is", "[settings]") {
  // Spans of a byte once made a trace of less than nothing; a rate beyond 64 bits of bytes once needed 0 MiB.
  const Traffic tiny{1'000, 1, 100};
  CHECK(open_bytes(tiny, 30s) > 30 * 1'000 * 36);
  CHECK(open_bytes(tiny, 30s) < 30 * 1'000 * 60);
  CHECK(open_time(tiny, open_bytes(tiny, 30s)) > 29s);

  const Traffic huge{1e9, std::size_t{1} << 30, 1'000'000'000};
  CHECK_FALSE(report_capacity(huge, with_limit(512 * kMiB, 30s), 0).enough);
  CHECK_FALSE(report_capacity(huge, with_limit(512 * kMiB, 100'000h), 0).enough);
  const std::size_t limit = memory_limit_for(open_bytes(huge, 100'000h), with_limit(512 * kMiB, 30s), 0);
  CHECK(share(limit, default_cache_bytes(limit) + default_explain_bytes(limit), 0) >= open_bytes(huge, 100'000h));
}

TEST_CASE("docs/operations.md has the memory_limit that is computed", "[settings]") {
  std::ifstream in(std::string(TAILGATE_SOURCE_DIR) + "/docs/operations.md");
  const std::string page((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::regex row(R"(\n\| `(\d+)` \| (\d+)s \| (\d+) MiB \|)");
  std::size_t rows = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), row), end; it != end; ++it, ++rows) {
    CAPTURE(it->str());
    const Duration wait = std::chrono::seconds(std::stoul((*it)[2]));
    const std::size_t traces = open_bytes({std::stod((*it)[1]), 950, 50}, wait);
    CHECK(memory_limit_for(traces, with_limit(512 * kMiB, wait), 0) == std::stoul((*it)[3]) * kMiB);
  }
  CHECK(rows == 6);
}
