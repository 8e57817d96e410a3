// SPDX-License-Identifier: Apache-2.0
#include "signals/series_counts.h"

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

SeriesCounts::SeriesCounts(std::size_t series_max, const BlockShape& shape)
    : words_(shape.words()), ways_(series_max), chunks_(series_max / kChunk + 1) {}

std::size_t SeriesCounts::bytes_max(std::size_t series_max, const BlockShape& shape) {
  return NumberCache::bytes(series_max) + (series_max / kChunk + 1) * kChunk * shape.words() * 8;
}

void SeriesCounts::forget(const std::vector<bool>& gone) {
  ways_.forget_if([&](SeriesId series) { return series < gone.size() && gone[series]; });
}

std::uint64_t* SeriesCounts::make_chunk(SeriesId series) {
  chunks_[series / kChunk] = std::make_unique<std::uint64_t[]>(kChunk * words_);
  return chunks_[series / kChunk].get();
}

}  // namespace tailgate
