// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "config/config_file.h"
#include "decide/policy_set.h"
#include "support/times.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

// A set of live policies and shadows, asked about traces of one span by hand.
struct Sets {
  Sets(const std::string& live, const std::string& shadow, bool use_tracestate) {
    const auto policies = load_config_text(live, "live.yaml");
    const auto shadows = load_config_text(shadow, "shadow.yaml");
    REQUIRE(policies);
    REQUIRE(shadows);
    set = PolicySet::build(policies->root.items(), shadows->root.items(), {{}}, tables,
                           {.use_tracestate = use_tracestate});
    CHECK(policies->issues->errors.empty());
    CHECK(shadows->issues->errors.empty());
    set->activate();
    words.resize(set->plan().words() + 1);
  }
  // Of a trace with this randomness, and with this many errors. Bit 0 is the first predicate's answer.
  std::optional<Verdict> decide(std::uint8_t n, std::uint64_t random, std::uint32_t errors, std::uint32_t interval,
                                bool bit = false) {
    TraceId id;
    id.bytes[15] = static_cast<char>(n);
    TraceFacts facts;
    facts.spans = 1;
    facts.errors = errors;
    words[0] = bit;
    JudgedTrace trace{id, facts, words.data(), words.data() + set->plan().bit_words()};
    trace.random = random;
    trace.now = interval == 0 ? at(0s) : end_of_interval(interval);
    trace.interval = interval;
    return set->decide(trace, tally, ballots);
  }
  const PolicyTally::Shadow& of_first_shadow() { return tally.shadow(set->shadow_number_of(0)); }

  PolicyTables tables;
  PolicySetPtr set;
  std::vector<std::uint64_t> words;
  PolicyTally tally;
  std::vector<Ballot> ballots;
};

std::string limit(const std::string& name, int rate) {
  const std::string n = std::to_string(rate);
  return "[{name: " + name + ", type: rate_limiting, rate_limiting: {spans_per_second: " + n +
         ", burst_capacity: " + n + "}}]";
}

}  // namespace

TEST_CASE("a shadow says what it would add, what it would lose, and which errors", "[decide]") {
  Sets sets("[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]",
            "[{name: few, type: probabilistic, probabilistic: {sampling_percentage: 50}}]", true);
  sets.decide(1, 0, 1, 0, true);           // kept, and the shadow would not
  sets.decide(2, kNever - 1, 1, 0, true);  // both
  sets.decide(3, kNever - 1, 0, 0);        // the shadow alone
  sets.decide(4, 0, 0, 0);                 // neither
  const PolicyTally::Shadow& row = sets.of_first_shadow();
  CHECK(row.traces == 4);
  CHECK(row.kept_traces == 2);
  CHECK(row.would_add == 1);
  CHECK(row.would_lose == 1);
  REQUIRE(row.lost_errors.size() == 1);
  CHECK(row.lost_errors[0].bytes[15] == 1);
}

TEST_CASE("a shadow that drops loses what it drops and nothing else", "[decide]") {
  Sets sets("[{name: all, type: always_sample}]",
            "[{name: health, type: drop, drop: {drop_sub_policy: "
            "[{name: h, type: string_attribute, string_attribute: {key: a, values: [b]}}]}}]",
            false);
  sets.decide(1, 0, 1, 0, true);
  sets.decide(2, 0, 1, 0, false);
  CHECK(sets.of_first_shadow().would_lose == 1);
  CHECK(sets.of_first_shadow().would_add == 0);
  REQUIRE(sets.of_first_shadow().lost_errors.size() == 1);
  CHECK(sets.of_first_shadow().lost_errors[0].bytes[15] == 1);
}

TEST_CASE("nobody waits for a shadow: its limits are first come, first served", "[decide]") {
  Sets sets(limit("live", 60), limit("shadow", 20), true);
  const std::uint32_t interval = limit_interval(at(0s));
  for (std::uint8_t n = 0; n < 100; ++n) CHECK_FALSE(sets.decide(n, n * (kNever / 100), 0, 0));
  int kept = 0;
  for (std::uint8_t n = 0; n < 100; ++n) {
    const std::optional<Verdict> verdict = sets.decide(n, n * (kNever / 100), 0, interval);
    REQUIRE(verdict);
    kept += verdict->decision == Decision::kSampled;
  }
  CHECK(kept == 60);
  CHECK(sets.of_first_shadow().kept_traces == 20);
  CHECK(sets.of_first_shadow().would_lose == 60);  // the first 20 have the least randomness
  CHECK(sets.of_first_shadow().would_add == 20);
}

TEST_CASE("a limit inside a composite is not the way around its share", "[decide]") {
  Sets sets(
      "[{name: c, type: composite, composite: {max_total_spans_per_second: 30, composite_sub_policy: "
      "[{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 70, burst_capacity: 70}}]}}]",
      "[]", true);
  const std::uint32_t interval = limit_interval(at(0s));
  for (std::uint8_t n = 0; n < 100; ++n) CHECK_FALSE(sets.decide(n, n * (kNever / 100), 0, 0));
  int kept = 0;
  for (std::uint8_t n = 0; n < 100; ++n) {
    kept += sets.decide(n, n * (kNever / 100), 0, interval)->decision == Decision::kSampled;
  }
  CHECK(kept == 30);
}
