// SPDX-License-Identifier: Apache-2.0
#include "signals/series_counts.h"

#include <algorithm>
#include <bit>

namespace tailgate {

double sum_of(const std::uint64_t* sum) { return static_cast<double>(sum[1]) * 0x1p64 + static_cast<double>(sum[0]); }

void add_block(const BlockShape& shape, const std::uint64_t* from, std::uint64_t* to) {
  for (std::size_t i = 0; i < shape.first_count(); i += 2) {
    add_sum(to + i, from[i]);
    to[i + 1] += from[i + 1];
  }
  for (std::size_t i = shape.first_count(); i < shape.words(); ++i) to[i] += from[i];
}

std::uint64_t activity_of(const BlockShape& shape, const std::uint64_t* block) {
  std::uint64_t out = 0;
  for (std::size_t i = shape.first_count(); i < shape.words(); ++i) out += block[i];
  return out;
}

// Twice as many ways as there can be series.
std::size_t SeriesCounts::sets_for(std::size_t series_max) {
  return std::bit_ceil(std::max<std::size_t>(64, series_max * 2 / kWays));
}

SeriesCounts::SeriesCounts(std::size_t series_max, const BlockShape& shape)
    : words_(shape.words()),
      mask_(sets_for(series_max) - 1),
      ways_(std::make_unique<Way[]>((mask_ + 1) * kWays)),
      chunks_(series_max / kChunk + 1) {
  std::fill_n(ways_.get(), (mask_ + 1) * kWays, Way{0, kUnknown});
}

std::size_t SeriesCounts::bytes_max(std::size_t series_max, const BlockShape& shape) {
  return sets_for(series_max) * kWays * sizeof(Way) + (series_max / kChunk + 1) * kChunk * shape.words() * 8;
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
    if (way.series < gone.size() && gone[way.series]) way = {0, kUnknown};
  }
}

std::uint64_t* SeriesCounts::make_chunk(SeriesId series) {
  chunks_[series / kChunk] = std::make_unique<std::uint64_t[]>(kChunk * words_);
  return chunks_[series / kChunk].get();
}

}  // namespace tailgate
