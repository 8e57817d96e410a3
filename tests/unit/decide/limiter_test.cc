// SPDX-License-Identifier: Apache-2.0
#include "decide/limiter.h"

#include <catch2/catch.hpp>

#include "model/threshold.h"
#include "support/random_otlp.h"
#include "support/times.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

LimitRule rate(double per_second, double burst) { return {.lanes = {{per_second, burst}}}; }

}  // namespace

TEST_CASE("a token bucket starts full and fills up at its rate", "[decide]") {
  Limiter limiter(rate(10, 20));
  CHECK(limiter.take(0, 20, at(0s)));
  CHECK_FALSE(limiter.take(0, 1, at(0s)));
  CHECK_FALSE(limiter.take(0, 1, at(99ms)));
  CHECK(limiter.take(0, 1, at(100ms)));
  CHECK_FALSE(limiter.take(0, 1, at(100ms)));
  CHECK(limiter.take(0, 20, at(10s)));  // no more than the burst is saved up
  CHECK_FALSE(limiter.take(0, 1, at(10s)));
  CHECK_FALSE(limiter.take(0, 21, at(1h)));  // more than the burst never passes
  CHECK(limiter.take(0, 20, at(1h)));
  CHECK_FALSE(limiter.take(0, 1, at(30min)));  // a clock that was read before another's
}

TEST_CASE("a deficit of less than a nanosecond of refill is none", "[decide]") {
  Limiter limiter(rate(3, 3));
  CHECK(limiter.take(0, 3, at(0s)));
  CHECK(limiter.take(0, 1, at(333333333ns)));  // 0.999999999 tokens
  Limiter other(rate(3, 3));
  CHECK(other.take(0, 3, at(0s)));
  CHECK_FALSE(other.take(0, 1, at(333333331ns)));
}

TEST_CASE("what was taken on credit is paid back as time goes by, asked or not", "[decide]") {
  Limiter limiter({.lanes = {{100, 100}}, .total = 100, .per_second = true});
  limiter.set_shares({{0.1}, 0.1}, at(0s));
  CHECK(limiter.take(0, 1, at(0s)));         // a second begins with a member's part: 10
  CHECK(limiter.take(0, 100, at(1s)));       // larger than the part, which is untouched: nine seconds of it too much
  CHECK_FALSE(limiter.take(0, 1, at(10s)));  // 90 are paid back, and nothing is left
  CHECK(limiter.take(0, 10, at(11s)));
  CHECK(limiter.take(0, 100, at(100s)));
  CHECK(limiter.take(0, 10, at(200s)));  // nobody asked meanwhile
}

TEST_CASE("lanes share a total that begins anew each second", "[decide]") {
  Limiter limiter({.lanes = {{60, 60}, {100, 100}}, .total = 100, .per_second = true});
  CHECK(limiter.take(0, 60, at(0s)));
  CHECK_FALSE(limiter.take(0, 1, at(900ms)));  // its share
  CHECK(limiter.take(1, 40, at(900ms)));
  CHECK_FALSE(limiter.take(1, 1, at(900ms)));  // the total
  CHECK(limiter.take(1, 100, at(1s)));
}

TEST_CASE("by randomness the highest get the room, and the cut is a threshold", "[decide]") {
  Limiter limiter(rate(10, 10));
  for (const std::uint64_t percent : std::initializer_list<std::uint64_t>{5, 95, 50, 75, 25})
    limiter.offer(0, 7, percent << 49, 4);
  const TimePoint over = end_of_interval(7);
  const Limiter::Answer high = limiter.answer(0, 7, 75ULL << 49, 4, over);
  CHECK(high.kept);
  CHECK(high.threshold > 50ULL << 49);
  CHECK(high.threshold <= 75ULL << 49);
  CHECK(limiter.answer(0, 7, 95ULL << 49, 4, over).threshold == high.threshold);
  const Limiter::Answer low = limiter.answer(0, 7, 50ULL << 49, 4, over);
  CHECK_FALSE(low.kept);
  CHECK(low.threshold == kUnknownChance);
  limiter.offer(0, 8, 1, 2);  // the 2 that are left, and the 8 that come in
  limiter.offer(0, 8, 2, 8);
  CHECK(limiter.answer(0, 8, 1, 2, end_of_interval(8)).threshold == kCertain);
  CHECK(limiter.answer(0, 7, 95ULL << 49, 4, end_of_interval(8)).threshold == high.threshold);  // asked late
}

