// SPDX-License-Identifier: Apache-2.0
// SpanMetrics: how many spans there were, how long they took and how many bytes they have, by service, name, kind,
// status and dimensions. It counts every span that was taken, before anything is decided. docs/signals.md,
// docs/design/0020-span-metrics.md.
//
// Threads: any; each I/O thread counts in a part of its own (series_table.h). The block of a series:
//
//   [ sum of durations, ns ][ bytes ][ buckets: one per bound, and one for what is over the last ]
//
// so the sum of the buckets is the number of spans. Always true at a scrape: the calls of all series, those that
// expired included, are the spans taken so far; on the page a new series shows them a while later (series_config.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/kept_trace.h"
#include "signals/config.h"
#include "signals/exposition.h"
#include "signals/series_table.h"
#include "signals/span_notes.h"

namespace tailgate {

class SpanMetrics {
 public:
  SpanMetrics(SpanMetricsConfig config, std::size_t parts, std::uint64_t seed);

  std::size_t parts() const { return table_.parts(); }
  // Readies this thread's `notes` for a request that is scanned by `plan`. Without the part's lock: the notes prefetch
  // from addresses that never change.
  void begin(SpanNotes& notes, std::size_t part, const ScanPlan& plan) TAILGATE_NOT_ANALYSED;
  // Counts them. Cost: some 20 ns a span; a microsecond for one whose series is new to the part.
  void count(SpanNotes& notes, std::size_t part);

  // Chooses exemplars from a trace that was kept and is on its way to exporters. `unix_ns` is `now` by the wall clock.
  // Cost: a scan of the trace, if its turn has come; nothing unless exemplars are on.
  void kept(const KeptTrace& trace, TimePoint now, std::uint64_t unix_ns);

  // Writes all series: new ones as zeros, and those without a new span for `series_expiration` for the last time.
  void write(Exposition& out, TimePoint now);

  struct Stats {
    std::uint64_t series = 0;
    std::uint64_t overflow_spans = 0;  // whose series was one too many
    std::uint64_t expired_series = 0;
    Exemplars::Stats exemplars;
    std::uint64_t id_names = 0;  // series made whose name looks like one with an id in it
  };
  Stats stats() const;

  // For the log: the last name that looks like one with an id, if there were new ones since it was asked last.
  struct IdNames {
    std::uint64_t count = 0;
    std::string last;
  };
  std::optional<IdNames> take_id_names();

  bool has_exemplars() const { return config_.exemplars.enabled; }

  static BlockShape shape_of(const SpanMetricsConfig& config);

 private:
  void count_unknown(SpanNotes& notes, SeriesTable::Part& part, const std::vector<std::uint32_t>& spans)
      TAILGATE_REQUIRES(part.mutex);
  void add(SeriesTable::Part& part, SeriesId series, const SpanNote& span) TAILGATE_REQUIRES(part.mutex);
  std::string labels_of(SpanNotes& notes, const SpanNote& span) const;
  const ResourceLabels& resource_labels_of(SpanNotes& notes, const SpanNote& span) const;
  void note_id_name(const SpanNote& span);
  struct Page;
  void write_family(SpanMetricNames family, const Page& page, Exposition& out) const;
  void write_durations(SpanMetricNames family, const Page& page, Exposition& out) const;
  std::string_view labels_in(SpanMetricNames family, const SeriesTable::Row& row, std::string& scratch) const;
  std::uint64_t calls_of(const std::uint64_t* block) const;

  const SpanMetricsConfig config_;
  const std::uint64_t seed_;
  SeriesTable table_;
  Exemplars exemplars_;
  ScanPlan kept_plan_;  // for kept traces
  mutable Mutex id_mutex_;
  std::uint64_t id_names_ TAILGATE_GUARDED_BY(id_mutex_) = 0;
  std::uint64_t id_names_taken_ TAILGATE_GUARDED_BY(id_mutex_) = 0;
  std::string last_id_name_ TAILGATE_GUARDED_BY(id_mutex_);
};

}  // namespace tailgate
