// SPDX-License-Identifier: Apache-2.0
#include "store/trace_cursor.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/catalogue.h"

namespace tailgate {
namespace {

// Up to this many candidates are looked up row by row; with more, the rows are read in order of time.
constexpr std::size_t kFewCandidates = 2000;
constexpr std::uint64_t kClockEvery = 64;  // rows

constexpr std::string_view kColumns = "t.number, t.trace_id, t.start_ns, t.end_ns, t.longest_span_ns";

TraceRow row_of(const Statement& s) {
  TraceRow row;
  row.number = static_cast<TraceNumber>(s.number(0));
  if (s.text(1).size() == row.id.bytes.size()) row.id = TraceId::from(s.text(1).data());
  row.start_ns = s.number(2);
  row.end_ns = s.number(3);
  row.longest_ns = s.number(4);
  return row;
}

}  // namespace

bool row_fits(const TraceRow& row, const SearchRequest& request) {
  const std::int64_t lasts = std::max<std::int64_t>(0, row.end_ns - row.start_ns);
  return row.start_ns <= to_sql(request.to_ns) && std::max(row.start_ns, row.end_ns) >= to_sql(request.from_ns) &&
         row.longest_ns >= to_sql(request.needs.span_duration_min_ns) &&
         lasts >= to_sql(request.needs.trace_duration_min_ns) && lasts <= to_sql(request.needs.trace_duration_max_ns);
}

bool SearchMeter::cut(std::string why) {
  out_.cut = std::move(why);
  return false;
}

bool SearchMeter::row() {
  if (!out_.cut.empty()) return false;
  if (out_.traces >= budget_.traces_max) {
    return cut(fmt::format("The search ended after {} traces, the most that it may look at.", out_.traces));
  }
  if (++out_.traces % kClockEvery == 1) return trace(0);
  return true;
}

bool SearchMeter::trace(std::uint64_t bytes) {
  if (!out_.cut.empty()) return false;
  out_.bytes += bytes;
  if (budget_.cancelled && budget_.cancelled()) return cut("The search was cancelled.");
  if (budget_.clock && budget_.clock() >= budget_.deadline) return cut("The search ended at its time limit.");
  if (out_.bytes >= budget_.bytes_max) {
    return cut(fmt::format("The search ended after {} bytes of traces, the most that it may read.", out_.bytes));
  }
  return true;
}

Result<std::int64_t> read_meta(Database& db, std::string_view name) {
  auto rows = db.prepare("SELECT value FROM meta WHERE name=?");
  if (!rows) return tl::unexpected(rows.error());
  const Result<bool> row = rows->bind(1, name).step();
  if (!row) return tl::unexpected(row.error());
  return *row ? rows->number(0) : 0;
}

Result<ServiceKey> find_service(Database& db, const std::string& name) {
  auto rows = db.prepare("SELECT id FROM services WHERE name=?");
  if (!rows) return tl::unexpected(rows.error());
  const Result<bool> row = rows->bind(1, name).step();
  if (!row) return tl::unexpected(row.error());
  return *row ? ServiceKey{rows->number(0)} : unlisted_service(name);
}

Result<HasService> HasService::prepare(Database& db, ServiceKey service) {
  auto statement = db.prepare("SELECT 1 FROM trace_services WHERE service=?1 AND start_ns=?2 AND trace=?3");
  if (!statement) return tl::unexpected(statement.error());
  return HasService(std::move(*statement), service);
}

Result<bool> HasService::ask(std::int64_t trace_start_ns, TraceNumber trace) {
  return statement_.bind(1, service_.id).bind(2, service_.start(trace_start_ns)).bind(3, std::int64_t{trace}).run();
}

Result<void> TraceCursor::open(const CandidateLists& candidates) {
  candidates_ = in_all(candidates);
  if (!request_.service.empty()) {
    auto service = find_service(*view_.db, request_.service);
    if (!service) return tl::unexpected(service.error());
    service_ = *service;
    if (!service_->listed()) {
      if (auto done = read_unlisted(); !done) return done;
    }
  }
  if (candidates_ && candidates_->size() <= kFewCandidates) return read_candidates();
  const Result<std::int64_t> longest = read_meta(*view_.db, "longest_trace_ns");
  if (!longest) return tl::unexpected(longest.error());
  return open_scan(*longest);
}

// Of a service that is not listed the traces are not in the order of time: they become candidates.
Result<void> TraceCursor::read_unlisted() {
  auto rows = view_.db->prepare("SELECT trace FROM trace_services WHERE service=?1 AND start_ns=0 ORDER BY trace");
  if (!rows) return tl::unexpected(rows.error());
  rows->bind(1, service_->id);
  std::vector<TraceNumber> traces;
  while (true) {
    const Result<bool> row = rows->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) break;
    traces.push_back(static_cast<TraceNumber>(rows->number(0)));
  }
  service_.reset();
  if (!candidates_) {
    candidates_ = std::move(traces);
    return {};
  }
  candidates_ = in_all({std::move(candidates_), std::move(traces)});
  return {};
}

