// SPDX-License-Identifier: Apache-2.0
// SeriesCounts: one thread's counts of all series, and the way from a hash to its series.
//
// A series is counted in a block of words of its own: first sums of 128 bits, the low word before the high one, then
// plain counts. Blocks lie in chunks of 64, made when a series of a chunk comes first.
//
// From hash to series leads a NumberCache; what it has forgotten is asked of SeriesNames again, and its size is fixed,
// whatever names come. The hash has 64 bits and a random seed: that two of 10,000 series share one has a chance of 3 in
// 10^12, and then they count as one.
//
// Threads: the holder of the lock of the part it belongs to. No allocation but for a new chunk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/number_cache.h"

namespace tailgate {

using SeriesId = std::uint32_t;
inline constexpr SeriesId kOverflowSeries = 0;  // of all that came when there was no room for its series

struct BlockShape {
  std::size_t sums = 0;    // of 128 bits
  std::size_t counts = 0;  // of 64 bits, behind them

  std::size_t words() const { return (2 * sums + counts + 7) / 8 * 8; }  // whole lines of the processor's cache
  std::size_t first_count() const { return 2 * sums; }
};

inline void add_sum(std::uint64_t* sum, std::uint64_t more) { sum[1] += __builtin_add_overflow(sum[0], more, sum); }
double sum_of(const std::uint64_t* sum);
// The bucket of a value: of the first bound that is not below it, or else the last. Without branches that durations
// would mispredict.
inline std::size_t bucket_of(std::span<const std::uint64_t> bounds, std::uint64_t value) {
  const std::uint64_t* at = bounds.data();
  std::size_t left = bounds.size();
  while (left > 1) {
    const std::size_t half = left / 2;
    at += at[half - 1] < value ? half : 0;
    left -= half;
  }
  return static_cast<std::size_t>(at - bounds.data()) + (left == 1 && *at < value ? 1 : 0);
}
void add_block(const BlockShape& shape, const std::uint64_t* from, std::uint64_t* to);
// Grows with every event of a series: the sum of its plain counts.
std::uint64_t activity_of(const BlockShape& shape, const std::uint64_t* block);

class SeriesCounts {
 public:
  static constexpr SeriesId kUnknown = NumberCache::kUnknown;

  SeriesCounts(std::size_t series_max, const BlockShape& shape);
  static std::size_t bytes_max(std::size_t series_max, const BlockShape& shape);

  // Any thread, for its speed only: brings the way to the series into the cache of the processor.
  void prefetch(std::uint64_t hash) const { ways_.prefetch(hash); }

  SeriesId find(std::uint64_t hash) const { return ways_.find(hash); }
  void remember(std::uint64_t hash, SeriesId series) { ways_.remember(hash, series); }
  // Forgets the ways to series for which `gone` is true.
  void forget(const std::vector<bool>& gone);

  // The counts of a series; zeros when it is new here.
  std::uint64_t* block(SeriesId series) {
    std::uint64_t* const chunk = chunks_[series / kChunk].get();
    return (chunk != nullptr ? chunk : make_chunk(series)) + series % kChunk * words_;
  }
  // Null: nothing was counted yet.
  const std::uint64_t* block_if(SeriesId series) const {
    const std::uint64_t* const chunk = chunks_[series / kChunk].get();
    return chunk == nullptr ? nullptr : chunk + series % kChunk * words_;
  }

 private:
  static constexpr std::size_t kChunk = 64;

  std::uint64_t* make_chunk(SeriesId series);

  const std::size_t words_;  // of a block
  NumberCache ways_;
  std::vector<std::unique_ptr<std::uint64_t[]>> chunks_;
};

}  // namespace tailgate