TEST_CASE("who was no candidate takes from what the cut left, first come, by a chance nobody knows", "[decide]") {
  Limiter limiter(rate(10, 20));
  limiter.offer(0, 7, 100, 12);
  const TimePoint over = end_of_interval(7);
  CHECK(limiter.answer(0, 7, 100, 12, over).kept);
  // Never offered, offered elsewhere, or grown since: 8 are left, and 10 come in.
  const Limiter::Answer stranger = limiter.answer(0, 7, 101, 10, over);
  CHECK(stranger.kept);
  CHECK(stranger.threshold == kUnknownChance);
  CHECK(limiter.answer(0, 7, 100, 13, over).threshold == kUnknownChance);
  CHECK_FALSE(limiter.answer(0, 7, 100, 13, over).kept);
  CHECK(limiter.answer(0, 0, 5, 8, over).kept);
  const Limiter::Answer none = limiter.answer(0, 0, kNever - 1, 1, over);
  CHECK_FALSE(none.kept);
  CHECK(none.threshold == kUnknownChance);
  CHECK(limiter.answer(0, 0, 5, 10, over + kLimitInterval).kept);  // the next second's
  // A candidate finds what is left then.
  limiter.offer(0, 10, 50, 11);
  CHECK(limiter.answer(0, 0, 5, 5, end_of_interval(10) - 1ms).kept);
  CHECK_FALSE(limiter.answer(0, 10, 50, 11, end_of_interval(10)).kept);
}

TEST_CASE("a limit that was never cut holds too, and what it refused takes no room", "[decide]") {
  Limiter limiter(rate(10, 20));
  CHECK(limiter.answer(0, 0, 1, 19, at(0s)).kept);
  CHECK_FALSE(limiter.answer(0, 0, 1, 2, at(0s)).kept);
  CHECK(limiter.answer(0, 0, 1, 1, at(0s)).kept);
  CHECK_FALSE(limiter.answer(0, 0, 1, 1, at(0s)).kept);

  Limiter lanes({{{5, 5}, {5, 5}}, 8, true});
  CHECK(lanes.answer(0, 0, 1, 5, at(0s)).kept);
  CHECK_FALSE(lanes.answer(1, 0, 1, 4, at(0s)).kept);  // the total
  CHECK(lanes.answer(1, 0, 1, 3, at(0s)).kept);
  CHECK(lanes.answer(1, 0, 1, 5, at(1s)).kept);
}

TEST_CASE("adjusted counts of a cut by randomness estimate what was offered", "[decide]") {
  Random random(3);
  Limiter limiter(rate(200, 200));
  double estimate = 0, variance = 0;
  std::uint64_t offered = 0;
  for (std::uint32_t interval = 1; interval <= 400; ++interval) {
    std::vector<std::uint64_t> candidates(100 + random.below(900));
    for (std::uint64_t& r : candidates) {
      r = random.next() >> 8;
      limiter.offer(0, interval, r, 1);
    }
    offered += candidates.size();
    std::uint64_t kept = 0, threshold = kCertain;
    for (const std::uint64_t r : candidates) {
      const Limiter::Answer answer = limiter.answer(0, interval, r, 1, end_of_interval(interval));
      kept += answer.kept;
      if (answer.kept) threshold = answer.threshold;
      CHECK((!answer.kept || r >= threshold));
    }
    CHECK(kept <= 200);
    const double p = static_cast<double>(kNever - threshold) / static_cast<double>(kNever);
    estimate += static_cast<double>(kept) / p;
    variance += static_cast<double>(kept) * (1 - p) / (p * p);
  }
  CHECK(std::abs(estimate - static_cast<double>(offered)) < 4 * std::sqrt(variance));
}

