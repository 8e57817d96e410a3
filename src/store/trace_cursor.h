// SPDX-License-Identifier: Apache-2.0
// TraceCursor: the rows of one partition that a search may want, newest start first, of the same start the largest id
// first. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_set>
#include <vector>

#include "store/candidates.h"
#include "store/catalogue.h"
#include "store/gather.h"
#include "store/reader.h"

namespace tailgate {

struct TraceRow {
  std::int64_t start_ns = 0, end_ns = 0, longest_ns = 0;
  TraceId id;
  TraceNumber number = 0;
};

// Whether the order of a search has `a` before `b`.
inline bool before(const TraceRow& a, const TraceRow& b) {
  return a.start_ns != b.start_ns ? a.start_ns > b.start_ns : a.id.view() > b.id.view();
}

// Whether times and durations are those that are asked for.
bool row_fits(const TraceRow& row, const SearchRequest& request);

// Counts rows and says when a search has to end.
class SearchMeter {
 public:
  SearchMeter(const SearchBudget& budget, SearchOutcome& out) : budget_(budget), out_(out) {}
  // False when the search is over; `out.cut` then says why.
  bool row();
  bool trace(std::uint64_t bytes);

 private:
  bool cut(std::string why);
  const SearchBudget& budget_;
  SearchOutcome& out_;
};

class TraceCursor {
 public:
  TraceCursor(PartitionView& view, const SearchRequest& request, const std::unordered_set<std::string>& elsewhere,
              SearchMeter& meter)
      : view_(view), request_(request), elsewhere_(elsewhere), meter_(meter) {}

  // `candidates`: of recent_candidates() and add_stored_candidates().
  Result<void> open(const CandidateLists& candidates);
  // The next row, or nothing at the end, or when the meter says so.
  Result<std::optional<TraceRow>> next();

 private:
  Result<void> open_scan(std::int64_t longest_trace_ns);
  Result<void> read_candidates();
  Result<void> read_unlisted();
  Result<bool> read_row(TraceRow& row);
  bool fits(const TraceRow& row) const;

  PartitionView& view_;
  const SearchRequest& request_;
  const std::unordered_set<std::string>& elsewhere_;  // ids of traces that are in several partitions
  SearchMeter& meter_;
  std::optional<ServiceKey> service_;  // that is asked for
  std::optional<std::vector<TraceNumber>> candidates_;
  std::optional<Statement> rows_;  // empty at the end
  std::optional<TraceRow> ahead_;
  std::vector<TraceRow> ready_;  // the next one is the last
};

Result<ServiceKey> find_service(Database& db, const std::string& name);
// Whether a trace has a span of a service. One thread; reuses its statement.
class HasService {
 public:
  static Result<HasService> prepare(Database& db, ServiceKey service);
  Result<bool> ask(std::int64_t trace_start_ns, TraceNumber trace);

 private:
  HasService(Statement statement, ServiceKey service) : statement_(std::move(statement)), service_(service) {}
  Statement statement_;
  ServiceKey service_;
};
Result<std::int64_t> read_meta(Database& db, std::string_view name);

}  // namespace tailgate
