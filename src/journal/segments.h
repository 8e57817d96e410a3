// SPDX-License-Identifier: Apache-2.0
// The files of a journal, as plain bookkeeping. A segment is a file of requests and, beside it, one of ends (verdicts,
// deliveries). Segments are numbered in the order of their making; the last one is written to.
//
//   NUMBER.requests, NUMBER.ends, 13 digits       lock (blocks/directory_lock.h)
//
// Threads: whoever holds the journal's lock.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace tailgate {

std::string requests_path(const std::string& directory, std::uint64_t segment);
std::string ends_path(const std::string& directory, std::uint64_t segment);
// The numbers of all segments of a directory, ascending; a file that is missing of a pair is no error.
Result<std::vector<std::uint64_t>> segment_numbers(const std::string& directory);

struct Segment {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;       // of both files
  bool indexed = false;          // it has an index of ids, as far as one can be made
  std::uint64_t ends_bytes = 0;  // of the one
  // No span in it came later. Of an earlier process what its files say, which is too early where the wall clock was put
  // back; ends_after() sets that right before anything is taken out of it.
  TimePoint end{};
  std::uint64_t end_unix_ns = 0;
  std::uint32_t pins = 0;  // kept traces that began in it, or later, and are not delivered
  bool readable = true;    // false: of a newer version or damaged at its head. It stays as it is
};

class SegmentList {
 public:
  // Behind the others; its `end` is not before theirs.
  void add(Segment segment);
  Segment& last() { return segments_.back(); }
  const Segment& first() const { return segments_.front(); }
  bool empty() const { return segments_.empty(); }
  std::size_t size() const { return segments_.size(); }
  std::uint64_t bytes() const;
  const std::deque<Segment>& all() const { return segments_; }

  // A span in it came at this time: it ends no sooner, nor do those behind it.
  void ends_after(std::uint64_t number, TimePoint time);

  // Keeps the segments that may hold spans since `first` from being settled. The number is for unpin().
  std::uint64_t pin(TimePoint first);
  void unpin(std::uint64_t number);

  // All traces that began in segments below settled() are decided, and what was kept of them is delivered.
  std::uint64_t settled() const { return settled_; }
  void settle_below(std::uint64_t number) { settled_ = number; }
  // Moves settled() on over segments that are below `limit` and not the last, as far as `decided` (every trace that
  // began before is decided) and pins allow. True: it moved.
  bool settle(TimePoint decided, std::uint64_t limit);

  // Segments below settled() that were passed over because they cannot be read: a newer Tailgate, which can, begins
  // with them.
  std::vector<std::uint64_t> left() const;

  // The oldest segment whose requests may go: it is settled, readable and not the last.
  const Segment* deletable() const;
  bool indexed(std::uint64_t number, std::uint64_t bytes);  // false: there is none of this number
  // Its ends stay.
  void drop(std::uint64_t number);

  // Files of ends alone, by number: late spans follow these verdicts after a restart too. Those that are not settled
  // were written while no file of requests could be made, and are about requests in the segments before.
  void add_ends(std::uint64_t number, std::uint64_t bytes) { ends_.push_back({number, bytes}); }
  bool ends_deletable() const { return !ends_.empty() && ends_.front().number < settled_; }
  struct Ends {
    std::uint64_t number = 0, bytes = 0;
  };
  const std::deque<Ends>& ends() const { return ends_; }
  std::uint64_t ends_bytes() const;
  void drop_first_ends() { ends_.pop_front(); }

 private:
  std::deque<Segment>::iterator find(std::uint64_t number);  // end(): there is none

  std::deque<Segment> segments_;  // by number, and by `end`
  std::deque<Ends> ends_;
  std::uint64_t settled_ = 0;
};

}  // namespace tailgate
