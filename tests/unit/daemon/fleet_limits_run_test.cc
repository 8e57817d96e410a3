// SPDX-License-Identifier: Apache-2.0
// Members of a cluster with limiters, under load that is not the same for all: together they hold the limit of one.
// Time is a number.
#include <catch2/catch.hpp>
#include <cmath>

#include "base/hash.h"
#include "cluster/fleet_limits.h"
#include "decide/limiter.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

TimePoint at_second(double seconds) {
  return TimePoint(1h) + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

enum class Mode { kFirstCome, kPerSecond, kByRandom };

struct LimitedMember {
  Limiter limiter;
  FleetLimits fleet;
  double kept = 0, phase = 0;  // when in a second it asks the others
};

struct Run {
  Mode mode = Mode::kFirstCome;
  double rate = 1000;
  std::uint64_t cost_max = 20;
  std::uint64_t random = 11;
  std::vector<std::unique_ptr<LimitedMember>> members;

  Run(Mode of, double per_second, std::uint64_t cost) : mode(of), rate(per_second), cost_max(cost) {
    LimitRule rule{.lanes = {{rate, of == Mode::kPerSecond ? rate : 2 * rate}}};
    rule.per_second = of == Mode::kPerSecond;
    if (rule.per_second) rule.total = rate;
    for (int i = 0; i != 3; ++i) {
      members.push_back(std::unique_ptr<LimitedMember>(new LimitedMember{Limiter(rule), {}, 0, 0.31 * i}));
    }
  }

  // Ten milliseconds of load: units of `wanted` a second, in traces of 1 to cost_max.
  void load(LimitedMember& m, double now, double wanted) {
    for (double left = wanted / 100 * (0.5 + static_cast<double>(next_random(random) % 1000) / 1000); left > 0;) {
      const std::uint64_t cost = 1 + next_random(random) % cost_max;
      left -= static_cast<double>(cost);
      if (mode != Mode::kByRandom) {
        m.kept += m.limiter.take(0, static_cast<double>(cost), at_second(now)) ? static_cast<double>(cost) : 0;
        continue;
      }
      const std::uint64_t r = next_random(random) >> 8;
      const std::uint32_t interval = limit_interval(at_second(now));
      m.limiter.offer(0, interval, r, cost);
      waiting.push_back({&m, interval, r, cost});
    }
  }
  struct Candidate {
    LimitedMember* member;
    std::uint32_t interval;
    std::uint64_t random, cost;
  };
  std::vector<Candidate> waiting;
  void judge(double now) {
    std::erase_if(waiting, [&](const Candidate& c) {
      if (c.interval >= limit_interval(at_second(now))) return false;
      if (c.member->limiter.answer(0, c.interval, c.random, c.cost, at_second(now)).kept)
        c.member->kept += static_cast<double>(c.cost);
      return true;
    });
  }

  void exchange(std::size_t i, double now, bool apart) {
    const std::vector<std::string> names = {"a", "b", "c"};
    LimitedMember& m = *members[i];
    const LimitAsked asked = m.limiter.take_asked();
    m.fleet.asked({{"cap", asked.asked[0], rate}}, at_second(now));
    std::vector<std::string> others;
    for (std::size_t k = 0; k != members.size(); ++k) {
      if (k == i) continue;
      others.push_back(names[k]);
      if (apart && (i == 0) != (k == 0)) continue;
      members[k]->fleet.heard(names[i], m.fleet.needs(), at_second(now));
      m.fleet.heard(names[k], members[k]->fleet.needs(), at_second(now));
    }
    const double share = m.fleet.shares(others, at_second(now)).at(0).share;
    m.limiter.set_shares({{share}, share}, at_second(now));
  }

  double kept() const { return members[0]->kept + members[1]->kept + members[2]->kept; }

  // `wanted(member, seconds)`: units a second. What all kept from `from` to `to`, a second.
  double over(double from, double to, const std::function<double(std::size_t, double)>& wanted,
              const std::function<bool(double)>& apart) {
    double before = 0;
    for (int step = 0; step != static_cast<int>(to * 100); ++step) {
      const double now = step / 100.0;
      if (step == static_cast<int>(from * 100)) before = kept();
      for (std::size_t i = 0; i != members.size(); ++i) {
        if (std::fmod(now - members[i]->phase + 1, 1.0) < 0.0099) exchange(i, now, apart(now));
        load(*members[i], now, wanted(i, now));
      }
      judge(now);
    }
    return (kept() - before) / (to - from);
  }
};

bool never(double) { return false; }

}  // namespace

