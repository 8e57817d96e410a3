// SPDX-License-Identifier: Apache-2.0
// SeriesTable: series that many threads count and a scrape adds up. docs/design/0020-span-metrics.md.
//
// Each thread counts in a part of its own, under that part's lock, which it takes once a request; only a scrape takes
// it besides, for a few hundred series at a time. A hash that is new to a part is looked up by its labels, under the
// lock of the names. The two locks are taken in this order and no other.
//
//   SeriesTable::Part& part = table.part(i);
//   const MutexLock lock(part.mutex);
//   const SeriesId series = part.counts.find(hash);     // kUnknown: collect it, and resolve() all of them at once
//   part.counts.block(series)[word] += 1;
//
// Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "signals/series_config.h"
#include "signals/series_counts.h"
#include "signals/series_names.h"

namespace tailgate {

struct SeriesTableOptions {
  std::size_t series_max = 0;
  BlockShape shape;
  std::size_t parts = 1;  // threads that count at the same time; further ones share parts, and so locks
  SeriesLife life{};
};

class SeriesTable {
 public:
  struct Part {
    Part(std::size_t series_max, const BlockShape& shape) : counts(series_max, shape) {}
    mutable Mutex mutex;
    SeriesCounts counts TAILGATE_GUARDED_BY(mutex);
    std::vector<bool> held TAILGATE_GUARDED_BY(mutex);  // by series: this part is one of its holders
  };
  // A hash that a part did not know; resolve() finds the series.
  struct Wanted {
    std::uint64_t hash = 0;
    std::string labels;
    SeriesId series = kOverflowSeries;
    bool fresh = false;  // there was no such series before
  };

  explicit SeriesTable(const SeriesTableOptions& options);
  static std::size_t bytes_max(const SeriesTableOptions& options);

  std::size_t parts() const { return parts_.size(); }
  Part& part(std::size_t i) { return *parts_[i]; }
  void resolve(Part& part, std::span<Wanted> wanted) TAILGATE_REQUIRES(part.mutex);
  // Whether there is a series of its own for these labels.
  bool has(std::string_view labels) const;

  struct Row {
    SeriesId series;
    std::string labels;  // "" of kOverflowSeries, which comes first
    const std::uint64_t* block;
    const std::uint64_t* shown;  // the block as a page has it: of a series that is new there, zeros
  };
  // All series with their counts, at one moment.
  struct Snapshot {
    std::vector<Row> rows;
    std::vector<std::uint64_t> blocks;
  };
  // Looks at all rows, and then removes the series that were silent for too long. While `look` runs, no number of a
  // series is given again. One scrape at a time; others wait.
  template <class Look>
  Snapshot scrape(TimePoint now, Look&& look) {
    const MutexLock lock(scrape_mutex_);
    Snapshot all;
    collect(all);
    look(std::span<const Row>(all.rows));
    expire(silent(all.rows, now));
    return all;
  }
  // Likewise, for a page that is scraped: new series begin there with zeros, and those that go are there for the last
  // time.
  template <class Look>
  Snapshot page(TimePoint now, Look&& look) {
    const MutexLock lock(scrape_mutex_);
    Snapshot all;
    collect(all);
    look(std::span<const Row>(all.rows));
    show(all, now);
    expire(silent(all.rows, now));
    return all;
  }

  struct Stats {
    std::uint64_t series = 0, expired = 0;
  };
  Stats stats() const;
  // The sum of `count` words of the overflow series, from word `from`.
  std::uint64_t overflow(std::size_t from, std::size_t count) const;

 private:
  // Since when a series has been silent, and on the page.
  struct Age {
    std::uint64_t activity = 0;
    TimePoint changed{};
    std::uint64_t activity_shown = 0;
    std::optional<TimePoint> first_shown{};
  };

  void collect(Snapshot& out);
  void show(Snapshot& out, TimePoint now) TAILGATE_REQUIRES(scrape_mutex_);
  std::vector<SeriesId> silent(const std::vector<Row>& rows, TimePoint now) TAILGATE_REQUIRES(scrape_mutex_);
  void expire(const std::vector<SeriesId>& series) TAILGATE_REQUIRES(scrape_mutex_);
  bool remove(const std::vector<SeriesId>& series) TAILGATE_REQUIRES(scrape_mutex_);
  void give_back(Part& part, const std::vector<SeriesId>& series) TAILGATE_REQUIRES(part.mutex);

  const SeriesTableOptions options_;
  const BlockShape shape_;
  std::vector<std::unique_ptr<Part>> parts_;
  mutable Mutex names_mutex_;
  SeriesNames names_ TAILGATE_GUARDED_BY(names_mutex_);
  std::uint64_t expired_ TAILGATE_GUARDED_BY(names_mutex_) = 0;
  Mutex scrape_mutex_;
  std::vector<Age> ages_ TAILGATE_GUARDED_BY(scrape_mutex_);  // by series
};

}  // namespace tailgate
