// SPDX-License-Identifier: Apache-2.0
#include "store/search.h"

#include <algorithm>

#include "store/catalogue.h"

namespace tailgate {

Result<void> Search::open(const std::vector<std::shared_ptr<Partition>>& partitions) {
  for (const std::shared_ptr<Partition>& partition : partitions) {
    Source source;
    source.recent = recent_candidates(*partition, needed_);  // before the connection has its moment
    auto db = partition->connect();
    if (!db && db.error().kind == ErrorKind::kUnavailable) continue;
    if (!db) return tl::unexpected(db.error());
    source.view.reset(new PartitionView{partition, std::move(*db)});
    auto newest = source.view->db->prepare("SELECT start_ns FROM traces ORDER BY start_ns DESC LIMIT 1");
    if (!newest) return tl::unexpected(newest.error());
    const Result<bool> row = newest->step();
    if (!row) return tl::unexpected(row.error());
    if (*row) {
      source.next.emplace();
      source.next->start_ns = std::min(newest->number(0), to_sql(request_.to_ns));
      source.next->id.bytes.fill(static_cast<char>(0xff));
    }
    sources_.push_back(std::move(source));
  }
  return {};
}

Result<const CandidateLists*> Search::lists_of(Source& source, bool of_any_time) {
  std::optional<CandidateLists>& lists = of_any_time ? source.all : source.lists;
  if (!lists) {
    lists = source.recent;
    const CandidateTime time = of_any_time ? CandidateTime{} : CandidateTime{request_.from_ns, request_.to_ns};
    if (auto done =
            add_stored_candidates(*source.view->partition, *source.view->db, needed_, time, *lists, out_.damaged_files);
        !done) {
      return tl::unexpected(done.error());
    }
  }
  return &*lists;
}

Result<void> Search::read_crossings() {
  std::vector<TraceId> ids;
  for (Source& source : sources_) {
    auto rows = source.view->db->prepare("SELECT trace_id FROM crossing");
    if (!rows) return tl::unexpected(rows.error());
    while (true) {
      const Result<bool> row = rows->step();
      if (!row) return tl::unexpected(row.error());
      if (!*row) break;
      if (rows->text(0).size() != sizeof(TraceId::bytes)) continue;
      if (elsewhere_.insert(std::string(rows->text(0))).second) ids.push_back(TraceId::from(rows->text(0).data()));
      if (elsewhere_.size() % 1024 == 0 && !meter_.trace(0)) return {};
    }
  }
  for (const TraceId& id : ids) {
    if (!meter_.row()) return {};
    if (auto done = check_crossing(id); !done) return done;
  }
  std::sort(crossings_.begin(), crossings_.end(),
            [](const Crossing& a, const Crossing& b) { return before(b.row, a.row); });
  return {};
}

Result<void> Search::check_crossing(const TraceId& id) {
  Crossing crossing;
  crossing.row.id = id;
  bool of_service = request_.service.empty();
  for (Source& source : sources_) {
    Database& db = *source.view->db;
    auto rows = db.prepare("SELECT number, start_ns, end_ns, longest_span_ns FROM traces WHERE trace_id=?");
    if (!rows) return tl::unexpected(rows.error());
    const Result<bool> found = rows->bind_blob(1, id.view()).step();
    if (!found) return tl::unexpected(found.error());
    if (!*found) continue;
    const auto number = static_cast<TraceNumber>(rows->number(0));
    const std::int64_t start = rows->number(1);
    TraceRow& row = crossing.row;
    row.start_ns = crossing.places.empty() ? start : std::min(row.start_ns, start);
    row.end_ns = std::max(row.end_ns, rows->number(2));
    row.longest_ns = std::max(row.longest_ns, rows->number(3));
    crossing.places.push_back({source.view.get(), number});
    if (of_service) continue;
    auto service = find_service(db, request_.service);
    if (!service) return tl::unexpected(service.error());
    auto asks = HasService::prepare(db, *service);
    if (!asks) return tl::unexpected(asks.error());
    const Result<bool> has = asks->ask(start, number);
    if (!has) return tl::unexpected(has.error());
    of_service = *has;
  }
  if (crossing.places.empty() || !of_service || !row_fits(crossing.row, request_)) return {};
  const Result<bool> fits = crossing_fits(crossing);
  if (!fits) return tl::unexpected(fits.error());
  if (*fits) crossings_.push_back(std::move(crossing));
  return {};
}

// Whether each list has the trace in one of the partitions.
Result<bool> Search::crossing_fits(const Crossing& crossing) {
  std::vector<bool> met(needed_.lists().size());
  for (const TracePlace& place : crossing.places) {
    const auto source =
        std::find_if(sources_.begin(), sources_.end(), [&](const Source& s) { return s.view.get() == place.view; });
    const auto lists = lists_of(*source, true);
    if (!lists) return tl::unexpected(lists.error());
    for (std::size_t i = 0; i != met.size(); ++i) {
      const auto& list = (**lists)[i];
      if (!list || std::binary_search(list->begin(), list->end(), place.number)) met[i] = true;
    }
  }
  return std::find(met.begin(), met.end(), false) == met.end();
}

// The newest of what all sources have next.
Result<std::optional<Search::Crossing>> Search::next() {
  while (true) {
    Source* first = nullptr;
    for (Source& s : sources_) {
      if (s.next && (!first || before(*s.next, *first->next))) first = &s;
    }
    if (!crossings_.empty() && (!first || before(crossings_.back().row, *first->next))) {
      Crossing out = std::move(crossings_.back());
      crossings_.pop_back();
      return out;
    }
    if (!first) return std::nullopt;
    const bool opened = first->cursor != nullptr;
    Crossing out{*first->next, {{first->view.get(), first->next->number}}};
    if (!opened) {
      const auto lists = lists_of(*first, false);
      if (!lists) return tl::unexpected(lists.error());
      first->cursor = std::make_unique<TraceCursor>(*first->view, request_, elsewhere_, meter_);
      if (auto done = first->cursor->open(**lists); !done) return tl::unexpected(done.error());
    }
    auto row = first->cursor->next();
    if (!row) return tl::unexpected(row.error());
    first->next = *row;
    if (opened) return out;
    if (!out_.cut.empty()) return std::nullopt;
  }
}

Result<SearchOutcome> Search::run(const std::vector<std::shared_ptr<Partition>>& partitions,
                                  const std::function<bool(const StoredTrace&)>& take) {
  if (auto done = open(partitions); !done) return tl::unexpected(done.error());
  if (auto done = read_crossings(); !done) return tl::unexpected(done.error());
  TraceGatherer gatherer;
  StoredTrace trace;
  while (meter_.trace(0)) {
    const auto found = next();
    if (!found) return tl::unexpected(found.error());
    if (!*found) break;
    const Result<bool> read = gatherer.gather((*found)->row.id, (*found)->places, trace, out_);
    if (!read) return tl::unexpected(read.error());
    if (!*read) continue;
    (void)meter_.trace(trace.otlp.size());
    if (!take(trace)) {
      out_.cut.clear();  // the caller wants no more, so nothing was cut off
      break;
    }
  }
  return out_;
}

}  // namespace tailgate