TEST_CASE("three members under uneven load hold a limit together within five percent", "[daemon]") {
  const Mode mode = GENERATE(Mode::kFirstCome, Mode::kPerSecond, Mode::kByRandom);
  for (const auto& load : {std::array{4000., 750., 250.}, {2000., 2000., 2000.}, {5000., 0., 0.}, {980., 300., 10.}}) {
    Run run(mode, 1000, 20);
    const double kept = run.over(
        5, 35, [&](std::size_t i, double) { return load[i]; }, never);
    INFO("mode " << static_cast<int>(mode) << ", load " << load[0] << ", kept " << kept);
    CHECK(kept <= 1050);
    CHECK(kept >= 950);
  }
}

TEST_CASE("load that moves between members does not take more than the limit", "[daemon]") {
  const Mode mode = GENERATE(Mode::kFirstCome, Mode::kPerSecond, Mode::kByRandom);
  Run run(mode, 1000, 20);
  // Every seven seconds another one has it.
  const auto moving = [](std::size_t i, double now) {
    return static_cast<std::size_t>(now / 7) % 3 == i ? 4000. : 200.;
  };
  const double kept = run.over(5, 65, moving, never);
  INFO("mode " << static_cast<int>(mode) << ", kept " << kept);
  CHECK(kept <= 1050);
  CHECK(kept >= 800);
}

TEST_CASE("a trace larger than a member's share passes, and is paid back", "[daemon]") {
  const Mode mode = GENERATE(Mode::kFirstCome, Mode::kPerSecond, Mode::kByRandom);
  Run run(mode, 100, 80);  // traces of 40 units, a limit of 100
  const auto uneven = [](std::size_t i, double) { return std::array{800., 150., 50.}[i]; };
  const double kept = run.over(5, 205, uneven, never);
  INFO("mode " << static_cast<int>(mode) << ", kept " << kept);
  CHECK(kept <= 105);
  CHECK(kept >= 60);
  for (const auto& member : run.members) CHECK(member->kept > 0);
}

TEST_CASE("over a partition of the network no more than one and a half of a limit is taken", "[daemon]") {
  const Mode mode = GENERATE(Mode::kFirstCome, Mode::kPerSecond, Mode::kByRandom);
  const auto uneven = [](std::size_t i, double) { return std::array{4000., 750., 1250.}[i]; };
  for (double from = 10; from < 30; from += 2) {
    Run run(mode, 1000, 20);
    const double kept = run.over(from, from + 2, uneven, [](double now) { return now >= 10 && now < 25; });
    INFO("mode " << static_cast<int>(mode) << " from " << from << ", kept " << kept);
    CHECK(kept <= 1500);
    CHECK(kept >= 500);
  }
}

TEST_CASE("with a limit for each key every member has an equal part of each", "[daemon]") {
  KeyedLimiter limiter({.lanes = {{9, 18}}}, 10);
  const auto taken = [&](std::uint64_t key, double from, double to) {
    int out = 0;
    for (double now = from; now < to; now += 0.01)
      out += limiter.of(key, at_second(now))->take(0, 1, at_second(now)) ? 1 : 0;
    return out;
  };
  limiter.set_share(1.0 / 3, at_second(0));
  CHECK(taken(1, 0, 100) == Approx(306).margin(8));  // and what a bucket has at its start
  limiter.set_share(1, at_second(100));
  CHECK(taken(1, 100, 200) == Approx(906).margin(8));
  limiter.set_share(1.0 / 3, at_second(200));
  CHECK(taken(2, 200, 300) == Approx(306).margin(8));  // a key that is new
}
