// SPDX-License-Identifier: Apache-2.0
#include "cluster/fleet_limits.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "base/hash.h"
#include "support/times.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string> kNames = {"a", "b", "c", "d", "e", "f"};

// Members that hear each other, or some of each other.
struct SharingFleet {
  std::vector<FleetLimits> members;
  double rate = 0;

  SharingFleet(std::size_t count, double of) : members(count), rate(of) {
    for (FleetLimits& one : members) one.asked({{"cap", 0, rate}}, at(0s));
  }
  void second(int n, const std::vector<double>& asked) {
    for (std::size_t i = 0; i < members.size(); ++i) members[i].asked({{"cap", asked[i], rate}}, at(1s * n));
  }
  void tell(int n, const std::function<bool(std::size_t, std::size_t)>& hears) {
    for (std::size_t i = 0; i < members.size(); ++i) {
      for (std::size_t k = 0; k < members.size(); ++k) {
        if (i != k && hears(i, k)) members[i].heard(kNames[k], members[k].needs(), at(1s * n));
      }
    }
  }
  double share(std::size_t i, int n) const {
    std::vector<std::string> others;
    for (std::size_t k = 0; k < members.size(); ++k) {
      if (k != i) others.push_back(kNames[k]);
    }
    return members[i].shares(others, at(1s * n)).at(0).share;
  }
  double sum(int n) const {
    double out = 0;
    for (std::size_t i = 0; i < members.size(); ++i) out += share(i, n);
    return out;
  }
};

bool all(std::size_t, std::size_t) { return true; }

}  // namespace

TEST_CASE("a limit is divided by what members need, and all of it is given", "[cluster]") {
  std::uint64_t random = 7;
  for (int round = 0; round != 2'000; ++round) {
    SharingFleet fleet(1 + next_random(random) % 6, 1 + static_cast<double>(next_random(random) % 1'000));
    for (int n = 1; n != 4; ++n) {
      std::vector<double> asked(fleet.members.size());
      for (double& one : asked) one = static_cast<double>(next_random(random) % 3 * (next_random(random) % 900));
      fleet.second(n, asked);
      fleet.tell(n, all);
      CHECK(fleet.sum(n) == Approx(1));
      for (std::size_t i = 0; i < asked.size(); ++i) {
        CHECK(fleet.share(i, n) > 0);
        for (std::size_t k = 0; k < asked.size(); ++k) {
          const double mine = fleet.members[i].needs().empty() ? 0 : fleet.members[i].needs()[0].per_second;
          const double other = fleet.members[k].needs().empty() ? 0 : fleet.members[k].needs()[0].per_second;
          if (mine > other) CHECK(fleet.share(i, n) >= fleet.share(k, n) - 1e-9);
        }
      }
    }
  }
}

TEST_CASE("who needs most gets most, and what nobody needs is for everybody", "[cluster]") {
  SharingFleet fleet(3, 100);
  fleet.second(1, {800, 150, 50});
  fleet.tell(1, all);
  CHECK(fleet.share(0, 1) == Approx(0.8).margin(0.01));
  CHECK(fleet.share(1, 1) == Approx(0.15).margin(0.01));
  CHECK(fleet.share(2, 1) == Approx(0.05).margin(0.01));
  SharingFleet calm(3, 100);
  calm.second(1, {40, 10, 20});
  calm.tell(1, all);
  CHECK(calm.share(0, 1) == Approx(0.5));
  CHECK(calm.share(1, 1) == Approx(0.2));
  CHECK(calm.share(2, 1) == Approx(0.3));
}

TEST_CASE("a member that needs nothing may still begin", "[cluster]") {
  SharingFleet fleet(3, 300);
  fleet.second(1, {900, 900, 0});
  fleet.tell(1, all);
  CHECK(fleet.share(2, 1) * 300 >= 1);
  CHECK(fleet.sum(1) == Approx(1));
}

TEST_CASE("who hears nobody for five seconds has an equal part, and so have those whom nobody hears", "[cluster]") {
  SharingFleet fleet(3, 100);
  CHECK(fleet.share(0, 0) == Approx(1.0 / 3));  // nobody was heard yet
  fleet.second(1, {800, 150, 50});
  fleet.tell(1, all);
  const auto apart = [](std::size_t i, std::size_t k) { return (i == 0) == (k == 0); };
  double most = 0;
  for (int n = 2; n != 20; ++n) {
    fleet.second(n, {800, 150, 50});
    fleet.tell(n, apart);
    most = std::max(most, fleet.sum(n));
  }
  CHECK(most <= 1.5);
  CHECK(fleet.share(0, 19) == Approx(1.0 / 3));
  CHECK(fleet.share(1, 19) == Approx(2.0 / 3 * 0.75).margin(0.01));
  CHECK(fleet.share(2, 19) == Approx(2.0 / 3 * 0.25).margin(0.01));
  CHECK(fleet.members[1].heard_of({"a", "c"}, at(19s)) == 1);
}

TEST_CASE("needs follow what is asked, and limits that are gone are told no more", "[cluster]") {
  FleetLimits one;
  one.asked({{"cap", 0, 10}}, at(0s));
  CHECK(one.needs().empty());
  one.asked({{"cap", 200, 10}}, at(2s));
  REQUIRE(one.needs().size() == 1);
  CHECK(one.needs()[0].per_second == Approx(100));
  one.asked({{"cap", 0, 10}}, at(3s));
  CHECK(one.needs()[0].per_second == Approx(50));
  one.asked({{"other", 5, 10}}, at(4s));
  REQUIRE(one.needs().size() == 1);
  CHECK(one.needs()[0].per_second == Approx(5));
  one.asked({{"nothing", 5, 0}}, at(5s));
  CHECK(one.shares({"b"}, at(5s)).at(0).share == 1);
}
