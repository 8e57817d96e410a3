// SPDX-License-Identifier: Apache-2.0
#include "settings/policy_changes.h"

#include <catch2/catch.hpp>

#include "settings/settings.h"

using namespace tailgate;

namespace {

WrittenPolicies written(const std::string& sampling) {
  const auto config = read_daemon_config(
      {.path = "t.yaml", .overrides = {}, .text = "sampling: " + sampling, .environment = [](const std::string& name) {
         return std::optional<std::string>(name == "MS" ? "100" : "");
       }});
  REQUIRE(config);
  return written_policies(config->sampling);
}

}  // namespace

TEST_CASE("policies that a reload added, changed and removed are named in their order", "[settings]") {
  const PolicyChanges changes = compare(
      written("{policies: [{name: a, type: always_sample}, {name: b, type: latency, latency: {threshold_ms: 5}},"
              " {name: c, type: always_sample}, {name: d, type: always_sample}]}"),
      written("{policies: [{name: b, type: latency, latency: {threshold_ms: 6}}, {name: c, type: always_sample},"
              " {name: y, type: always_sample}, {name: x, type: always_sample}]}"));
  CHECK(changes.added == "y, x");
  CHECK(changes.changed == "b");
  CHECK(changes.removed == "a, d");
  CHECK(changes.files == "t.yaml");
}

TEST_CASE("the same values elsewhere in the file, and from the environment, are no change", "[settings]") {
  const PolicyChanges changes =
      compare(written("{policies: [{name: b, type: latency, latency: {threshold_ms: 100}}]}"),
              written("\n  policies:\n    # slow\n    - name: b\n      type: latency\n      latency:"
                      " {threshold_ms: \"${env:MS}\"}\n"));
  CHECK_FALSE(changes.any());
  CHECK(changes.files.empty());
}

TEST_CASE("a shadow policy is told from a policy of its name", "[settings]") {
  const PolicyChanges changes = compare(written("{policies: [{name: a, type: always_sample}]}"),
                                        written("{policies: [{name: a, type: always_sample}],"
                                                " shadow_policies: [{name: a, type: span_count}]}"));
  CHECK(changes.added == "a (shadow)");
  CHECK(changes.changed.empty());
}

TEST_CASE("another order and the options of all policies are changes", "[settings]") {
  const PolicyChanges changes =
      compare(written("{policies: [{name: a, type: always_sample}, {name: b, type: always_sample}]}"),
              written("{use_tracestate: true, sample_on_first_match: true,"
                      " policies: [{name: b, type: always_sample}, {name: a, type: always_sample}]}"));
  CHECK(changes.changed == "the order, use_tracestate, sample_on_first_match");
  CHECK(changes.files.empty());
}

TEST_CASE("of a thousand names the first twenty are listed", "[settings]") {
  const std::string text = listed(std::vector<std::string>(1000, "p"));
  CHECK(text.ends_with("p, p and 980 more"));
  CHECK(text.size() == 20 * 3 - 2 + 13);
}
