// SPDX-License-Identifier: Apache-2.0
#include "receive/ingest.h"

#include <fmt/format.h>

#include "wire/otlp/scan.h"

namespace tailgate {

void Refusals::begin(SourceId source) {
  const MutexLock lock(mutex_);
  for (const std::string_view reason : kSpanRefusalNames) counts_.spans[{source, std::string(reason)}];
  for (const std::string_view reason : kRequestRefusalNames) counts_.requests[{source, std::string(reason)}];
  for (const std::string_view reason : kRefuseWhyNames) counts_.requests[{source, std::string(reason)}];
}

void Refusals::request(SourceId source, RefusalReason reason) {
  const MutexLock lock(mutex_);
  ++counts_.requests[{source, std::string(reason.name)}];
}

void Refusals::spans(SourceId source, SpanRefusal why, std::uint64_t count) {
  if (count == 0) return;
  const MutexLock lock(mutex_);
  counts_.received[source] += count;
  counts_.spans[{source, std::string(RefusalReason(why).name)}] += count;
}

Refusals::Snapshot Refusals::snapshot() const {
  const MutexLock lock(mutex_);
  return counts_;
}

void Oddities::begin(SourceId source) {
  const MutexLock lock(mutex_);
  counts_[source];
}

void Oddities::add(SourceId source, Oddity what, std::uint64_t count) {
  if (count == 0) return;
  const MutexLock lock(mutex_);
  Counts& counts = counts_[source];
  (what == Oddity::kRepairedTexts ? counts.repaired_texts : counts.requests_without_spans) += count;
}

Oddities::Snapshot Oddities::snapshot() const {
  const MutexLock lock(mutex_);
  return counts_;
}

IngestResult IngestPipeline::accept(SourceId source, ByteView otlp, Client* client) {
  IngestResult result;
  if (stopping_.load(std::memory_order_relaxed)) {
    result.kind = IngestResult::Kind::kShuttingDown;
    result.message = "shutting down";
    return result;
  }
  const RequestLog::Turn turn(log_);
  if (turn.way() == RequestLog::Way::kRefuse) {
    result.kind = IngestResult::Kind::kJournal;
    result.message = "the journal cannot be written now; try again";
    return result;
  }
  const std::shared_ptr<const ScanPlan> plan = target_.plan();
  const TimePoint now = result.now = monotonic_now();
  thread_local SpanBatch batch;
  batch.clear();
  batch.hash_seed = target_.hash_seed();
  batch.now_unix_ns = wall_now_ns();
  batch.request = turn.number();

  thread_local std::vector<TraceId> traces;
  traces.clear();
  std::uint64_t delivered = 0;
  std::uint32_t wait = 0;  // seconds that the client must wait
  const auto deliver = [&](SpanBatch& slice) {
    // Only the first slice asks, because a request that was begun is taken whole.
    if (client != nullptr && delivered == 0 && (wait = client->refuse_spans(now)) != 0) return false;
    if (!turn.later() && !target_.take(slice, source, now)) return false;
    delivered += slice.spans.size();
    if (watch_ != nullptr) watch_->taken(now);
    if (turn.wants_traces()) {
      for (const BatchTrace& trace : slice.traces) traces.push_back(trace.id);
    }
    if (client != nullptr) client->took_spans(slice.spans.size(), now);
    return true;
  };
  SpanWatcher* const watcher = watch_ != nullptr ? &watch_->begin(*plan) : nullptr;
  const ScanResult scan = scan_request(otlp, *plan, batch, deliver, watcher);
  if (!scan.ok) {
    if (watch_ != nullptr) watch_->refused();
    result.kind = IngestResult::Kind::kMalformed;
    result.message = scan.error;
    return result;
  }
  const std::uint64_t good = scan.spans - scan.bad_ids;
  // A scan that stopped in the middle of a very large request did not read the rest; the spans it knows are refused.
  if (delivered + batch.spans.size() != good || !deliver(batch)) {
    if (watch_ != nullptr) watch_->refused();
    refusals_.spans(source, wait != 0 ? SpanRefusal::kClientSpans : SpanRefusal::kNoMemory, good - delivered);
    refusals_.spans(source, SpanRefusal::kBadId, scan.bad_ids);
    if (wait != 0) {
      result.kind = IngestResult::Kind::kClientSpans;
      result.retry_seconds = wait;
      return result;
    }
    result.kind = IngestResult::Kind::kNoMemory;
    result.message = "no room in the buffer; try again";
    return result;
  }
  if (good != 0) result.receipt = turn.write(source, batch.now_unix_ns, otlp, traces);
  refusals_.spans(source, SpanRefusal::kBadId, scan.bad_ids);
  result.no_spans = scan.spans == 0 && !otlp.empty();
  if (scan.bad_ids != 0) {
    result.rejected_spans = scan.bad_ids;
    result.message =
        fmt::format("{} span{} rejected, first: {}", scan.bad_ids, scan.bad_ids == 1 ? "" : "s", scan.first_bad_id);
    result.all_bad_ids = good == 0;
  }
  return result;
}

}  // namespace tailgate
