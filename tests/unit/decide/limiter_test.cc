#include "decide/limiter.h"

#include <catch2/catch.hpp>

#include "model/threshold.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

TimePoint at(Duration d) { return TimePoint(1h) + d; }
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
  for (const std::uint64_t percent : {5, 95, 50, 75, 25}) limiter.offer(0, 7, percent << 49, 4);
  const std::uint64_t threshold = limiter.threshold(0, 7);
  CHECK(threshold > 50ULL << 49);
  CHECK(threshold <= 75ULL << 49);
  limiter.offer(0, 8, 1, 10);  // all there is room for
  CHECK(limiter.threshold(0, 8) == kCertain);
  CHECK(limiter.threshold(0, 7) == threshold);  // late askers get the same answer
  CHECK(limiter.threshold(0, 9) == kCertain);   // not offered to: as the last one
}

TEST_CASE("before the first cut a limit holds for those who cannot wait for it, first come, first served", "[decide]") {
  Limiter limiter(rate(10, 20));
  for (int n = 0; n < 5; ++n) {
    limiter.offer(0, 7, 1, 4);
    CHECK(limiter.threshold(0, 6) == kCertain);
  }
  limiter.offer(0, 7, 1, 1);
  CHECK(limiter.threshold(0, 6) == kNever);

  Limiter lanes({{{5, 5}, {5, 5}}, 8, true});
  lanes.offer(0, 7, 1, 5);
  CHECK(lanes.threshold(0, 6) == kCertain);
  lanes.offer(1, 7, 1, 4);
  CHECK(lanes.threshold(1, 6) == kNever);  // the total
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
    const std::uint64_t threshold = limiter.threshold(0, interval);
    std::uint64_t kept = 0;
    for (const std::uint64_t r : candidates) kept += r >= threshold;
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

TEST_CASE("an interval is cut once: who comes after takes that cut and brings no room of his own", "[decide]") {
  Limiter limiter(rate(10, 10));
  for (std::uint64_t n = 0; n < 20; ++n) limiter.offer(0, 7, n << 50, 1);
  const std::uint64_t threshold = limiter.threshold(0, 7);
  CHECK(threshold > 9ULL << 50);
  limiter.offer(0, 7, 1, 1);
  CHECK(limiter.threshold(0, 7) == threshold);
  limiter.offer(0, 8, 1, 1);
  CHECK(limiter.threshold(0, 7) == threshold);
  CHECK(limiter.threshold(0, 8) == kCertain);
}