TEST_CASE("a rule takes effect when its set goes live, and what was spent stays spent", "[decide]") {
  Limiters all;
  const auto limiter = all.get("cap", rate(10, 10));
  CHECK(limiter->take(0, 10, at(0s)));
  CHECK(all.get("cap", rate(1000, 1000)) == limiter);
  CHECK_FALSE(limiter->take(0, 11, at(100ms)));
  limiter->set_rule(rate(1000, 1000));
  CHECK_FALSE(limiter->take(0, 600, at(500ms)));
  CHECK(limiter->take(0, 500, at(500ms)));
}

TEST_CASE("an interval is cut once: who comes after brings no room of his own", "[decide]") {
  Limiter limiter(rate(10, 10));
  for (std::uint64_t n = 0; n < 20; ++n) limiter.offer(0, 7, n << 50, 1);
  int kept = 0;
  for (std::uint64_t n = 0; n < 20; ++n) kept += limiter.answer(0, 7, n << 50, 1, end_of_interval(7) - 1ms).kept;
  CHECK(kept == 10);  // asked before it was over: not by the cut, and they have taken the room
  limiter.offer(0, 7, 1, 1);
  kept = 0;
  for (std::uint64_t n = 0; n < 20; ++n) kept += limiter.answer(0, 7, n << 50, 1, end_of_interval(7)).kept;
  CHECK(kept == 0);  // the cut found no room, and says so of all its candidates
}

TEST_CASE("keys beyond keys_max share a limiter until one is idle", "[decide]") {
  KeyedLimiter limiter(rate(1, 2), 2);
  const auto take = [&](std::uint64_t key, TimePoint now) { return limiter.of(key, now)->take(0, 2, now); };
  CHECK(take(1, at(0s)));
  CHECK(take(2, at(0s)));
  CHECK(limiter.counts().keys == 2);
  CHECK(take(3, at(1s)));
  CHECK_FALSE(take(4, at(1s)));  // with 3
  CHECK_FALSE(take(1, at(1s)));
  CHECK(limiter.counts().keys == 2);
  CHECK(limiter.counts().shared == 2);

  CHECK_FALSE(take(2, at(1500ms)));
  CHECK(take(5, at(12s)));  // 1 and 2 have not been asked for in 10 s; their room was whole again after 2
  CHECK(take(6, at(12s)));
  CHECK(limiter.counts().keys == 2);
  CHECK(limiter.counts().shared == 2);
}

TEST_CASE("the keys of a policy that is gone are forgotten with the last set that had it", "[decide]") {
  Limiters all;
  auto limiter = all.get_keyed("cap", rate(1, 1), 10);
  CHECK(limiter->of(7, at(0s))->take(0, 1, at(0s)));
  limiter.reset();
  CHECK(all.keyed().empty());
  CHECK(all.get_keyed("cap", rate(1, 1), 10)->counts().keys == 0);
}

TEST_CASE("a new rule holds for every key, and what was spent stays spent", "[decide]") {
  Limiters all;
  const auto limiter = all.get_keyed("cap", rate(1, 1), 10);
  CHECK(limiter->of(7, at(0s))->take(0, 1, at(0s)));
  CHECK(all.get_keyed("cap", rate(1000, 1000), 10) == limiter);
  CHECK_FALSE(limiter->of(7, at(1ms))->take(0, 1, at(1ms)));
  limiter->set_rule(rate(1000, 1000), 1);
  CHECK(limiter->of(7, at(2ms))->take(0, 1, at(2ms)));
  CHECK(limiter->of(8, at(2ms))->take(0, 1, at(2ms)));
  CHECK(limiter->counts().shared == 1);
  REQUIRE(all.keyed().size() == 1);
  CHECK(all.keyed()[0].first == "cap");
  CHECK(all.keyed()[0].second.keys == 1);
}
