// SPDX-License-Identifier: Apache-2.0
// OffsetTracker: up to where the records of one partition are settled, so that their offset may be committed.
//
// It knows nothing of spans or traces. A record was handed in at some moment, so every trace that it opened began at or
// before that moment. When all traces that began before a later moment are settled, so are those of the record. Records
// are told apart by the tenth of a second in which they were handed in, so a partition takes a few kilobytes whatever
// its rate.
//
// Always true: all records below committable() were handed in before the moment that settle() was told last, and
// committable() never goes back. Pure: time is an argument. Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/clock.h"

namespace tailgate {

class OffsetTracker {
 public:
  // Records up to `last` are handed in, and that was over at `now`. Neither goes back. `first`: of those that were
  // handed in at once; without, it is `last`.
  void handed(std::int64_t last, TimePoint now, std::optional<std::int64_t> first = std::nullopt);
  // Every trace that began before this is settled.
  void settle(TimePoint before);
  // Traces that began at `from` or later were let go of unsettled: records handed in then do not count as settled any
  // more, whatever settle() is told.
  void freeze(TimePoint from);

  // The offset to commit, which is that of the first record that is not settled; nothing while none is.
  std::optional<std::int64_t> committable() const { return committable_; }

  struct Undecided {
    std::int64_t offset = 0;
    TimePoint since{};  // when it was handed in, up to a tenth of a second
  };
  // The first record that is not settled.
  std::optional<Undecided> undecided() const;
  // The offset behind the last record that was handed in.
  std::optional<std::int64_t> next() const { return next_; }

 private:
  struct Run {  // records that were handed in at about the same time
    std::int64_t first, last;
    TimePoint since, until;
  };
  std::deque<Run> runs_;
  std::optional<std::int64_t> committable_, next_;
  std::optional<TimePoint> frozen_from_;
};

}  // namespace tailgate
