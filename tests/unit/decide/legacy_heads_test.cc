// SPDX-License-Identifier: Apache-2.0
#include "decide/legacy_heads.h"

#include <catch2/catch.hpp>

#include "support/legacy_ids.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

// Traces of a service, evenly over a minute that begins at `minute`.
void see_minute(LegacyHeads& heads, const std::string& service, HeadIds& ids, int traces, int minute) {
  for (int i = 0; i < traces; ++i) {
    heads.see(service, randomness_of(ids.next()), TimePoint(1h) + std::chrono::minutes(minute) + i * 60'000ms / traces);
  }
}

}  // namespace

TEST_CASE("a head that keeps low ids is found after a minute", "[decide]") {
  for (const auto& [head, ratio, traces] :
       {std::tuple(Head::kLowWord, 0.001, 40), std::tuple(Head::kLowWord, 0.01, 2000),
        std::tuple(Head::kJava, 0.001, 40), std::tuple(Head::kJava, 0.01, 2000),
        std::tuple(Head::kLowWord, 1.0 / 1024, 1'000)}) {
    INFO(static_cast<int>(head) << " at " << ratio);
    LegacyHeads heads;
    HeadIds ids(head, ratio), others(Head::kNone, 1);
    see_minute(heads, "shop", ids, traces, 0);
    see_minute(heads, "even", others, traces, 0);
    CHECK_FALSE(heads.is_legacy("shop"));
    CHECK(heads.stats().traces == 0);
    see_minute(heads, "shop", ids, traces, 1);
    see_minute(heads, "even", others, traces, 1);
    CHECK(heads.is_legacy("shop"));
    CHECK_FALSE(heads.is_legacy("even"));
    CHECK(heads.stats().services == 1);
    CHECK(heads.stats().traces == static_cast<std::uint64_t>(traces));
    const auto changes = heads.take_changes();
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].service == "shop");
    CHECK(changes[0].legacy);
    CHECK(heads.take_changes().empty());
  }
}

TEST_CASE("no head, one by threshold, and ratios that do no harm are not found", "[decide]") {
  for (const auto& [head, ratio] :
       {std::pair(Head::kNone, 1.0), std::pair(Head::kThreshold, 0.001), std::pair(Head::kThreshold, 0.2),
        std::pair(Head::kThreshold, 0.5), std::pair(Head::kLowWord, 0.5), std::pair(Head::kLowWord, 0.25)}) {
    INFO(static_cast<int>(head) << " at " << ratio);
    for (const int traces : {30, 1000}) {
      LegacyHeads heads;
      HeadIds ids(head, ratio);
      for (int minute = 0; minute < 200; ++minute) see_minute(heads, "shop", ids, traces, minute);
      CHECK(heads.take_changes().empty());
    }
  }
}

TEST_CASE("a few traces an hour are looked at when there are enough of them", "[decide]") {
  LegacyHeads heads;
  HeadIds ids(Head::kLowWord, 0.001);
  for (int i = 0; i < 25; ++i) {
    CHECK(heads.see("shop", randomness_of(ids.next()), TimePoint(1h) + i * 10min) == (i == 24));  // none is high
  }
}

TEST_CASE("a head that was changed is taken back", "[decide]") {
  LegacyHeads heads;
  HeadIds low(Head::kLowWord, 0.001), even(Head::kNone, 1);
  for (int minute = 0; minute < 2; ++minute) see_minute(heads, "shop", low, 100, minute);
  CHECK(heads.is_legacy("shop"));
  for (int minute = 2; minute < 20; ++minute) see_minute(heads, "shop", even, 200, minute);
  CHECK_FALSE(heads.is_legacy("shop"));
  const auto changes = heads.take_changes();
  REQUIRE(changes.size() == 2);
  CHECK_FALSE(changes[1].legacy);
}

TEST_CASE("services are bounded", "[decide]") {
  LegacyHeads heads;
  HeadIds ids(Head::kLowWord, 0.001);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 3000; ++i) {
      heads.see("service " + std::to_string(i), randomness_of(ids.next()), TimePoint(1h) + round * 2min);
    }
  }
  CHECK(heads.is_legacy(""));  // all those over the bound
  CHECK(heads.stats().services == 1);
  // Those that were silent for an hour make room.
  for (int i = 0; i < 60; ++i) heads.see("late", randomness_of(ids.next()), TimePoint(3h) + i * 2s);
  CHECK(heads.is_legacy("late"));
}

TEST_CASE("the hash is even whatever the head kept", "[decide]") {
  for (const Head head : {Head::kLowWord, Head::kJava}) {
    HeadIds ids(head, 0.001);
    int above = 0;
    for (int i = 0; i < 100'000; ++i) above += hashed_randomness(ids.next()) >= threshold_of_percentage(10);
    CHECK(above == Approx(10'000).epsilon(0.05));
  }
}
