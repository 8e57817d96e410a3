// SPDX-License-Identifier: Apache-2.0
// What people get for the mistakes they make: the whole text, since it is what they act on.
#include <catch2/catch.hpp>

#include "support/policies.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("a wrong field is named with its place, what was wanted and what was there", "[decide]") {
  const auto [policy, wanted] = GENERATE(table<std::string, std::string>({
      {"{name: p, type: latency, latency: {threshold_ms: fast}}",
       "50: [0].latency.threshold_ms: expected an integer, got 'fast'"},
      {"{name: p, type: latency, latency: {treshold_ms: 5}}",
       "36: [0].latency.treshold_ms: expected a known key, got 'treshold_ms'; did you mean 'threshold_ms'?"},
      {"{name: p, type: latency, threshold_ms: 5}",
       "40: [0].threshold_ms: expected `name`, `type` and, under `latency:`, its settings; no key 'threshold_ms' here, "
       "got "
       "'5'"},
      {"{name: p, type: string_attribute, string_attribute: {key: a, values: ['(b'], enabled_regex_matching: true}}",
       "71: [0].string_attribute.values[0]: expected a regular expression as RE2 reads it (missing ): (b), got '(b'"},
      {"{name: p, type: numeric_attribute, numeric_attribute: {key: a}}",
       "55: [0].numeric_attribute.min_value: expected min_value, max_value or both, got nothing"},
      {"{name: p, type: status_code, status_code: {status_codes: ERROR}}",
       "58: [0].status_code.status_codes: expected a list, got 'ERROR'"},
      {"{name: p, type: rate_limiting, rate_limiting: {spans_per_second: -1}}",
       "66: [0].rate_limiting.spans_per_second: expected 0 or more, got '-1'"},
      {"{name: p, type: rate_limiting, rate_limiting: {traces_per_second: -1}}",
       "67: [0].rate_limiting.traces_per_second: expected 0 or more, got '-1'"},
      {"{name: p, type: rate_limiting, rate_limiting: {traces_per_second: 1, spans_per_second: 1}}",
       "67: [0].rate_limiting.traces_per_second: expected one of spans_per_second and traces_per_second, got '1'"},
      {"{name: p, type: rate_limiting, rate_limiting: {traces_per_second: 1, per: k, keys_max: 0}}",
       "88: [0].rate_limiting.keys_max: expected 1 to 100000, got '0'"},
      {"{name: p, type: probabilistic, probabilistic: {sampling_percentage: 100.5}}",
       "69: [0].probabilistic.sampling_percentage: expected 0 to 100, got '100.5'"},
      {"{name: p, type: composite, composite: {max_total_spans_per_second: 9, policy_order: [b], composite_sub_policy: "
       "[{name: a, type: always_sample}]}}",
       "86: [0].composite.policy_order[0]: expected the name of a policy of composite_sub_policy, each once, got 'b'"},
      {"{name: p, type: first_match, first_match: [{percentage: 1}, {percentage: 5}]}",
       "44: [0].first_match[0]: expected a `policy`: only the last rule may do without, got a map"},
      {"{name: p, type: ottl_condition, ottl_condition: {span: ['span.nmae == \"a\"']}}",
       "57: [0].ottl_condition.span[0]: column 1: no field 'span.nmae'; did you mean 'span.name'?, got 'span.nmae == "
       "\"a\"'"},
      {"{name: p, type: trace, trace: {condition: 'duration > 2s and'}}",
       "43: [0].trace.condition: column 18: expected a value, but the condition ends here, got 'duration > 2s and'"},
      {"[name, p]", "1: [0]: expected a policy: {name, type, ...}, got a list"},
  }));
  INFO(policy);
  const Policies policies("- " + policy);
  REQUIRE(policies.errors.size() == 1);
  // the column is that of the text without the "- " in front
  const std::size_t colon = wanted.find(':');
  CHECK(policies.errors[0] ==
        "test.yaml:1:" + std::to_string(std::stoi(wanted.substr(0, colon)) + 2) + wanted.substr(colon));
}
