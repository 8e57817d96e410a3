// SPDX-License-Identifier: Apache-2.0
// SpanFiles: sorts the spans of a batch into files, one for each hour in which spans began, and within a file into the
// order in which they are written: by service, then by start. Hours are those of the spans' own clocks (start, or end
// where there is no start), so that a query for an hour needs the files of that hour and no others.
//
// Spans come from outside, and so do their times: those outside the TimeRange, or without any time, go to the hour of
// `now`. A batch makes at most kHoursMax files; beyond that the hours furthest from `now` go there too.
//
// Views into the batch, which must outlive it. No clock, no threads; the same batch and `now` give the same files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "export/parquet/span_table.h"
#include "export/queue/send_queue.h"
#include "export/time_range.h"
#include "wire/otlp/split.h"

namespace tailgate {

struct FileSpan {
  FrameSpan bytes;
  std::uint64_t start_ns = 0;
  std::uint32_t service = 0;  // a number that sorts as the name does
  std::uint32_t trace = 0;    // in Batch::traces
};

struct HourFile {
  std::int64_t hour = 0;  // since 1970, UTC
  std::span<const FileSpan> spans;
};

class SpanFiles {
 public:
  static constexpr std::size_t kHoursMax = 32;

  SpanFiles(const Batch& batch, std::uint64_t now_unix_ns, const TimeRange& range);

  const std::vector<HourFile>& files() const { return files_; }  // by hour
  // Spans in the file of now whose own hour is another.
  std::size_t misdated() const { return misdated_; }
  // Spans that cannot be read: they are in no file.
  const std::vector<RejectedTrace>& unreadable() const { return unreadable_; }

 private:
  void add(const KeptTrace& trace, std::uint32_t number);

  std::vector<FileSpan> spans_;                    // of all files, one after the other
  std::vector<OtlpSpans> parsed_;                  // own what the views of resources and scopes show
  std::map<std::string, std::uint32_t> services_;  // numbers in the order in which they came
  std::vector<HourFile> files_;
  std::size_t misdated_ = 0;
  std::vector<RejectedTrace> unreadable_;
};

// "dt=2026-05-04/hour=10/", as Hive lays out its tables.
std::string hour_folder(std::int64_t hour);

// When a row group ends: at so many rows or bytes of OTLP, and at the first row of another service once the group has a
// quarter of that, so that a group has few services. It also ends when its rows take so much in the writer's columns:
// an empty link is 2 bytes of OTLP and some 48 there. Ordinary rows take twice their OTLP at most.
struct RowGroupLimits {
  std::int64_t rows = 20'000;
  std::size_t bytes = 16 << 20;
  std::size_t column_bytes = 32 << 20;
};

// Writes all of `file`, a part of `batch`, with `table`. A table repeats a resource and a scope for each of their
// spans, so a few kilobytes of request could become gigabytes. Once a file has grown to some ten times its OTLP that
// way, resources and scopes over 1 KiB are written with the first of their spans in the file only.
//
// `stop` is called now and then; true ends the writing with an error (kUnavailable), within the time that one row group
// takes. What was left out of spans is added to `cut`.
Result<FilePieces> write_span_file(
    SpanTableWriter& table, const Batch& batch, const HourFile& file, const RowGroupLimits& limits, CutItems& cut,
    const std::function<bool()>& stop = [] { return false; });

}  // namespace tailgate
