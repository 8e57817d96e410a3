// SPDX-License-Identifier: Apache-2.0
// Search: one StoreReader::search(). It merges the partitions' rows by time and opens a partition only when its newest
// trace is next. Traces that lie in several partitions are few and are looked at first, all of them. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_set>
#include <vector>

#include "store/gather.h"
#include "store/trace_cursor.h"

namespace tailgate {

class Search {
 public:
  explicit Search(const SearchRequest& request) : request_(request), needed_(request.needs) {}
  // `partitions` oldest first.
  Result<SearchOutcome> run(const std::vector<std::shared_ptr<Partition>>& partitions,
                            const std::function<bool(const StoredTrace&)>& take);

 private:
  struct Source {
    std::unique_ptr<PartitionView> view;
    CandidateLists recent;                // of what is in memory
    std::optional<CandidateLists> lists;  // of the time that is asked for; once they are wanted
    std::optional<CandidateLists> all;    // of any time: a trace with parts elsewhere may overlap it there
    std::unique_ptr<TraceCursor> cursor;
    std::optional<TraceRow> next;  // before the cursor is open only its start, the newest that there is
  };
  struct Crossing {
    TraceRow row;
    std::vector<TracePlace> places;
  };

  Result<void> open(const std::vector<std::shared_ptr<Partition>>& partitions);
  Result<const CandidateLists*> lists_of(Source& source, bool of_any_time);
  Result<void> read_crossings();
  Result<void> check_crossing(const TraceId& id);
  Result<bool> crossing_fits(const Crossing& crossing);
  Result<std::optional<Crossing>> next();

  const SearchRequest& request_;
  const NeededTerms needed_;
  SearchOutcome out_;
  SearchMeter meter_{request_.budget, out_};
  std::vector<Source> sources_;
  std::unordered_set<std::string> elsewhere_;
  std::vector<Crossing> crossings_;  // those that fit; the next one is the last
};

}  // namespace tailgate
