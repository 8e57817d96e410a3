// SPDX-License-Identifier: Apache-2.0
// AdaptiveSampler against simulated services: instances that ask once a poll interval, each at its own time, and sample
// their roots by what they were told last.
#include "head/adaptive.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

using namespace tailgate;
using namespace std::chrono_literals;
using Why = AdaptiveSampler::Why;

namespace {

constexpr Duration kTick = 10s;

struct Load {
  double per_second = 0;  // of all instances
  double errors = 0.001, slow = 0.001;
};

// All instances of one service.
class Fleet {
 public:
  Fleet(AdaptiveConfig config, int instances, std::uint64_t seed = 17)
      : config_(config), sampler(config), told_(static_cast<std::size_t>(instances)), random_(seed) {}

  // One second; a poll of an instance comes at its own second of the minute.
  void second() {
    for (std::size_t i = 0; i < told_.size(); ++i) {
      if ((now_s_ + i * 7) % 60 == 0 || now_s_ == 0) {
        if (asks) told_[i] = sampler.poll("shop", at(now_s_));
      }
    }
    seen.clear();
    for (const auto& [operation, load] : loads) {
      for (std::size_t i = 0; i < told_.size(); ++i) {
        const double sampled = probability(i, operation);
        const std::int64_t roots = draw(load.per_second / static_cast<double>(told_.size()));
        const std::int64_t errors = part(roots, load.errors);
        errors_made += errors;
        RootCounts counts;
        counts.errors = static_cast<std::uint64_t>(part(errors, sampled));
        counts.roots = counts.errors + static_cast<std::uint64_t>(part(roots - errors, sampled));
        counts.slow = static_cast<std::uint64_t>(part(static_cast<std::int64_t>(counts.roots), load.slow));
        errors_seen += static_cast<std::int64_t>(counts.errors);
        seen[operation] += counts;
      }
      sampler.count("shop", operation, seen[operation], at(now_s_));
      sampler.count_spans(seen[operation].roots * 5);
    }
    ++now_s_;
    if (now_s_ % 10 == 0) sampler.tick(kTick, at(now_s_));
  }

  // Mean of what came in a second.
  double mean(const std::string& operation, int seconds) {
    double sum = 0;
    for (int i = 0; i < seconds; ++i) {
      second();
      sum += static_cast<double>(seen[operation].roots);
    }
    return sum / seconds;
  }
  void run(int seconds) {
    for (int i = 0; i < seconds; ++i) second();
  }

  double probability(std::size_t instance, const std::string& operation) const {
    if (!told_[instance]) return 0.001;
    for (const OperationStrategy& one : told_[instance]->operations->each) {
      if (one.operation == operation) return one.probability;
    }
    return told_[instance]->operations->default_probability;
  }
  static TimePoint at(std::uint64_t second) { return TimePoint() + std::chrono::seconds(second + 1000); }
  TimePoint now() const { return at(now_s_); }

 private:
  std::int64_t draw(double mean) { return mean > 0 ? std::poisson_distribution<std::int64_t>(mean)(random_) : 0; }
  std::int64_t part(std::int64_t of, double share) {
    return of > 0 ? std::binomial_distribution<std::int64_t>(of, share)(random_) : 0;
  }

  const AdaptiveConfig config_;

 public:
  AdaptiveSampler sampler;
  std::map<std::string, Load> loads;
  std::map<std::string, RootCounts> seen;  // in the last second
  std::int64_t errors_made = 0, errors_seen = 0;
  bool asks = true;

 private:
  std::vector<std::optional<Strategy>> told_;
  std::mt19937_64 random_;
  std::uint64_t now_s_ = 0;
};

AdaptiveConfig traces(double per_second) {
  AdaptiveConfig out;
  out.target = AdaptiveConfig::Target::kTraces;
  out.per_second = per_second;
  return out;
}

}  // namespace

TEST_CASE("from ten times the target to within 20 % of it in two poll intervals, then within 10 %", "[head]") {
  for (const int instances : {1, 4, 20}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      INFO(instances << " instances, seed " << seed);
      AdaptiveConfig config = traces(100);
      config.initial_probability = 0.1;
      Fleet fleet(config, instances, seed);
      fleet.loads["GET /"] = {.per_second = 10'000};  // 1,000 a second at the start
      fleet.run(120);
      CHECK(fleet.mean("GET /", 20) == Approx(100).epsilon(0.2));
      for (int minute = 0; minute < 15; ++minute) CHECK(fleet.mean("GET /", 60) == Approx(100).epsilon(0.1));
      // Ten times as much from one second to the next.
      fleet.loads["GET /"].per_second = 100'000;
      fleet.run(120);
      CHECK(fleet.mean("GET /", 20) == Approx(100).epsilon(0.2));
      for (int minute = 0; minute < 15; ++minute) CHECK(fleet.mean("GET /", 60) == Approx(100).epsilon(0.1));
    }
  }
}

