// SPDX-License-Identifier: Apache-2.0
// NumberCache beside a map of what it was told.
#include "base/number_cache.h"

#include <catch2/catch.hpp>
#include <unordered_map>

#include "base/hash.h"

using namespace tailgate;

TEST_CASE("a cache of numbers knows what it was told last, or nothing", "[base]") {
  NumberCache cache(1000);
  std::unordered_map<std::uint64_t, std::uint32_t> twin;
  std::uint64_t state = 1;
  std::size_t forgotten = 0, known = 0;
  for (int i = 0; i < 40'000; ++i) {
    std::uint64_t one_of_many = next_random(state) % 1500;
    const std::uint64_t hash = one_of_many == 0 ? 0 : next_random(one_of_many);
    if (i % 1000 == 0) {
      const auto gone = [](std::uint32_t number) { return number % 7 == 0; };
      cache.forget_if(gone);
      std::erase_if(twin, [&](const auto& one) { return gone(one.second); });
    } else if (next_random(state) % 2 == 0) {
      twin[hash] = static_cast<std::uint32_t>(next_random(state) % 1000);
      cache.remember(hash, twin[hash]);
      REQUIRE(cache.find(hash) == twin[hash]);
    } else {
      const std::uint32_t found = cache.find(hash);
      const auto told = twin.find(hash);
      if (found == NumberCache::kUnknown) {
        forgotten += told != twin.end();
      } else {
        REQUIRE(told != twin.end());
        REQUIRE(found == told->second);
        ++known;
      }
    }
  }
  CHECK(known > 14'000);
  CHECK(forgotten > 0);  // 1,500 hashes in 2,048 ways: some sets have more than four
  CHECK(forgotten < known / 10);
}

TEST_CASE("a set of a cache of numbers holds four, and the fifth takes the place of one", "[base]") {
  NumberCache cache(1);                                                // of 64 sets
  const auto hash = [](std::uint64_t i) { return i << 62 | i << 6; };  // all of the first set
  for (std::uint64_t i = 0; i < 4; ++i) cache.remember(hash(i), static_cast<std::uint32_t>(i));
  for (std::uint64_t i = 0; i < 4; ++i) CHECK(cache.find(hash(i)) == i);
  cache.remember(hash(4), 4);
  CHECK(cache.find(hash(4)) == 4);
  std::size_t left = 0;
  for (std::uint64_t i = 0; i < 4; ++i) left += cache.find(hash(i)) == i;
  CHECK(left == 3);
  cache.clear();
  for (std::uint64_t i = 0; i < 5; ++i) CHECK(cache.find(hash(i)) == NumberCache::kUnknown);
}
