// SPDX-License-Identifier: Apache-2.0
// SeriesCounts: one thread's counts of all series, and the way from a span's hash to its series.
//
// A series is counted in a block of words of its own:
//
//   [ sum of durations: low, high ][ bytes ][ buckets: one per bound, and one for what is over the last ]
//
// so the sum of the buckets is the number of spans. Blocks lie in chunks of 64, made when a series of a chunk comes
// first.
//
// From hash to series leads a cache of four ways. What it has forgotten is asked of SeriesNames again, so it may forget
// anything at any time; its size is fixed, whatever names come. The hash has 64 bits and a random seed: that two of
// 10,000 series share one has a chance of 3 in 10^12, and then they count as one.
//
// Threads: the holder of the lock of the part it belongs to. No allocation but for a new chunk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace tailgate {

using SeriesId = std::uint32_t;
inline constexpr SeriesId kOverflowSeries = 0;  // of all spans whose series is one too many

class SeriesCounts {
 public:
  static constexpr SeriesId kUnknown = UINT32_MAX;
  static constexpr std::size_t kSumLow = 0, kSumHigh = 1, kBytes = 2, kBuckets = 3;

  SeriesCounts(std::size_t series_max, std::span<const std::uint64_t> bounds_ns);

  // Words of one block, of `bounds` bounds.
  static constexpr std::size_t words_of(std::size_t bounds) { return (kBuckets + bounds + 1 + 7) / 8 * 8; }
  static std::size_t bytes_max(std::size_t series_max, std::size_t bounds);

  // Any thread, for its speed only: brings the way to the series into the cache of the processor.
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(set_of(hash)); }

  SeriesId find(std::uint64_t hash) const {
    const Way* const set = set_of(hash);
    for (std::size_t i = 0; i < kWays; ++i) {
      if (set[i].hash == hash) return set[i].series;
    }
    return kUnknown;
  }
  void remember(std::uint64_t hash, SeriesId series);
  // Forgets the ways to series for which `gone` is true.
  void forget(const std::vector<bool>& gone);

  void add(SeriesId series, std::uint64_t duration_ns, std::uint32_t bytes) {
    std::uint64_t* const words = block(series);
    if (words == nullptr) [[unlikely]]
      return add_first(series, duration_ns, bytes);
    std::size_t bucket = 0;
    for (const std::uint64_t bound : bounds_) bucket += duration_ns > bound;
    words[kSumHigh] += __builtin_add_overflow(words[kSumLow], duration_ns, &words[kSumLow]);
    words[kBytes] += bytes;
    ++words[kBuckets + bucket];
  }

  // Null: nothing was counted yet.
  std::uint64_t* block(SeriesId series) const {
    std::uint64_t* const chunk = chunks_[series / kChunk].get();
    return chunk == nullptr ? nullptr : chunk + series % kChunk * words_;
  }

 private:
  struct Way {
    std::uint64_t hash;
    SeriesId series;
  };
  static constexpr std::size_t kWays = 4, kChunk = 64;

  static std::size_t sets_for(std::size_t series_max);
  Way* set_of(std::uint64_t hash) const { return ways_.get() + (hash & mask_) * kWays; }
  void add_first(SeriesId series, std::uint64_t duration_ns, std::uint32_t bytes);

  const std::vector<std::uint64_t> bounds_;
  const std::size_t words_;  // of a block
  const std::size_t mask_;   // number of sets minus 1
  const std::unique_ptr<Way[]> ways_;
  std::vector<std::unique_ptr<std::uint64_t[]>> chunks_;
};

// Adds the counts of one block to those of another.
void add_block(std::span<const std::uint64_t> from, std::span<std::uint64_t> to);

}  // namespace tailgate
