// SPDX-License-Identifier: Apache-2.0
// NumberCache: the number that belongs to a hash of 64 bits, for the hashes that came last. It may forget any at any
// time, so whoever uses it knows where to ask again. Four ways a set, and a set is a line of the processor's cache.
//
// Threads: the holder of the lock of whoever owns it. No allocation but at the start.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

namespace tailgate {

class NumberCache {
 public:
  static constexpr std::uint32_t kUnknown = UINT32_MAX;

  // Twice as many ways as there are numbers.
  explicit NumberCache(std::size_t numbers)
      : mask_(sets_for(numbers) - 1), ways_(std::make_unique<Way[]>((mask_ + 1) * kWays)) {
    clear();
  }
  static std::size_t bytes(std::size_t numbers) { return sets_for(numbers) * kWays * sizeof(Way); }

  // Any thread, for its speed only: brings the set of a hash into the cache of the processor.
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(set_of(hash)); }

  std::uint32_t find(std::uint64_t hash) const {
    const Way* const set = set_of(hash);
    for (std::size_t i = 0; i < kWays; ++i) {
      if (set[i].hash == hash) return set[i].number;
    }
    return kUnknown;
  }
  void remember(std::uint64_t hash, std::uint32_t number) {
    Way* const set = set_of(hash);
    for (std::size_t i = 0; i < kWays; ++i) {
      if (set[i].number == kUnknown || set[i].hash == hash) {
        set[i] = {hash, number};
        return;
      }
    }
    set[hash >> 62] = {hash, number};
  }
  // Forgets the numbers for which `gone(number)` is true.
  template <class Gone>
  void forget_if(Gone gone) {
    std::replace_if(
        ways_.get(), ways_.get() + (mask_ + 1) * kWays,
        [&](const Way& way) { return way.number != kUnknown && gone(way.number); }, Way{0, kUnknown});
  }
  void clear() { std::fill_n(ways_.get(), (mask_ + 1) * kWays, Way{0, kUnknown}); }

 private:
  struct Way {
    std::uint64_t hash;
    std::uint32_t number;
  };
  static constexpr std::size_t kWays = 4;

  static std::size_t sets_for(std::size_t numbers) {
    return std::bit_ceil(std::max<std::size_t>(64, numbers * 2 / kWays));
  }
  Way* set_of(std::uint64_t hash) const { return ways_.get() + (hash & mask_) * kWays; }

  const std::size_t mask_;  // number of sets minus 1
  const std::unique_ptr<Way[]> ways_;
};

}  // namespace tailgate
