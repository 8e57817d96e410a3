// SPDX-License-Identifier: Apache-2.0
#include "receive/ingest.h"

#include <fmt/format.h>

#include <boost/container/small_vector.hpp>

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

void Refusals::sent_to_members(SourceId source, std::uint64_t spans) {
  if (spans == 0) return;
  const MutexLock lock(mutex_);
  counts_.received[source] += spans;
  counts_.sent_to_members += spans;
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

// Takes the slices of one request.
class IngestPipeline::Slices {
 public:
  Slices(IngestPipeline& pipeline, const RequestLog::Turn& turn, SourceId source, Client* client, SpanWatch* watch,
         TimePoint now, std::uint64_t arrival_unix_ns)
      : of_(pipeline),
        turn_(turn),
        source_(source),
        client_(client),
        watch_(watch),
        now_(now),
        arrival_unix_ns_(arrival_unix_ns) {
    traces_.clear();
    framed_.clear();
  }

  bool take(SpanBatch& slice, Hop hop, bool last) {
    // Only the first slice asks, because a request that was begun is taken whole.
    if (client_ != nullptr && delivered_ == 0 && (wait_ = client_->refuse_spans(now_)) != 0) return false;
    const std::size_t spans = slice.spans.size();
    bool sends = false;
    if (of_.forwarder_ != nullptr) {
      const Known known = turn_.later() ? Known::kNotYet : Known::kAll;
      const SpanForwarder::Split split = of_.forwarder_->split(slice, hop, known);
      if (split == SpanForwarder::Split::kNoRoom) return false;
      sends = split == SpanForwarder::Split::kSome;
      // The log gets what stays. Of a request in one slice from which nothing goes, that is the request.
      if (turn_.writes() && (sends || !last || split_)) append_framed(slice, framed_);
      split_ |= sends || !last;
    }
    if (!turn_.later() && !of_.target_.take(slice, source_, now_)) {
      if (sends) of_.forwarder_->cancel();
      return false;
    }
    if (sends) send();
    delivered_ += spans;
    if (watch_ != nullptr) watch_->taken(now_);
    if (turn_.wants_traces()) {
      for (const BatchTrace& trace : slice.traces) traces_.push_back(trace.id);
    }
    if (client_ != nullptr) client_->took_spans(spans, now_);
    return true;
  }

  // Null: nothing of the request is written, or nobody waits for it.
  std::shared_ptr<Receipt> write(ByteView otlp) {
    if (!split_ || !framed_.empty())
      wait_for(turn_.write(source_, arrival_unix_ns_, split_ ? ByteView(framed_) : otlp, traces_));
    return Receipt::of_all({receipts_.data(), receipts_.size()});
  }

  std::uint64_t delivered() const { return delivered_; }  // spans
  std::uint32_t wait() const { return wait_; }            // seconds that the client must wait

 private:
  void send() {
    WritePart write;
    if (turn_.writes()) {
      write = [this](const std::shared_ptr<KeptTrace>& part, bool unsure) {
        wait_for(turn_.write_part(source_, arrival_unix_ns_, part, unsure));
      };
    }
    of_.refusals_.sent_to_members(source_, of_.forwarder_->send(now_, write));
  }
  void wait_for(std::shared_ptr<Receipt> receipt) {
    if (receipt != nullptr) receipts_.push_back(std::move(receipt));
  }

  IngestPipeline& of_;
  const RequestLog::Turn& turn_;
  const SourceId source_;
  Client* const client_;
  SpanWatch* const watch_;
  const TimePoint now_;
  const std::uint64_t arrival_unix_ns_;
  boost::container::small_vector<std::shared_ptr<Receipt>, 4> receipts_;  // one, where there is no cluster
  std::uint64_t delivered_ = 0;
  std::uint32_t wait_ = 0;
  bool split_ = false;
  static thread_local std::vector<TraceId> traces_;
  static thread_local std::string framed_;  // what stays, where that is not all
};

thread_local std::vector<TraceId> IngestPipeline::Slices::traces_;
thread_local std::string IngestPipeline::Slices::framed_;

IngestResult IngestPipeline::accept(SourceId source, ByteView otlp, Client* client, const Forwarded& forwarded,
                                    SpanOrigin origin) {
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
  const SpanForwarder::Turn of_cluster(forwarder_);
  const std::shared_ptr<const ScanPlan> plan = target_.plan();
  const TimePoint now = result.now = monotonic_now();
  thread_local SpanBatch batch;
  batch.clear();
  batch.hash_seed = target_.hash_seed();
  batch.now_unix_ns = wall_now_ns();
  batch.request = turn.number();
  batch.origin = origin;

  SpanWatch* const watch = forwarded.by_member ? nullptr : watch_;
  Slices slices(*this, turn, source, client, watch, now, batch.now_unix_ns);
  const auto deliver = [&](SpanBatch& slice) { return slices.take(slice, forwarded.hop, false); };
  SpanWatcher* const watcher = watch != nullptr ? &watch->begin(*plan) : nullptr;
  const ScanResult scan = scan_request(otlp, *plan, batch, deliver, watcher);
  if (!scan.ok) {
    if (watch != nullptr) watch->refused();
    result.kind = IngestResult::Kind::kMalformed;
    result.message = scan.error;
    return result;
  }
  const std::uint64_t good = scan.spans - scan.bad_ids;
  // A scan that stopped in the middle of a very large request did not read the rest; the spans it knows are refused.
  if (slices.delivered() + batch.spans.size() != good || !slices.take(batch, forwarded.hop, true)) {
    if (watch != nullptr) watch->refused();
    const std::uint32_t wait = slices.wait();
    refusals_.spans(source, wait != 0 ? SpanRefusal::kClientSpans : SpanRefusal::kNoMemory, good - slices.delivered());
    refusals_.spans(source, SpanRefusal::kBadId, scan.bad_ids);
    if (wait != 0) {
      result.kind = IngestResult::Kind::kClientSpans;
      result.retry_seconds = wait;
      return result;
    }
    result.kind = IngestResult::Kind::kNoMemory;
    result.message = "no room in the buffer; try again";
    result.never = origin != 0 && !target_.could_take(batch);
    return result;
  }
  if (good != 0) result.receipt = slices.write(otlp);
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

bool IngestPipeline::pass_on(SpanBatch& slice, SourceId source, std::uint64_t arrival_unix_ns,
                             std::shared_ptr<Receipt>& written) {
  written = nullptr;
  if (forwarder_ == nullptr) return true;
  const SpanForwarder::Turn of_cluster(forwarder_);
  const SpanForwarder::Split split = forwarder_->split(slice, Hop::kStart, Known::kFirst);
  if (split != SpanForwarder::Split::kSome) return split == SpanForwarder::Split::kAllHere;
  std::vector<std::shared_ptr<Receipt>> receipts;
  WritePart write;
  if (log_ != nullptr) {
    write = [&](const std::shared_ptr<KeptTrace>& part, bool unsure) {
      if (auto receipt = log_->write_part(source, arrival_unix_ns, part, unsure))
        receipts.push_back(std::move(receipt));
    };
  }
  refusals_.sent_to_members(source, forwarder_->send(monotonic_now(), write));
  written = Receipt::of_all(receipts);
  return true;
}

}  // namespace tailgate
