// SPDX-License-Identifier: Apache-2.0
#include "export/queue/send_queue.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/invariant.h"

namespace tailgate {
namespace {

constexpr Duration kDrainRetryMax = std::chrono::seconds(1);
// The longest wait that a backend may ask for. A larger number may be nonsense.
constexpr Duration kRetryAfterMax = std::chrono::hours(1);

template <class E>
std::size_t index(E e) {
  return static_cast<std::size_t>(e);
}

}  // namespace

SendQueue::SendQueue(const SendQueueOptions& options)
    : options_(options), limit_(options.in_flight_max), random_(options.seed) {
  options_.in_flight_max = std::max<std::uint32_t>(options_.in_flight_max, 1);
  // The batches in flight must not take the whole of a small queue: nothing could be evicted. Nor may what waits to be
  // a batch: small traces take several times their bytes of OTLP. Of a durable queue no more comes than its window.
  const bool durable = !options_.durable.directory.empty();
  const std::size_t room = durable ? options_.durable.window_max : options_.bytes_max / options_.in_flight_max;
  waiting_max_ = std::max<std::size_t>(room / 2, 1);
  if (!durable) options_.batch_bytes = std::clamp<std::size_t>(waiting_max_, 1, options_.batch_bytes);
}

bool SendQueue::push(KeptTracePtr trace, TimePoint now) {
  const std::size_t bytes = trace->bytes();
  stats_.routed_spans += trace->spans;
  stats_.queued_spans += trace->spans;
  stats_.queued_bytes += bytes;
  while (stats_.queued_bytes > options_.bytes_max) {
    if (bytes <= options_.bytes_max && drop_for(*trace)) continue;
    forget(*trace, DropReason::kQueueFull);
    return false;
  }
  const bool was_empty = chance_.empty() && certain_.empty();
  const bool was_full = full();
  waiting_bytes_ += bytes;
  if (trace->verdict.by_chance()) chance_bytes_ += bytes;
  waiting_otlp_ += trace->otlp.size();
  auto& list = trace->verdict.by_chance() ? chance_ : certain_;
  list.push_back({next_order_++, now, std::move(trace)});
  return was_empty || (!was_full && full());
}

bool SendQueue::drop_for(const KeptTrace& incoming) {
  if (incoming.verdict.by_chance() && chance_.empty()) return false;
  if (evict_one()) return true;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].in_flight) continue;
    for (const KeptTracePtr& t : slots_[i].batch->traces) forget(*t, DropReason::kQueueFull);
    end_slot(i);
    return true;
  }
  return false;
}

bool SendQueue::evict_one() {
  auto& list = chance_.empty() ? certain_ : chance_;
  if (list.empty()) return false;
  KeptTracePtr trace = std::move(list.front().trace);
  list.pop_front();
  waiting_bytes_ -= trace->bytes();
  if (trace->verdict.by_chance()) chance_bytes_ -= trace->bytes();
  waiting_otlp_ -= trace->otlp.size();
  forget(*trace, DropReason::kQueueFull);
  return true;
}

void SendQueue::forget(const KeptTrace& trace, DropReason reason) {
  stats_.queued_spans -= trace.spans;
  stats_.queued_bytes -= trace.bytes();
  stats_.dropped_spans[index(reason)] += trace.spans;
  lose(trace, kFailReasonNames.size() + index(reason), trace.spans);
}

void SendQueue::lose(const KeptTrace& trace, std::size_t reason, std::uint64_t spans) {
  stats_.lost_spans[trace.policy][reason] += spans;
}

std::uint32_t SendQueue::in_flight() const {
  return static_cast<std::uint32_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.in_flight; }));
}

std::optional<TimePoint> SendQueue::oldest_since() const {
  std::optional<TimePoint> since;
  if (const Waiting* first = oldest()) since = first->since;
  for (const Slot& slot : slots_) since = std::min(since.value_or(slot.since), slot.since);
  return since;
}

const SendQueue::Waiting* SendQueue::oldest() const {
  if (chance_.empty() && certain_.empty()) return nullptr;
  if (chance_.empty()) return &certain_.front();
  if (certain_.empty()) return &chance_.front();
  return chance_.front().order < certain_.front().order ? &chance_.front() : &certain_.front();
}

KeptTracePtr SendQueue::take_oldest() {
  const Waiting* const first = oldest();
  std::deque<Waiting>& list = !chance_.empty() && first == &chance_.front() ? chance_ : certain_;
  KeptTracePtr trace = std::move(list.front().trace);
  list.pop_front();
  waiting_bytes_ -= trace->bytes();
  if (trace->verdict.by_chance()) chance_bytes_ -= trace->bytes();
  waiting_otlp_ -= trace->otlp.size();
  return trace;
}

bool SendQueue::full() const { return waiting_otlp_ >= options_.batch_bytes || waiting_bytes_ >= waiting_max_; }

bool SendQueue::batch_ready(TimePoint now) const {
  const Waiting* first = oldest();
  if (first == nullptr) return false;
  return draining_ || full() || now - first->since >= options_.flush_timeout;
}

BatchPtr SendQueue::next_batch(TimePoint now) {
  if (in_flight() >= limit_.limit() || (limit_.open() && now < limit_.probe_due())) return nullptr;
  for (Slot& slot : slots_) {
    if (slot.in_flight || (slot.due > now && !limit_.open())) continue;
    slot.in_flight = true;
    slot.sent = now;
    return slot.batch;
  }
  if (slots_.size() >= options_.in_flight_max || !batch_ready(now)) return nullptr;
  auto batch = std::make_shared<Batch>();
  batch->id = next_id_++;
  const TimePoint since = oldest()->since;
  do {
    KeptTracePtr trace = take_oldest();
    batch->bytes += trace->otlp.size();
    batch->spans += trace->spans;
    batch->traces.push_back(std::move(trace));
  } while (oldest() != nullptr && batch->bytes + oldest()->trace->otlp.size() <= options_.batch_bytes);
  Slot slot;
  slot.batch = batch;
  slot.since = since;
  slot.first_try = slot.sent = now;
  slot.interval = options_.retry.initial_interval;
  slots_.push_back(std::move(slot));
  return batch;
}

