// SPDX-License-Identifier: Apache-2.0
// NumberCache beside a map: what it knows is what was remembered last, and it forgets only when a set is full, or when
// it is told to.
#include "base/number_cache.h"

#include <catch2/catch.hpp>
#include <unordered_map>

#include "base/hash.h"

namespace tailgate {
namespace {

TEST_CASE("A cache of numbers knows what it was told last, or nothing") {
  NumberCache cache(1000);
  std::unordered_map<std::uint64_t, std::uint32_t> twin;
  std::uint64_t state = 1;
  std::size_t forgotten = 0, known = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::uint64_t one_of_many = next_random(state) % 1500;
    const std::uint64_t hash = next_random(one_of_many);
    if (next_random(state) % 2 == 0) {
      twin[hash] = static_cast<std::uint32_t>(next_random(state) % 1000);
      cache.remember(hash, twin[hash]);
      REQUIRE(cache.find(hash) == twin[hash]);
      continue;
    }
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
  CHECK(known > 7000);
  CHECK(forgotten > 0);  // 1,500 hashes in 2,048 ways: a few sets have more than four
  CHECK(forgotten < 1000);
}

TEST_CASE("A cache of numbers forgets those it is told to, and keeps the others") {
  NumberCache cache(100);
  for (std::uint64_t i = 1; i <= 40; ++i) cache.remember(mix_bits(i), static_cast<std::uint32_t>(i % 4));
  cache.forget_if([](std::uint32_t number) { return number == 0; });
  for (std::uint64_t i = 1; i <= 40; ++i)
    CHECK(cache.find(mix_bits(i)) == (i % 4 == 0 ? NumberCache::kUnknown : static_cast<std::uint32_t>(i % 4)));
  cache.clear();
  for (std::uint64_t i = 1; i <= 40; ++i) CHECK(cache.find(mix_bits(i)) == NumberCache::kUnknown);
}

}  // namespace
}  // namespace tailgate