TEST_CASE("a daemon that sees a part of all meets its part of the target, and follows when that changes", "[head]") {
  Fleet fleet(traces(100), 4);
  fleet.loads["GET /"] = {.per_second = 10'000};
  fleet.sampler.set_share(0.25);
  fleet.run(600);
  CHECK(fleet.mean("GET /", 120) == Approx(25).epsilon(0.1));
  fleet.sampler.set_share(1);
  fleet.run(600);
  CHECK(fleet.mean("GET /", 120) == Approx(100).epsilon(0.1));
}

TEST_CASE("it goes up by a factor of two a poll interval at most", "[head]") {
  Fleet fleet(traces(100), 5);
  fleet.loads["GET /"] = {.per_second = 10'000};
  double before = fleet.sampler.poll("shop", fleet.now())->probability;
  CHECK(before == 0.001);
  for (int minute = 0; minute < 6; ++minute) {
    fleet.run(60);
    const double now = fleet.probability(0, "GET /");
    CHECK(now <= before * 2.0001);
    before = now;
  }
  fleet.run(600);
  CHECK(fleet.mean("GET /", 120) == Approx(100).epsilon(0.1));
}

TEST_CASE("an operation of one request a minute is still seen beside one of 10,000 a second", "[head]") {
  Fleet fleet(traces(10), 3);
  fleet.loads["GET /"] = {.per_second = 10'000};
  fleet.run(15 * 60);  // operations that nobody has seen yet have come to probability 1
  CHECK(fleet.probability(0, "not seen yet") == 1);
  fleet.loads["rare"] = {.per_second = 1.0 / 60};
  double rare = 0;
  for (int i = 0; i < 100 * 60; ++i) {
    fleet.second();
    rare += static_cast<double>(fleet.seen["rare"].roots);
  }
  CHECK(rare > 70);  // of 100 that are expected
  CHECK(fleet.probability(0, "rare") == 1);
  CHECK(fleet.mean("GET /", 300) == Approx(10).epsilon(0.1));
}

TEST_CASE("a service of which somebody asked once is left alone again", "[head]") {
  Fleet fleet(traces(10), 1);
  fleet.asks = false;
  fleet.loads["GET /"] = {.per_second = 100'000};  // of which the SDK sends one in 1,000
  fleet.run(60);
  (void)fleet.sampler.poll("shop", fleet.now());  // by hand
  fleet.run(120);
  CHECK(fleet.sampler.explain("shop").find(R"("why":"not polling")") == std::string::npos);
  fleet.run(120);
  CHECK(fleet.sampler.explain("shop").find(R"({"operation":"GET /")") != std::string::npos);
  CHECK(fleet.sampler.explain("shop").find(R"("why":"not polling"})") != std::string::npos);
}

TEST_CASE("an operation that turns bad is let in whole, and its errors with it", "[head]") {
  AdaptiveConfig config = traces(10);
  config.traces_per_second_max = 2000;
  Fleet fleet(config, 3);
  fleet.loads["GET /"] = {.per_second = 1000, .errors = 0.001};
  fleet.run(20 * 60);
  CHECK(fleet.mean("GET /", 60) == Approx(10).epsilon(0.2));
  CHECK(fleet.sampler.stats().raised == 0);
  fleet.loads["GET /"].errors = 0.2;
  fleet.run(20 + 60);  // it is noticed within two ticks, and told within a poll interval
  CHECK(fleet.sampler.stats().raised == 1);
  CHECK(fleet.sampler.explain("shop").find(R"("why":"errors")") != std::string::npos);
  fleet.errors_made = fleet.errors_seen = 0;
  fleet.run(10 * 60);
  CHECK(fleet.errors_made > 100'000);
  CHECK(fleet.errors_seen == fleet.errors_made);
  for (std::size_t i = 0; i < 3; ++i) CHECK(fleet.probability(i, "GET /") == 1);
  fleet.loads["GET /"].errors = 0.001;
  fleet.run(10 * 60);
  CHECK(fleet.sampler.stats().raised == 0);
  CHECK(fleet.mean("GET /", 60) == Approx(10).epsilon(0.2));
}

TEST_CASE("slow roots raise an operation too, and what it always was does not", "[head]") {
  Fleet fleet(traces(10), 3);
  fleet.loads["GET /"] = {.per_second = 1000, .slow = 0.001};
  fleet.loads["always failing"] = {.per_second = 1000, .errors = 0.5};
  fleet.run(3 * 3600);
  CHECK(fleet.sampler.stats().raised == 0);
  CHECK(fleet.mean("always failing", 60) == Approx(10).epsilon(0.2));
  fleet.loads["GET /"].slow = 0.3;
  fleet.run(80);
  CHECK(fleet.sampler.stats().raised == 1);
  CHECK(fleet.sampler.explain("shop").find(R"("why":"slow")") != std::string::npos);
  CHECK(fleet.mean("GET /", 60) == Approx(100).epsilon(0.1));  // traces_per_second_max
}

TEST_CASE("spans are shared: small operations get all they want, large ones an equal part of the rest", "[head]") {
  AdaptiveConfig config;
  config.target = AdaptiveConfig::Target::kSpans;
  config.per_second = 1000;  // of 5 spans a trace: 200 traces
  Fleet fleet(config, 10);
  fleet.loads["small"] = {.per_second = 20};
  fleet.loads["large"] = {.per_second = 5'000};
  fleet.loads["larger"] = {.per_second = 50'000};
  fleet.run(30 * 60);
  CHECK(fleet.mean("small", 300) == Approx(20).epsilon(0.1));
  CHECK(fleet.mean("large", 300) == Approx(90).epsilon(0.1));
  CHECK(fleet.mean("larger", 300) == Approx(90).epsilon(0.1));
}

TEST_CASE("spans of roots without a probability of their own count too", "[head]") {
  AdaptiveConfig config;
  config.target = AdaptiveConfig::Target::kSpans;
  config.per_second = 1000;  // of 5 spans a trace: 200 traces
  Fleet fleet(config, 10);
  const std::string nameless(AdaptiveConfig::kOperationBytes + 1, 'x');
  fleet.loads[nameless] = {.per_second = 5'000};
  fleet.run(30 * 60);
  CHECK(fleet.mean(nameless, 300) == Approx(200).epsilon(0.1));
}

TEST_CASE("names that are only asked for keep out no service that sends spans", "[head]") {
  AdaptiveConfig config = traces(1);
  config.services_max = 3;
  AdaptiveSampler sampler(config);
  sampler.count("web", "GET /", {.roots = 1}, Fleet::at(0));
  for (int i = 0; i < 1000; ++i) sampler.poll("made up " + std::to_string(i), Fleet::at(1));
  CHECK(sampler.stats().services == 3);
  sampler.count("shop", "GET /", {.roots = 1}, Fleet::at(2));
  sampler.count("bank", "GET /", {.roots = 1}, Fleet::at(2));
  for (const char* service : {"web", "shop", "bank"}) CHECK(sampler.poll(service, Fleet::at(3)));
  CHECK_FALSE(sampler.poll("made up 1", Fleet::at(300)));
  CHECK(sampler.stats().overflow_roots == 0);

  // Nor another one that asks before its first span, when who was there asks no more.
  AdaptiveSampler asked(config);
  for (int i = 0; i < 3; ++i) asked.poll("made up " + std::to_string(i), Fleet::at(0));
  CHECK_FALSE(asked.poll("shop", Fleet::at(100)));
  CHECK(asked.poll("shop", Fleet::at(121)));
}

TEST_CASE("what the tail keeps can be the target, and traces_per_second_max ends it", "[head]") {
  AdaptiveConfig config;
  config.target = AdaptiveConfig::Target::kKept;
  config.per_second = 2;
  config.decision_wait = 30s;
  AdaptiveSampler sampler(config);
  std::mt19937_64 random(4);
  std::vector<std::uint64_t> came;  // roots, by second
  double p = 0.001, roots_late = 0, kept_late = 0, roots_none = 0;
  for (std::uint64_t s = 0; s < 3600; ++s) {
    if (s % 60 == 0) {
      const Strategy told = *sampler.poll("shop", Fleet::at(s));
      for (const OperationStrategy& one : told.operations->each) {
        if (one.operation == "GET /") p = one.probability;
      }
    }
    came.push_back(std::poisson_distribution<std::uint64_t>(10'000 * p)(random));
    // The tail keeps 5 % of "GET /", 30 s later, and none of "none", of which 1,000 a second come.
    const std::uint64_t before = s >= 30 ? came[s - 30] : 0;
    const std::uint64_t kept = std::binomial_distribution<std::uint64_t>(before, 0.05)(random);
    sampler.count("shop", "GET /", {.roots = came[s], .kept = kept}, Fleet::at(s));
    double none = 0.001;
    const Strategy told = *sampler.poll("other", Fleet::at(s));
    if (!told.operations->each.empty()) none = told.operations->each[0].probability;
    const std::uint64_t others = std::poisson_distribution<std::uint64_t>(1000 * none)(random);
    sampler.count("other", "none", {.roots = others}, Fleet::at(s));
    if (s >= 3000) {
      roots_late += static_cast<double>(came[s]);
      kept_late += static_cast<double>(kept);
      roots_none += static_cast<double>(others);
    }
    if (s % 10 == 9) sampler.tick(kTick, Fleet::at(s + 1));
  }
  CHECK(kept_late / 600 == Approx(2).epsilon(0.2));
  CHECK(roots_late / 600 == Approx(40).epsilon(0.2));
  CHECK(roots_none / 600 == Approx(100).epsilon(0.1));
}

TEST_CASE("a service that does not ask keeps what it had, and is said to", "[head]") {
  Fleet fleet(traces(10), 3);
  fleet.asks = false;
  fleet.loads["GET /"] = {.per_second = 100'000};
  fleet.run(600);
  CHECK(fleet.sampler.explain("").find(R"("why":"not polling")") != std::string::npos);
  CHECK(fleet.sampler.poll("shop", fleet.now())->operations->each[0].probability == 0.001);
}

TEST_CASE("the floor holds where a share would be less, and so does the least probability", "[head]") {
  AdaptiveConfig config = traces(0.0001);
  config.lower_bound_traces_per_second = 0.5;
  Fleet fleet(config, 3);
  fleet.loads["GET /"] = {.per_second = 100};
  fleet.loads["flood"] = {.per_second = 1'000'000};
  fleet.run(30 * 60);
  CHECK(fleet.mean("GET /", 1200) == Approx(0.5).epsilon(0.25));
  CHECK(fleet.probability(0, "flood") >= 1e-5);
  CHECK(fleet.mean("flood", 60) == Approx(10).epsilon(0.3));
}

TEST_CASE("services and operations are bounded, and what is over the bounds is counted", "[head]") {
  AdaptiveConfig config = traces(1);
  config.services_max = 2;
  config.operations_max = 300;
  AdaptiveSampler sampler(config);
  const TimePoint now = Fleet::at(0);
  for (int i = 0; i < 1000; ++i) sampler.count("a", "op " + std::to_string(i), {.roots = 1}, now);
  CHECK(sampler.stats().operations == AdaptiveConfig::kOperationsOfService);
  CHECK(sampler.stats().overflow_roots == 1000 - AdaptiveConfig::kOperationsOfService);
  for (int i = 0; i < 1000; ++i) sampler.count("b", "op " + std::to_string(i), {.roots = 1}, now);
  sampler.count("a", std::string(257, 'x'), {.roots = 1}, now);
  CHECK(sampler.stats().operations == 300);
  sampler.count("c", "op", {.roots = 5}, now);
  CHECK(sampler.stats().services == 2);
  CHECK(sampler.stats().overflow_roots == 2000 - 300 + 1 + 5);
  CHECK_FALSE(sampler.poll("c", now));
  sampler.tick(kTick, now + 61min);
  CHECK(sampler.stats().operations == 0);  // operation_expiration
  CHECK(sampler.stats().services == 0);
  CHECK(sampler.poll("c", now + 61min));
}

TEST_CASE("what is remembered over a restart is where it goes on", "[head]") {
  Fleet before(traces(100), 3);
  before.loads["GET /"] = {.per_second = 10'000};
  before.run(15 * 60);
  const double probability = before.probability(0, "GET /");
  Fleet after(traces(100), 3);
  after.loads["GET /"] = {.per_second = 10'000};
  after.sampler.recall(before.sampler.remember(), after.now());
  CHECK(after.sampler.poll("shop", after.now())->operations->each ==
        std::vector<OperationStrategy>{{"GET /", probability}});
  CHECK(after.mean("GET /", 60) == Approx(100).epsilon(0.1));
  CHECK(after.mean("GET /", 60) == Approx(100).epsilon(0.1));
}
