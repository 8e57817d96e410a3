// SPDX-License-Identifier: Apache-2.0
#include "store/gather.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/catalogue.h"
#include "wire/otlp/split.h"

namespace tailgate {
namespace {

struct Row {
  bool has_root = false;
  std::uint64_t block = 0;
  std::size_t record = 0;
  std::int64_t content = 0;
};

CloseReason reason_of(std::string_view name) {
  const auto* at = std::find(kCloseReasonNames.begin(), kCloseReasonNames.end(), name);
  return at == kCloseReasonNames.end() ? CloseReason::kTimeout
                                       : static_cast<CloseReason>(at - kCloseReasonNames.begin());
}

// The row of a trace into `out`, to what older partitions had. False when it is no longer there.
Result<bool> read_row(const TracePlace& place, bool first, bool& has_root, StoredTrace& out, Row& row) {
  auto rows = place.view->db->prepare(
      "SELECT start_ns, end_ns, spans, errors, has_root, root_service, root_name, policy, close_reason, block, record, "
      "content FROM traces WHERE number=?");
  if (!rows) return tl::unexpected(rows.error());
  Result<bool> found = rows->bind(1, std::int64_t{place.number}).step();
  if (!found || !*found) return found;
  const std::uint64_t start = from_sql(rows->number(0)), end = from_sql(rows->number(1));
  out.start_ns = first ? start : std::min(out.start_ns, start);
  out.end_ns = first ? end : std::max(out.end_ns, end);
  out.spans += from_sql(rows->number(2));
  out.errors += from_sql(rows->number(3));
  row.has_root = rows->number(4) != 0;
  if (first || (row.has_root && !has_root)) {
    out.root_service = rows->text(5);
    out.root_name = rows->text(6);
  }
  has_root = has_root || row.has_root;
  if (first) {
    out.policy = rows->text(7);
    out.close_reason = reason_of(rows->text(8));
  }
  row.block = from_sql(rows->number(9));
  row.record = static_cast<std::size_t>(rows->number(10));
  row.content = rows->number(11);
  return true;
}

}  // namespace

void drop_same_spans(StoredTrace& trace) {
  const DroppedSpans gone = drop_same_spans(trace.otlp);
  trace.spans -= std::min<std::uint64_t>(trace.spans, gone.spans);
  trace.errors -= std::min<std::uint64_t>(trace.errors, gone.errors);
}

Result<std::optional<TraceNumber>> find_trace(Database& db, const TraceId& id) {
  auto rows = db.prepare("SELECT number FROM traces WHERE trace_id=?");
  if (!rows) return tl::unexpected(rows.error());
  const Result<bool> row = rows->bind_blob(1, id.view()).step();
  if (!row) return tl::unexpected(row.error());
  if (!*row) return std::nullopt;
  return static_cast<TraceNumber>(rows->number(0));
}

Result<void> TraceGatherer::add_part(const TracePlace& place, std::uint64_t block, std::size_t record, StoredTrace& out,
                                     Part& into) {
  const Partition* partition = place.view->partition.get();
  auto cached = std::find_if(cache_.begin(), cache_.end(), [&](const Cached& c) {
    return c.partition == partition && c.position == block && c.block;
  });
  if (cached == cache_.end()) {
    const auto file = place.view->partition->blocks();
    if (!file) return tl::unexpected(file.error());
    cached = cache_.begin() + static_cast<std::ptrdiff_t>(next_++ % cache_.size());
    cached->partition = partition;
    cached->position = block;
    auto read = std::make_unique<Block>();
    cached->block.reset();
    if (auto done = (*file)->read(block, *read); !done) return done;
    cached->block = std::move(read);
  }
  const std::vector<Record>& records = cached->block->records;
  std::optional<PartRecord> part;
  if (record < records.size() && records[record].id == out.id.view() && records[record].kind == kPartRecord) {
    part = read_part(records[record].bytes);
  }
  if (!part) {
    return fail(ErrorKind::kBadInput, fmt::format("expected trace {} as record {} of the block at byte {} of '{}', "
                                                  "got something else",
                                                  out.id.hex(), record, block, block_path(partition->folder())));
  }
  out.otlp += part->otlp;
  into.spans = part->spans;
  into.errors = part->errors;
  into.lost = false;
  return {};
}

Result<bool> TraceGatherer::gather(const TraceId& id, const std::vector<TracePlace>& places, StoredTrace& out,
                                   SearchOutcome& outcome) {
  out = {};
  out.id = id;
  bool has_root = false, any = false;
  std::vector<Part> parts;
  const auto add = [&](const TracePlace& place, std::uint64_t block, std::size_t record,
                       std::int64_t content) -> Result<void> {
    auto part = std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.content == content; });
    const bool again = part != parts.end();  // an older partition has it too
    if (!again) part = parts.insert(parts.end(), {.content = content});
    if (part->lost) {
      Result<void> added = add_part(place, block, record, out, *part);
      any = any || added;
      if (!added && added.error().kind != ErrorKind::kBadInput) return added;
      if (!added) outcome.damaged_files.insert(block_path(place.view->partition->folder()));
    }
    if (again) {  // and the rows of both count its spans
      out.spans -= std::min<std::uint64_t>(out.spans, part->spans);
      out.errors -= std::min<std::uint64_t>(out.errors, part->errors);
    }
    return {};
  };
  for (const TracePlace& place : places) {
    Row row;
    Result<bool> found = read_row(place, parts.empty(), has_root, out, row);
    if (!found) return found;
    if (!*found) continue;
    if (auto added = add(place, row.block, row.record, row.content); !added) return tl::unexpected(added.error());
    auto more = place.view->db->prepare("SELECT block, record, content FROM more_parts WHERE trace=? ORDER BY number");
    if (!more) return tl::unexpected(more.error());
    more->bind(1, std::int64_t{place.number});
    while (true) {
      Result<bool> next = more->step();
      if (!next) return next;
      if (!*next) break;
      const auto record = static_cast<std::size_t>(more->number(1));
      if (auto added = add(place, from_sql(more->number(0)), record, more->number(2)); !added) {
        return tl::unexpected(added.error());
      }
    }
  }
  out.parts_lost =
      static_cast<std::uint64_t>(std::count_if(parts.begin(), parts.end(), [](const Part& p) { return p.lost; }));
  if (parts.size() > 1) drop_same_spans(out);
  if (out.parts_lost != 0) ++outcome.damaged;
  return any;
}

}  // namespace tailgate
