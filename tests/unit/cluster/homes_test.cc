// SPDX-License-Identifier: Apache-2.0
#include "cluster/homes.h"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "base/hash.h"

using namespace tailgate;

namespace {

constexpr std::size_t kIds = 100'000;

// As SDKs make them, and as bad ones do: counters, 64 bits only, all entropy in the last bytes.
TraceId id_of(std::size_t kind, std::uint64_t i) {
  TraceId id;
  std::uint64_t state = i;
  const std::uint64_t high = kind == 0 ? next_random(state) : 0, low = kind == 0 ? next_random(state) : i + 1;
  std::memcpy(id.bytes.data(), &high, 8);
  if (kind == 2) {
    for (std::size_t b = 0; b < 8; ++b) id.bytes[15 - b] = static_cast<char>(low >> (8 * b));
  } else {
    std::memcpy(id.bytes.data() + 8, &low, 8);
  }
  return id;
}

std::vector<std::string> names(std::size_t n) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back("tailgate-" + std::to_string(i));
  return out;
}

const std::string& home(const Homes& homes, const TraceId& id) { return homes.names()[homes.home_of(id)]; }

}  // namespace

TEST_CASE("when a member comes, 1/(N+1) of the ids move, and all of them to it", "[cluster]") {
  for (const std::size_t kind : {0u, 1u, 2u}) {
    for (const std::size_t n : {1u, 2u, 3u, 9u}) {
      const Homes before(names(n)), after(names(n + 1));
      std::size_t moved = 0;
      for (std::uint64_t i = 0; i < kIds; ++i) {
        const TraceId id = id_of(kind, i);
        if (home(before, id) == home(after, id)) continue;
        ++moved;
        REQUIRE(home(after, id) == "tailgate-" + std::to_string(n));
      }
      const double share = 1.0 / static_cast<double>(n + 1);
      const double sigma = std::sqrt(share * (1 - share) * kIds);
      INFO("ids of kind " << kind << ", " << n << " members");
      CHECK(std::abs(static_cast<double>(moved) - share * kIds) < 5 * sigma);
    }
  }
}

TEST_CASE("when a member goes, only its ids move, evenly to the others", "[cluster]") {
  const Homes all(names(5));
  Homes rest({"tailgate-0", "tailgate-1", "tailgate-3", "tailgate-4"});
  std::map<std::string, std::size_t> to;
  for (std::uint64_t i = 0; i < kIds; ++i) {
    const TraceId id = id_of(0, i);
    if (home(all, id) == "tailgate-2") {
      ++to[home(rest, id)];
    } else {
      REQUIRE(home(all, id) == home(rest, id));
    }
  }
  REQUIRE(to.size() == 4);
  for (const auto& [name, ids] : to) CHECK(std::abs(static_cast<double>(ids) - kIds / 20.0) < 400);
}

TEST_CASE("the order of names does not matter, and they alone make the version", "[cluster]") {
  const Homes a({"one", "two", "three"}), b({"three", "one", "two", "two"});
  CHECK(a == b);
  CHECK(a.version() == b.version());
  CHECK(a.version() != Homes({"one", "two"}).version());
  CHECK(Homes({"ab", "c"}).version() != Homes({"a", "bc"}).version());
  CHECK(Homes().version() == 0);
  CHECK(a.has("two"));
  CHECK_FALSE(a.has("four"));
}

TEST_CASE("homes are the same in every process and version", "[cluster]") {
  const Homes homes({"a", "b", "c"});
  std::string got;
  for (std::uint64_t i = 0; i < 24; ++i) got += home(homes, id_of(1, i));
  CHECK(got == "baacaaacbcaacbbcacbaccbb");
  CHECK(homes.version() == 0xfa19064f7595f3d8);
}
