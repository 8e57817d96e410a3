// SPDX-License-Identifier: Apache-2.0
// NumberCache: the number that belongs to a hash of 64 bits, for the hashes that came last. It may forget any at any
// time, so whoever uses it knows where to ask again. Four ways a set, and a set is a line of the processor's cache.
//
// Threads: the holder of the lock of whoever owns it. No allocation but at the start.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace tailgate {

class NumberCache {
 public:
  static constexpr std::uint32_t kUnknown = UINT32_MAX;

  // Twice as many ways as there are numbers.
  explicit NumberCache(std::size_t numbers) : size_(sets_for(numbers)), sets_(std::make_unique<Set[]>(size_)) {}
  static std::size_t bytes(std::size_t numbers) { return sets_for(numbers) * sizeof(Set); }

  // Any thread, for its speed only: brings the set of a hash into the cache of the processor.
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&set_of(hash)); }

  std::uint32_t find(std::uint64_t hash) const {
    for (const Way& way : set_of(hash).ways) {
      if (way.hash == hash) return way.number;
    }
    return kUnknown;
  }
  void remember(std::uint64_t hash, std::uint32_t number) {
    Set& set = set_of(hash);
    Way* to = nullptr;  // the first that is free, which is also where find() meets a hash of 0 first
    for (Way& way : set.ways) {
      if (way.hash == hash) way = {};
      if (to == nullptr && way.number == kUnknown) to = &way;
    }
    *(to != nullptr ? to : &set.ways[hash >> 62]) = {hash, number};
  }
  // Forgets the numbers for which `gone(number)` is true.
  template <class Gone>
  void forget_if(Gone gone) {
    for (std::size_t i = 0; i < size_; ++i) {
      for (Way& way : sets_[i].ways) {
        if (way.number != kUnknown && gone(way.number)) way = {};
      }
    }
  }
  void clear() {
    forget_if([](std::uint32_t) { return true; });
  }

 private:
  struct Way {
    std::uint64_t hash = 0;
    std::uint32_t number = kUnknown;
  };
  struct alignas(64) Set {
    std::array<Way, 4> ways;
  };

  static std::size_t sets_for(std::size_t numbers) { return std::bit_ceil(numbers < 128 ? 64 : numbers / 2); }
  Set& set_of(std::uint64_t hash) const { return sets_[hash & (size_ - 1)]; }

  const std::size_t size_;  // a power of two
  const std::unique_ptr<Set[]> sets_;
};

}  // namespace tailgate