std::optional<TimePoint> SendQueue::next_due() const {
  if (in_flight() >= limit_.limit()) return std::nullopt;
  if (limit_.open()) {
    return slots_.empty() && oldest() == nullptr ? std::nullopt : std::optional(limit_.probe_due());
  }
  std::optional<TimePoint> due;
  for (const Slot& slot : slots_) {
    if (!slot.in_flight && (!due || slot.due < *due)) due = slot.due;
  }
  if (slots_.size() >= options_.in_flight_max) return due;
  const Waiting* first = oldest();
  if (first == nullptr) return due;
  const bool now = draining_ || full();
  const TimePoint flush = now ? first->since : first->since + options_.flush_timeout;
  return due ? std::min(*due, flush) : flush;
}

Finished SendQueue::finish(std::uint64_t batch_id, const SendResult& result, TimePoint now) {
  const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.batch->id == batch_id; });
  if (found == slots_.end()) return {};
  Slot& slot = *found;
  INVARIANT(slot.in_flight);
  ++slot.attempts;
  const Batch& batch = *slot.batch;
  const RetryOptions& retry = options_.retry;
  if (result.kind != SendResult::Kind::kDone) ++stats_.failures[index(result.reason)];

  FailReason final_reason = result.reason;
  if (result.kind == SendResult::Kind::kRetry && retry.enabled) {
    Duration delay = jittered(slot.interval);
    if (draining_) delay = std::min(delay, kDrainRetryMax);
    delay = std::max(delay, std::min(result.retry_after, kRetryAfterMax));
    limit_.failed(slot.sent, now, now + delay,
                  result.reason == FailReason::kTimeout || result.reason == FailReason::kRefused);
    const bool expired =
        retry.max_elapsed_time > Duration::zero() && now + delay - slot.first_try > retry.max_elapsed_time;
    if (!expired) {
      slot.in_flight = false;
      slot.due = now + delay;
      const double longer = static_cast<double>(slot.interval.count()) * retry.multiplier;
      const auto capped = std::min(longer, static_cast<double>(retry.max_interval.count()));
      slot.interval = Duration(static_cast<std::int64_t>(capped));
      return {.retry_in = delay};
    }
    final_reason = FailReason::kExpired;
  }

  Finished finished{.retry_in = {}, .batch = slot.batch};
  if (result.kind != SendResult::Kind::kRetry && limit_.answered(slot.sent, now, in_flight())) {
    // The backend is back, so what waits for a retry need not wait out its backoff.
    for (Slot& other : slots_) {
      if (!other.in_flight) other.due = std::min(other.due, now);
    }
  }
  if (result.kind == SendResult::Kind::kDone) {
    const std::uint64_t rejected = std::min(result.rejected_spans, batch.spans);
    if (rejected > 0) ++stats_.failures[index(FailReason::kPartial)];
    stats_.failed_spans[index(FailReason::kPartial)] += rejected;
    for (const RejectedTrace& t : result.rejected)
      lose(*batch.traces.at(t.index), index(FailReason::kPartial), t.spans);
    stats_.sent_spans += batch.spans - rejected;
    stats_.sent_bytes += batch.bytes;
    finished.rejected = rejected > 0;
  } else {
    stats_.failed_spans[index(final_reason)] += batch.spans;
    for (const KeptTracePtr& t : batch.traces) lose(*t, index(final_reason), t->spans);
    finished.rejected = true;
  }
  BatchEnd& end = finished.ended.emplace();
  end.first_try = slot.first_try;
  end.attempts = slot.attempts;
  end.spans = batch.spans;
  end.bytes = batch.bytes;
  if (result.kind != SendResult::Kind::kDone) end.failed = final_reason;
  if (result.kind == SendResult::Kind::kDone && result.rejected_spans != 0) end.failed = FailReason::kPartial;
  end.own = std::any_of(batch.traces.begin(), batch.traces.end(), [](const KeptTracePtr& t) { return t->own; });
  stats_.queued_spans -= batch.spans;
  for (const KeptTracePtr& t : batch.traces) stats_.queued_bytes -= t->bytes();
  end_slot(static_cast<std::size_t>(found - slots_.begin()));
  return finished;
}

void SendQueue::end_slot(std::size_t at) { slots_.erase(slots_.begin() + static_cast<std::ptrdiff_t>(at)); }

void SendQueue::begin_drain(TimePoint now) {
  draining_ = true;
  limit_.probe_at_once(now);
  for (Slot& slot : slots_) {
    if (!slot.in_flight) slot.due = std::min(slot.due, now);
  }
}

void SendQueue::abandon() {
  while (oldest() != nullptr) forget(*take_oldest(), DropReason::kShutdown);
  for (const Slot& slot : slots_) {
    for (const KeptTracePtr& t : slot.batch->traces) forget(*t, DropReason::kShutdown);
  }
  slots_.clear();
}

Duration SendQueue::jittered(Duration interval) {
  const double unit = static_cast<double>(next_random(random_) >> 11) * 0x1.0p-53;  // [0, 1)
  const double factor = 1 + options_.retry.randomization_factor * (2 * unit - 1);
  return Duration(static_cast<std::int64_t>(static_cast<double>(interval.count()) * factor));
}

}  // namespace tailgate
