// SPDX-License-Identifier: Apache-2.0
#include "signals/series_counts.h"

#include <algorithm>
#include <bit>

namespace tailgate {

// Twice as many ways as there can be series.
std::size_t SeriesCounts::sets_for(std::size_t series_max) {
  return std::bit_ceil(std::max<std::size_t>(64, series_max * 2 / kWays));
}

SeriesCounts::SeriesCounts(std::size_t series_max, std::span<const std::uint64_t> bounds_ns)
    : bounds_(bounds_ns.begin(), bounds_ns.end()),
      words_(words_of(bounds_ns.size())),
      mask_(sets_for(series_max) - 1),
      ways_(std::make_unique<Way[]>((mask_ + 1) * kWays)),
      chunks_(series_max / kChunk + 1) {
  std::fill_n(ways_.get(), (mask_ + 1) * kWays, Way{0, kUnknown});
}

std::size_t SeriesCounts::bytes_max(std::size_t series_max, std::size_t bounds) {
  return sets_for(series_max) * kWays * sizeof(Way) + (series_max / kChunk + 1) * kChunk * words_of(bounds) * 8;
}

void SeriesCounts::remember(std::uint64_t hash, SeriesId series) {
  Way* const set = set_of(hash);
  for (std::size_t i = 0; i < kWays; ++i) {
    if (set[i].series == kUnknown || set[i].hash == hash) {
      set[i] = {hash, series};
      return;
    }
  }
  set[hash >> 62] = {hash, series};
}

void SeriesCounts::forget(const std::vector<bool>& gone) {
  for (std::size_t i = 0; i < (mask_ + 1) * kWays; ++i) {
    Way& way = ways_[i];
    if (way.series != kUnknown && way.series < gone.size() && gone[way.series]) way = {0, kUnknown};
  }
}

void SeriesCounts::add_first(SeriesId series, std::uint64_t duration_ns, std::uint32_t bytes) {
  chunks_[series / kChunk] = std::make_unique<std::uint64_t[]>(kChunk * words_);
  add(series, duration_ns, bytes);
}

void add_block(std::span<const std::uint64_t> from, std::span<std::uint64_t> to) {
  to[SeriesCounts::kSumHigh] +=
      from[SeriesCounts::kSumHigh] +
      __builtin_add_overflow(to[SeriesCounts::kSumLow], from[SeriesCounts::kSumLow], &to[SeriesCounts::kSumLow]);
  for (std::size_t i = SeriesCounts::kBytes; i < from.size(); ++i) to[i] += from[i];
}

}  // namespace tailgate
