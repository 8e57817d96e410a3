// SPDX-License-Identifier: Apache-2.0
#include "settings/settings.h"

#include <catch2/catch.hpp>

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

// A whole configuration with `sampling` as its section of that name. Reads no file and no variable.
DaemonConfig read(const std::string& sampling, std::vector<std::string> overrides = {}) {
  auto config = read_daemon_config({.path = "test.yaml",
                                    .overrides = std::move(overrides),
                                    .text = "receivers: {otlp: }\nexporters: {debug: }\nsampling: " + sampling + "\n",
                                    .environment = [](const std::string&) { return std::optional<std::string>(); }});
  REQUIRE(config);
  return std::move(*config);
}

}  // namespace

TEST_CASE("the defaults of sampling follow from memory_limit", "[settings]") {
  const SamplingConfig sampling = read("{memory_limit: 512MiB}").sampling;
  CHECK(sampling.memory_limit == 512ULL << 20);
  CHECK(sampling.cache_bytes == 32ULL << 20);    // a sixteenth
  CHECK(sampling.explain_bytes == 32ULL << 20);  // a sixteenth
  CHECK(sampling.store.limits.decision_wait == Duration(30s));
  CHECK(sampling.store.limits.trace_spans_max == 100'000);
  CHECK_FALSE(sampling.use_tracestate);
}

TEST_CASE("the default of the decision cache is 4 to 64 MiB", "[settings]") {
  CHECK(read("{memory_limit: 96MiB}").sampling.cache_bytes == 6ULL << 20);
  CHECK(read("{memory_limit: 4GiB}").sampling.cache_bytes == 64ULL << 20);
  CHECK(read("{memory_limit: 4GiB}").sampling.explain_bytes == 64ULL << 20);
}

TEST_CASE("an override replaces one value, and the last one counts", "[settings]") {
  const DaemonConfig config =
      read("{memory_limit: 512MiB}", {"sampling.decision_wait=2s", "sampling.decision_wait=3s", "io_threads=3"});
  CHECK(config.sampling.store.limits.decision_wait == Duration(3s));
  CHECK(config.io_threads == 3);
}