Result<void> TraceCursor::read_candidates() {
  auto rows = view_.db->prepare(fmt::format("SELECT {} FROM traces t WHERE t.number=?", kColumns));
  if (!rows) return tl::unexpected(rows.error());
  auto of_service = HasService::prepare(*view_.db, service_.value_or(ServiceKey{}));
  if (!of_service) return tl::unexpected(of_service.error());
  for (const TraceNumber number : *candidates_) {
    if (!meter_.row()) break;
    rows->reset();
    const Result<bool> found = rows->bind(1, std::int64_t{number}).step();
    if (!found) return tl::unexpected(found.error());
    if (!*found) continue;
    const TraceRow row = row_of(*rows);
    if (!row_fits(row, request_) || elsewhere_.contains(std::string(row.id.view()))) continue;
    if (service_) {
      const Result<bool> of = of_service->ask(row.start_ns, number);
      if (!of) return tl::unexpected(of.error());
      if (!*of) continue;
    }
    ready_.push_back(row);
  }
  std::sort(ready_.begin(), ready_.end(), [](const TraceRow& a, const TraceRow& b) { return before(b, a); });
  return {};
}

Result<void> TraceCursor::open_scan(std::int64_t longest_trace_ns) {
  const std::int64_t from = std::max<std::int64_t>(0, to_sql(request_.from_ns) - longest_trace_ns);
  std::string sql =
      fmt::format("SELECT {} FROM traces t WHERE t.start_ns<=?1 AND t.start_ns>=?2 ORDER BY t.start_ns DESC", kColumns);
  if (service_) {
    sql = fmt::format(
        "SELECT {} FROM trace_services s CROSS JOIN traces t ON t.number=s.trace WHERE s.service=?3 AND "
        "s.start_ns<=?1 AND s.start_ns>=?2 ORDER BY s.start_ns DESC",
        kColumns);
  }
  auto rows = view_.db->prepare(sql);
  if (!rows) return tl::unexpected(rows.error());
  rows_ = std::move(*rows);
  rows_->bind(1, to_sql(request_.to_ns)).bind(2, from);
  if (service_) rows_->bind(3, service_->id);
  return {};
}

bool TraceCursor::fits(const TraceRow& row) const {
  if (candidates_ && !std::binary_search(candidates_->begin(), candidates_->end(), row.number)) return false;
  return row_fits(row, request_) && !elsewhere_.contains(std::string(row.id.view()));
}

// The next row that fits. False at the end.
Result<bool> TraceCursor::read_row(TraceRow& row) {
  while (rows_) {
    Result<bool> found = rows_->step();
    if (!found) return found;
    if (!*found || !meter_.row()) {
      rows_.reset();
      break;
    }
    row = row_of(*rows_);
    if (fits(row)) return true;
  }
  return false;
}

Result<std::optional<TraceRow>> TraceCursor::next() {
  if (ready_.empty()) {
    // All rows with the next start, in the order of their ids.
    if (ahead_) ready_.push_back(*ahead_);
    ahead_.reset();
    TraceRow row;
    while (rows_) {
      const Result<bool> found = read_row(row);
      if (!found) return tl::unexpected(found.error());
      if (!*found) break;
      if (!ready_.empty() && ready_.back().start_ns != row.start_ns) {
        ahead_ = row;
        break;
      }
      ready_.push_back(row);
    }
    std::sort(ready_.begin(), ready_.end(), [](const TraceRow& a, const TraceRow& b) { return before(b, a); });
  }
  if (ready_.empty()) return std::nullopt;
  const TraceRow row = ready_.back();
  ready_.pop_back();
  return row;
}

}  // namespace tailgate
