// SPDX-License-Identifier: Apache-2.0
// SpanMetrics: how many spans there were, how long they took and how many bytes they have, by service, name, kind,
// status and dimensions. It counts every span that was taken, before anything is decided. docs/signals.md,
// docs/design/0020-span-metrics.md.
//
// Threads: any. Each I/O thread counts in a part of its own, under that part's lock, which it takes once a request;
// only a scrape takes it besides, for a few hundred series at a time. A series that is new to a part is looked up under
// the lock of the names; the two locks are taken in this order and no other. A scrape adds the parts up.
//
// Always true at a scrape: the calls of all series, those that expired included, are the spans taken so far.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "signals/config.h"
#include "signals/exposition.h"
#include "signals/series_counts.h"
#include "signals/series_names.h"
#include "signals/span_notes.h"

namespace tailgate {

class SpanMetrics {
 public:
  // `parts`: how many threads count at the same time. More of them share parts, and so locks.
  SpanMetrics(SpanMetricsConfig config, std::size_t parts, std::uint64_t seed);

  std::size_t parts() const { return parts_.size(); }
  // Readies this thread's `notes` for a request that is scanned by `plan`. Without the part's lock: the notes prefetch
  // from addresses that never change.
  void begin(SpanNotes& notes, std::size_t part, const ScanPlan& plan) const TAILGATE_NOT_ANALYSED;
  // Counts them. Cost: some 20 ns a span; a microsecond for one whose series is new to the part.
  void count(const SpanNotes& notes, std::size_t part);

  // Writes all series. Those without a new span for `series_expiration` by `now` are written for the last time.
  void write(Exposition& out, TimePoint now);

  struct Stats {
    std::uint64_t series = 0;
    std::uint64_t overflow_spans = 0;  // whose series was one too many
    std::uint64_t expired_series = 0;
    std::uint64_t id_names = 0;  // series made whose name looks like one with an id in it
  };
  Stats stats() const;

  // For the log: the last name that looks like one with an id, if there were new ones since it was asked last.
  struct IdNames {
    std::uint64_t count = 0;
    std::string last;
  };
  std::optional<IdNames> take_id_names();

 private:
  struct Part {
    Part(std::size_t series_max, std::span<const std::uint64_t> bounds) : counts(series_max, bounds) {}
    mutable Mutex mutex;
    SeriesCounts counts TAILGATE_GUARDED_BY(mutex);
    std::vector<bool> held TAILGATE_GUARDED_BY(mutex);  // by series: this part is one of its holders
    // For one request: which of its spans have a series that is new to this part, and these series' labels.
    std::vector<std::uint32_t> missed TAILGATE_GUARDED_BY(mutex);
    std::vector<std::string> labels TAILGATE_GUARDED_BY(mutex);
  };
  // One series while it is scraped. Labels do not change, and only a scrape removes a series.
  struct Row {
    SeriesId series;
    const std::string* labels;
  };
  // Since when a series has had no span.
  struct Age {
    std::uint64_t calls = 0;
    TimePoint changed{};
  };

  void count_missed(const SpanNotes& notes, Part& part) TAILGATE_REQUIRES(part.mutex);
  std::string labels_of(const SpanNotes& notes, const SpanNote& span) const;
  std::vector<Row> rows(std::vector<std::uint64_t>& blocks);
  void add_parts(const std::vector<Row>& rows, std::vector<std::uint64_t>& blocks);
  void write_families(const std::vector<Row>& rows, const std::vector<std::uint64_t>& blocks, Exposition& out) const;
  std::vector<SeriesId> silent(const std::vector<Row>& rows, const std::vector<std::uint64_t>& blocks, TimePoint now)
      TAILGATE_REQUIRES(scrape_mutex_);
  void expire(const std::vector<SeriesId>& series) TAILGATE_REQUIRES(scrape_mutex_);
  std::uint64_t calls_of(const std::uint64_t* block) const;

  const SpanMetricsConfig config_;
  const std::size_t words_;  // of a block
  const std::uint64_t seed_;
  std::vector<std::unique_ptr<Part>> parts_;

  mutable Mutex names_mutex_;
  SeriesNames names_ TAILGATE_GUARDED_BY(names_mutex_);
  std::uint64_t id_names_ TAILGATE_GUARDED_BY(names_mutex_) = 0;
  std::uint64_t id_names_taken_ TAILGATE_GUARDED_BY(names_mutex_) = 0;
  std::string last_id_name_ TAILGATE_GUARDED_BY(names_mutex_);
  std::uint64_t expired_ TAILGATE_GUARDED_BY(names_mutex_) = 0;

  Mutex scrape_mutex_;  // one scrape at a time
  std::vector<Age> ages_ TAILGATE_GUARDED_BY(scrape_mutex_);
};

}  // namespace tailgate
