// SPDX-License-Identifier: Apache-2.0
#include "head/config.h"

#include <catch2/catch.hpp>

using namespace tailgate;
using namespace std::chrono_literals;
using Target = AdaptiveConfig::Target;

namespace {

struct ReadConfig {
  explicit ReadConfig(const std::string& yaml) {
    auto loaded = load_config_text("remote_sampling: " + yaml + "\n", "test.yaml");
    REQUIRE(loaded);
    LoadOptions options;
    options.issues = loaded->issues;
    const ConfigNode node = loaded->root.child("remote_sampling");
    config = read_remote_sampling(node, "test.yaml", options);
    node.finish();
    errors = messages(loaded->issues->errors);
  }
  RemoteSamplingConfig config;
  std::vector<std::string> errors;
};

}  // namespace

TEST_CASE("each target is a key, and the rest has defaults", "[head]") {
  CHECK_FALSE(ReadConfig("{}").config.adaptive);
  CHECK(ReadConfig("{}").config.strategies->of("any").probability == 0.001);
  CHECK(ReadConfig("{default_sampling_probability: 0.5}").config.strategies->of("any").probability == 0.5);
  const AdaptiveConfig traces = *ReadConfig("{adaptive: {traces_per_second: 5}}").config.adaptive;
  CHECK(traces.target == Target::kTraces);
  CHECK(traces.per_second == 5);
  CHECK(traces.initial_probability == 0.001);
  CHECK(traces.poll_interval == 60s);
  CHECK_FALSE(traces.entries);
  const ReadConfig spans(
      "{default_sampling_probability: 0.5, adaptive: {spans_per_second: 1e4, count: entries, poll_interval: 30s}}");
  CHECK(spans.errors.empty());
  CHECK(spans.config.adaptive->target == Target::kSpans);
  CHECK(spans.config.adaptive->per_second == 10'000);
  CHECK(spans.config.adaptive->initial_probability == 0.5);
  CHECK(spans.config.adaptive->entries);
  CHECK(ReadConfig("{adaptive: {kept_traces_per_second: 0.2}}").config.adaptive->target == Target::kKept);
}

TEST_CASE("a bad value of remote sampling is an error that says where and what was wanted", "[head]") {
  const auto error = [](const std::string& yaml) {
    const ReadConfig read(yaml);
    INFO(yaml);
    REQUIRE(read.errors.size() == 1);
    return read.errors[0];
  };
  CHECK(error("{default_sampling_probability: 2}") ==
        "test.yaml:1:49: remote_sampling.default_sampling_probability: expected a probability from 0 to 1, got '2'");
  CHECK(error("{strategies_file: /nowhere/strategies.json}").find("expected a file that can be read") !=
        std::string::npos);
  CHECK(error("{adaptive: {}}")
            .find("remote_sampling.adaptive: expected one of spans_per_second, traces_per_second "
                  "and kept_traces_per_second") != std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 1, spans_per_second: 5}}").find("expected one of") != std::string::npos);
  CHECK(error("{adaptive: {kept_traces_per_second: 1, count: entries}}").find("adaptive.count: expected roots") !=
        std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 0}}").find("expected a number per second over 0") != std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 1, min_probability: 0}}").find("so that it can rise again") !=
        std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 1, lower_bound_traces_per_second: 101}}")
            .find("from 0 to traces_per_second_max") != std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 1, poll_interval: 1s}}").find("6s") != std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 1, operation_expiration: 2m}}").find("five times poll_interval") !=
        std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 1, count: all}}").find("expected one of roots, entries") !=
        std::string::npos);
  CHECK(error("{adaptive: {traces_per_second: 1, target: 1}}").find("target") != std::string::npos);
}
