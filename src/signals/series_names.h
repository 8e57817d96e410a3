// SPDX-License-Identifier: Apache-2.0
// SeriesNames: which series there are, by their labels. A series has a number, which every thread's SeriesCounts is
// indexed by. Number 0 is the series of all that came when there was no room.
//
// Numbers of series that were removed are given again. `holders` counts the threads that have counts for a series or
// know a way to it: while there are any, it must not be removed. What a thread gave back lies in `given_back`.
//
// Threads: the holder of one lock; no lock is its own. Always true on return: at most series_max series besides number
// 0, and their labels are at most series_max * kLabelBytesMean bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "signals/series_counts.h"

namespace tailgate {

class SeriesNames {
 public:
  static constexpr std::size_t kLabelBytesMean = 256;  // more than this on average and there is no room

  struct Series {
    bool used = false;   // else the number is free
    std::string labels;  // a="b",c="d", as an exposition writes them
    std::uint32_t holders = 0;
    std::vector<std::uint64_t> given_back;  // a block; empty: nothing
  };

  explicit SeriesNames(std::size_t series_max);
  static std::size_t bytes_max(std::size_t series_max, const BlockShape& shape);

  // The series with these labels, made if there is room; else kOverflowSeries. `fresh`: it was made now.
  SeriesId find_or_add(std::string_view labels, bool& fresh);
  bool has(std::string_view labels) const { return by_labels_.contains(labels); }
  void remove(SeriesId series);

  Series& of(SeriesId series) { return series_[series]; }
  // Numbers below this may be in use; those that are not `used` are free.
  SeriesId end() const { return static_cast<SeriesId>(series_.size()); }
  std::size_t size() const { return by_labels_.size(); }

 private:
  const std::size_t series_max_;
  std::size_t label_bytes_ = 0;
  std::deque<Series> series_;                                 // its elements stay where they are
  std::unordered_map<std::string_view, SeriesId> by_labels_;  // views of their labels
  std::vector<SeriesId> free_;
};

}  // namespace tailgate
