// SPDX-License-Identifier: Apache-2.0
#include "signals/series_table.h"

#include <algorithm>

namespace tailgate {
namespace {

// A thread that counts waits for a scrape no longer than this many series take, some microseconds.
constexpr std::size_t kRowsPerLock = 256;

}  // namespace

SeriesTable::SeriesTable(const SeriesTableOptions& options)
    : options_(options), shape_(options.shape), names_(options.series_max) {
  for (std::size_t i = 0; i < std::max<std::size_t>(1, options.parts); ++i) {
    parts_.push_back(std::make_unique<Part>(options.series_max, shape_));
  }
}

// The last are the ages and a snapshot.
std::size_t SeriesTable::bytes_max(const SeriesTableOptions& options) {
  return SeriesNames::bytes_max(options.series_max, options.shape) +
         options.parts * SeriesCounts::bytes_max(options.series_max, options.shape) +
         options.series_max * (sizeof(Age) + options.shape.words() * 8 + sizeof(Row) + SeriesNames::kLabelBytesMean);
}

void SeriesTable::resolve(Part& part, std::span<Wanted> wanted) {
  const MutexLock lock(names_mutex_);
  for (Wanted& one : wanted) {
    one.series = names_.find_or_add(one.labels, one.fresh);
    if (part.held.size() <= one.series) part.held.resize(one.series + 1u);
    if (!part.held[one.series]) {
      part.held[one.series] = true;
      ++names_.of(one.series).holders;
    }
    part.counts.remember(one.hash, one.series);
  }
}

bool SeriesTable::has(std::string_view labels) const {
  const MutexLock lock(names_mutex_);
  return names_.has(labels);
}

void SeriesTable::collect(Snapshot& out) {
  auto& [rows, blocks] = out;
  const std::size_t words = shape_.words();
  {
    const MutexLock lock(names_mutex_);
    rows.reserve(names_.size() + 1);
    blocks.assign((names_.size() + 2) * words, 0);  // the last stays so, for show()
    for (SeriesId series = 0; series < names_.end(); ++series) {
      const SeriesNames::Series& one = names_.of(series);
      if (series != kOverflowSeries && !one.used) continue;
      std::uint64_t* const block = blocks.data() + rows.size() * words;
      if (!one.given_back.empty()) add_block(shape_, one.given_back.data(), block);
      rows.push_back({series, one.labels, block, block});
    }
  }
  for (const std::unique_ptr<Part>& part : parts_) {
    for (std::size_t from = 0; from < rows.size(); from += kRowsPerLock) {
      const std::size_t to = std::min(rows.size(), from + kRowsPerLock);
      const MutexLock lock(part->mutex);
      for (std::size_t i = from; i < to; ++i) {
        const std::uint64_t* const block = part->counts.block_if(rows[i].series);
        if (block != nullptr) add_block(shape_, block, blocks.data() + i * words);
      }
    }
  }
}

// Every one who scrapes has seen the zeros that scrapes within start_at_zero of each other.
void SeriesTable::show(Snapshot& out, TimePoint now) {
  const std::uint64_t* const zeros = out.blocks.data() + out.blocks.size() - shape_.words();
  ages_.resize(std::max<std::size_t>(ages_.size(), out.rows.back().series + 1u));
  for (Row& row : out.rows) {
    Age& age = ages_[row.series];
    const std::uint64_t activity = activity_of(shape_, row.block);
    if (activity == 0) continue;  // nothing had no room, and that is on no page
    if (!age.first_shown) age.first_shown = now;
    if (now - *age.first_shown < options_.life.start_at_zero) {
      row.shown = zeros;
    } else {
      age.activity_shown = activity;
    }
  }
}

// One that is on the page, which others than its scraper may have asked for, has to have been there with its last
// value; unless nobody scrapes it any more.
std::vector<SeriesId> SeriesTable::silent(const std::vector<Row>& rows, TimePoint now) {
  std::vector<SeriesId> out;
  const Duration expiration = options_.life.expiration;
  if (expiration == Duration::zero()) return out;
  ages_.resize(std::max<std::size_t>(ages_.size(), rows.back().series + 1u));
  for (const Row& row : rows) {
    if (row.series == kOverflowSeries) continue;
    Age& age = ages_[row.series];
    const std::uint64_t activity = activity_of(shape_, row.block);
    const bool to_be_shown = age.first_shown && age.activity_shown != activity;
    if (activity != age.activity) {
      age.activity = activity;
      age.changed = now;
    } else if ((now - age.changed) / (to_be_shown ? 2 : 1) >= expiration) {
      out.push_back(row.series);
    }
  }
  return out;
}

// Each part gives back what it has counted and forgets the way to the series. What comes meanwhile finds the series by
// its labels again and makes its part a holder again; then the series stays.
void SeriesTable::expire(const std::vector<SeriesId>& series) {
  if (series.empty()) return;
  std::vector<bool> gone(series.back() + 1u);
  for (const SeriesId one : series) gone[one] = true;
  for (const std::unique_ptr<Part>& part : parts_) {
    const MutexLock lock(part->mutex);
    part->counts.forget(gone);
    give_back(*part, series);
  }
  if (!remove(series)) return;
  // There is room for what had none. Only now: whoever forgot the way sooner would have been sent it again.
  for (const std::unique_ptr<Part>& part : parts_) {
    const MutexLock lock(part->mutex);
    part->counts.forget({true});
  }
}

// Those that no part holds. Whether there were any.
bool SeriesTable::remove(const std::vector<SeriesId>& series) {
  const MutexLock lock(names_mutex_);
  const std::uint64_t before = expired_;
  for (const SeriesId one : series) {
    const SeriesNames::Series& of = names_.of(one);
    if (of.holders != 0 || activity_of(shape_, of.given_back.data()) != ages_[one].activity) continue;
    names_.remove(one);
    ages_[one] = Age();
    ++expired_;
  }
  return expired_ != before;
}

void SeriesTable::give_back(Part& part, const std::vector<SeriesId>& series) {
  const MutexLock lock(names_mutex_);
  for (const SeriesId one : series) {
    if (part.held.size() <= one || !part.held[one]) continue;
    part.held[one] = false;
    SeriesNames::Series& of = names_.of(one);
    --of.holders;
    of.given_back.resize(shape_.words());
    std::uint64_t* const block = part.counts.block(one);
    add_block(shape_, block, of.given_back.data());
    std::fill_n(block, shape_.words(), 0);
  }
}

SeriesTable::Stats SeriesTable::stats() const {
  const MutexLock lock(names_mutex_);
  return {names_.size(), expired_};
}

std::uint64_t SeriesTable::overflow(std::size_t from, std::size_t count) const {
  std::uint64_t out = 0;
  for (const std::unique_ptr<Part>& part : parts_) {
    const MutexLock lock(part->mutex);
    const std::uint64_t* const block = part->counts.block_if(kOverflowSeries);
    for (std::size_t i = 0; block != nullptr && i < count; ++i) out += block[from + i];
  }
  return out;
}

}  // namespace tailgate
