// SPDX-License-Identifier: Apache-2.0
#include "journal/past.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_set.hpp>
#include <filesystem>
#include <utility>

#include "wire/otlp/frame.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr Duration kLook = std::chrono::seconds(1);
constexpr int kNice = 10;  // as the threads that answer searches

// The spans that a request has of a trace.
void take_spans(const TraceId& id, const JournalRequest& request, PastTrace& out) {
  static const ScanPlan plan;
  thread_local SpanBatch batch;
  batch.clear();
  const auto take = [&](const SpanBatch& slice) {
    for (const BatchTrace& trace : slice.traces) {
      if (trace.id != id) continue;
      std::vector<FrameSpan> spans;
      append_spans(slice, trace, spans);
      out.spans += spans.size();
      out.facts.merge(trace.facts);
      const bool root = trace.root_group != kNoIndex;
      if (out.root_service.empty() || (root && !out.has_root)) {
        out.root_service =
            service_name(slice.groups[root ? trace.root_group : slice.spans[trace.first].group].resource);
        out.root_name = trace.root_name;
      }
      out.has_root |= root;
      frame_trace(spans, out.otlp);
      if (out.first_unix_ns == 0) out.first_unix_ns = request.arrival_unix_ns;
      out.last_unix_ns = std::max(out.last_unix_ns, request.arrival_unix_ns);
    }
    return true;
  };
  if (scan_request(request.otlp, plan, batch, take).ok) take(batch);
}

}  // namespace

void JournalPast::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "journal ids");
}

void JournalPast::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void JournalPast::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  for (;;) {
    const bool more = index_one();
    const TimePoint until = monotonic_now() + kLook;
    const MutexLock lock(mutex_);
    while (!more && !stopping_ && wake_.wait_until(mutex_, until)) {
    }
    if (stopping_) return;
  }
}

bool JournalPast::index_one() {
  const std::optional<std::uint64_t> segment = journal_.segment_without_ids();
  if (!segment) return false;
  const std::string& directory = journal_.options().directory;
  std::vector<IdEntry> entries;
  bool whole = true;
  if (const auto known = journal_.ids_of(*segment)) {
    entries.reserve(known->size());
    known->each([&](const IdEntry& entry) { entries.push_back(entry); });
  } else {
    whole = read_ids(*segment, entries);
    const MutexLock lock(mutex_);
    if (stopping_) return false;
  }
  // Without an index all of the segment is read, when a trace is asked for.
  const std::string path = ids_path(directory, *segment);
  const auto written = whole ? write_ids(path, std::move(entries)) : Result<std::uint64_t>(0);
  if (!journal_.indexed(*segment, written ? *written : 0)) ::unlink(path.c_str());  // it was deleted meanwhile
  return true;
}

// Those of a segment, out of its requests. False: some cannot be read.
bool JournalPast::read_ids(std::uint64_t segment, std::vector<IdEntry>& out) {
  const auto reader = BlockReader::open(requests_path(journal_.options().directory, segment));
  if (!reader) return false;
  const auto found = (*reader)->scan(0, [&](const Block& block) {
    for (const Record& record : block.records) {
      const auto request = read_request(record);
      if (request) each_id(request->otlp, [&](const TraceId& id) { out.push_back({hash_of_id(id), block.position}); });
    }
    const MutexLock lock(mutex_);
    return !stopping_;
  });
  return found.has_value();
}

Result<PastTrace> JournalPast::find(const TraceId& id, const std::function<bool()>& cancelled) const {
  return find_past(
      {.directory = journal_.options().directory,
       .segments = journal_.extent().segments,
       .positions = [this](std::uint64_t segment, std::uint64_t hash) { return journal_.positions_of(segment, hash); },
       .cancelled = cancelled,
       .budget = budget_},
      id);
}

PastTrace find_past(const FindPast& in, const TraceId& id) {
  PastTrace out;
  if (in.budget != nullptr) out.charge = Charge(*in.budget, Holder::kRequests);
  boost::unordered_flat_set<std::uint64_t> seen;  // numbers of requests: a commit may have been repeated
  const std::uint64_t hash = hash_of_id(id);
  const auto cancelled = [&] { return in.cancelled && in.cancelled(); };
  const auto take = [&](const Block& block) {
    for (const Record& record : block.records) {
      const auto request = read_request(record);
      if (request && seen.insert(request->number).second) take_spans(id, *request, out);
    }
    const std::size_t charged = out.charge.bytes();
    out.no_room = out.otlp.size() > charged && !out.charge.try_grow(out.otlp.size() - charged, 2);
    out.cut = out.no_room || out.otlp.size() >= in.bytes_max || cancelled();
    return !out.cut;
  };
  for (const std::uint64_t segment : in.segments) {
    if (out.cut || (out.cut = cancelled())) break;
    const auto held = in.positions ? in.positions(segment, hash) : std::nullopt;
    const auto places =
        held ? Result<std::vector<std::uint64_t>>(*held) : find_ids(ids_path(in.directory, segment), hash);
    if (places && places->empty()) continue;
    const std::string path = requests_path(in.directory, segment);
    const auto reader = BlockReader::open(path);
    if (!reader) {
      std::error_code error;
      out.damaged += std::filesystem::exists(path, error) || error ? 1 : 0;  // it may have been deleted meanwhile
      continue;
    }
    if (!places) {  // no index: all of it
      const auto found = (*reader)->scan(0, take);
      out.damaged += found ? found->damaged : 1;
      continue;
    }
    Block block;
    for (const std::uint64_t position : *places) {
      if (!(*reader)->read(position, block)) {
        ++out.damaged;
      } else if (!take(block)) {
        break;
      }
    }
  }
  return out;
}

}  // namespace tailgate
