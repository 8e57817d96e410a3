// SPDX-License-Identifier: Apache-2.0
#include "export/queue/send_queue.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace tailgate {
namespace {

constexpr Duration kDrainRetryMax = std::chrono::seconds(1);
// The longest wait that a backend may ask for. A larger number may be nonsense.
constexpr Duration kRetryAfterMax = std::chrono::hours(1);
constexpr std::uint32_t kAloneMax = 2;        // failures in a row while others get through; then a batch is set aside
constexpr std::uint32_t kTriesMax = 4;        // then it is divided, whatever became of others
constexpr std::uint32_t kRefusalsMax = 64;    // in a row; then batches are not divided until one gets through
constexpr std::int64_t kAsideIntervals = 20;  // a trace set aside waits at most so many times max_interval
// A backend that refuses less than this as too large does not mean the size.
constexpr std::size_t kRequestBytesMin = 64 << 10;
constexpr Duration kSizeTriedAgain = std::chrono::minutes(10);

template <class E>
std::size_t index(E e) {
  return static_cast<std::size_t>(e);
}

}  // namespace

SendQueue::SendQueue(const SendQueueOptions& options)
    : options_(options),
      limit_(options.in_flight_max),
      slots_(std::max<std::uint32_t>(options.in_flight_max, 1)),
      random_(options.seed) {
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
    forget(trace, DropReason::kQueueFull);
    return false;
  }
  const bool was_empty = chance_.empty() && certain_.empty();
  const bool was_full = full();
  count_waiting(*trace);
  auto& list = trace->verdict.by_chance() ? chance_ : certain_;
  list.push_back({next_order_++, now, std::move(trace)});
  if (was_empty && (draining_ || now + options_.flush_timeout < looks_by_)) return true;
  return !was_full && full();
}

void SendQueue::count_waiting(const KeptTrace& trace) {
  waiting_bytes_ += trace.bytes();
  if (trace.verdict.by_chance()) chance_bytes_ += trace.bytes();
  waiting_otlp_ += trace.otlp.size();
}

void SendQueue::count_no_longer_waiting(const KeptTrace& trace) {
  waiting_bytes_ -= trace.bytes();
  if (trace.verdict.by_chance()) chance_bytes_ -= trace.bytes();
  waiting_otlp_ -= trace.otlp.size();
}

void SendQueue::push_aside(KeptTracePtr trace, TimePoint now, bool at_once) {
  stats_.routed_spans += trace->spans;
  stats_.queued_spans += trace->spans;
  stats_.queued_bytes += trace->bytes();
  BatchSlot slot;
  slot.since = slot.first_try = now;
  slot.interval = longest_interval(true);
  slot.due = at_once ? now : now + jittered(slot.interval);
  slot.alone = kAloneMax;
  slot.attempts = slot.tries = 1;
  slot.then = counts_;
  slot.passed_at_first = counts_.passed;
  slot.batch = batch_of({std::move(trace)});
  slots_.set_aside(std::move(slot));
}

Duration SendQueue::longest_interval(bool set_aside) const {
  return (set_aside ? kAsideIntervals : 1) * std::max(options_.retry.max_interval, options_.retry.initial_interval);
}

bool SendQueue::drop_for(const KeptTrace& incoming) {
  if (incoming.verdict.by_chance() && chance_.empty() && slots_.aside_bytes() == 0) return false;
  if (evict_one()) return true;
  const std::optional<BatchSlot> slot = slots_.take_waiting();
  if (!slot) return false;
  drop(*slot->batch, DropReason::kQueueFull);
  return true;
}

bool SendQueue::evict_one() {
  if (const std::optional<BatchSlot> slot = slots_.take_last_aside()) {
    drop(*slot->batch, DropReason::kQueueFull);
    return true;
  }
  auto& list = chance_.empty() ? certain_ : chance_;
  if (list.empty()) return false;
  KeptTracePtr trace = std::move(list.front().trace);
  list.pop_front();
  count_no_longer_waiting(*trace);
  forget(trace, DropReason::kQueueFull);
  return true;
}

void SendQueue::drop(const Batch& batch, DropReason reason) {
  for (const KeptTracePtr& t : batch.traces) forget(t, reason);
}

void SendQueue::forget(const KeptTracePtr& trace, DropReason reason) {
  stats_.queued_spans -= trace->spans;
  stats_.queued_bytes -= trace->bytes();
  stats_.dropped_spans[index(reason)] += trace->spans;
  lose(*trace, kFailReasonNames.size() + index(reason), trace->spans);
  const KeptTrace& whole = trace->whole == nullptr ? *trace : *trace->whole;
  if (reason == DropReason::kShutdown) whole.delivery.lost();
  if (reason == DropReason::kQueueFull && whole.bytes() <= options_.bytes_max) whole.delivery.pushed_out();
  gone(trace);
}

// `trace` has left this queue. The trace as it was pushed, when nothing is left of it here.
KeptTracePtr SendQueue::gone(const KeptTracePtr& trace) {
  if (trace->whole == nullptr) return trace;
  const auto left = pieces_left_.find(trace->whole.get());
  if (--left->second != 0) return nullptr;
  pieces_left_.erase(left);
  return trace->whole;
}

void SendQueue::lose(const KeptTrace& trace, std::size_t reason, std::uint64_t spans) {
  stats_.lost_spans[trace.policy][reason] += spans;
}

std::optional<TimePoint> SendQueue::oldest_since() const {
  std::optional<TimePoint> since = slots_.oldest_since();
  if (const Waiting* first = oldest()) since = std::min(since.value_or(first->since), first->since);
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
  count_no_longer_waiting(*trace);
  return trace;
}

bool SendQueue::full() const {
  return waiting_otlp_ >= std::min(options_.batch_bytes, request_bytes_max()) || waiting_bytes_ >= waiting_max_;
}

bool SendQueue::batch_ready(TimePoint now) const {
  const Waiting* first = oldest();
  if (first == nullptr) return false;
  return draining_ || full() || now - first->since >= options_.flush_timeout;
}

void SendQueue::put_front(const KeptTracePtr& trace, std::uint64_t order, TimePoint since) {
  count_waiting(*trace);
  (trace->verdict.by_chance() ? chance_ : certain_).push_front({order, since, trace});
}

// The pieces of `trace` (cut_trace), which take its place.
std::vector<KeptTracePtr> SendQueue::cut(const KeptTracePtr& trace, std::size_t bytes_max) {
  std::vector<KeptTracePtr> pieces = cut_trace(trace, bytes_max);
  if (pieces.empty()) return pieces;
  stats_.queued_bytes -= trace->bytes();
  for (const KeptTracePtr& piece : pieces) stats_.queued_bytes += piece->bytes();
  std::uint32_t& left = pieces_left_[pieces.front()->whole.get()];
  left += static_cast<std::uint32_t>(pieces.size()) - (trace->whole == nullptr ? 0 : 1);
  return pieces;
}

// The oldest trace, if it is too large for a request, makes way for its pieces.
void SendQueue::cut_oldest() {
  const Waiting first = *oldest();
  if (first.trace->otlp.size() <= request_bytes_max()) return;
  const std::vector<KeptTracePtr> pieces = cut(first.trace, request_bytes_max());
  if (pieces.empty()) return;
  take_oldest();
  for (auto it = pieces.rbegin(); it != pieces.rend(); ++it) put_front(*it, first.order, first.since);
}

BatchPtr SendQueue::batch_of(std::vector<KeptTracePtr> traces) {
  auto batch = std::make_shared<Batch>();
  batch->id = next_id_++;
  for (const KeptTracePtr& trace : traces) {
    batch->bytes += trace->otlp.size();
    batch->spans += trace->spans;
  }
  batch->traces = std::move(traces);
  return batch;
}

BatchPtr SendQueue::new_batch(TimePoint now) {
  if (learned_bytes_ != SIZE_MAX && now - learned_at_ >= kSizeTriedAgain) {
    learned_bytes_ = learned_bytes_ < SIZE_MAX / 2 ? learned_bytes_ * 2 : SIZE_MAX;
    learned_at_ = now;
  }
  const std::size_t most = std::min(options_.batch_bytes, request_bytes_max());
  BatchSlot slot;
  slot.since = oldest()->since;
  std::vector<KeptTracePtr> traces;
  std::size_t bytes = 0;
  do {
    cut_oldest();
    bytes += oldest()->trace->otlp.size();
    traces.push_back(take_oldest());
  } while (oldest() != nullptr && bytes + oldest()->trace->otlp.size() <= most);
  slot.batch = batch_of(std::move(traces));
  slot.first_try = slot.sent = slot.due = now;
  slot.interval = options_.retry.initial_interval;
  slot.then = counts_;
  slot.passed_at_first = counts_.passed;
  return slots_.add(std::move(slot)).batch;
}

BatchPtr SendQueue::next_batch(TimePoint now) {
  if (slots_.in_flight() >= limit_.limit() || (limit_.open() && now < limit_.probe_due())) return nullptr;
  const bool ready = batch_ready(now);
  const BatchSlots::Next next = limit_.open() ? slots_.next_probe(ready) : slots_.next(now, limit_.limit(), ready);
  switch (next.turn) {
    case BatchSlots::Turn::kNew:
      return new_batch(now);
    case BatchSlots::Turn::kWaiting:
      next.slot->sent = now;
      return next.slot->batch;
    case BatchSlots::Turn::kNobody:
      break;
  }
  return nullptr;
}

std::optional<TimePoint> SendQueue::next_due() const {
  if (slots_.in_flight() >= limit_.limit()) return std::nullopt;
  const Waiting* first = oldest();
  std::optional<TimePoint> flush;
  if (first != nullptr) flush = draining_ || full() ? first->since : first->since + options_.flush_timeout;
  if (limit_.open()) {
    if (slots_.size() > slots_.in_flight()) return limit_.probe_due();
    return flush ? std::max(*flush, limit_.probe_due()) : flush;
  }
  const std::optional<TimePoint> due = slots_.next_due(limit_.limit());
  if (!slots_.has_place() || !flush) return due;
  return due ? std::min(*due, *flush) : flush;
}

Finished SendQueue::finish(std::uint64_t batch_id, const SendResult& result, TimePoint now) {
  BatchSlot* const slot = slots_.find(batch_id);
  if (slot == nullptr) return {};
  ++slot->attempts;
  ++slot->tries;
  std::optional<FailReason> failed;
  if (result.kind != SendResult::Kind::kDone) {
    ++stats_.failures[index(result.reason)];
    failed = result.reason;
  }
  if (result.kind == SendResult::Kind::kRetry && options_.retry.enabled) {
    if (std::optional<Finished> later = try_later(*slot, result, now)) return std::move(*later);
    failed = FailReason::kExpired;
  }
  if (result.kind == SendResult::Kind::kDone) {
    ++counts_.passed;
    if (slot->attempts == 1) ++counts_.first_passed;
    refusals_ = 0;
  }
  // The backend is back, so what waits for a retry need not wait out its backoff.
  if (result.kind != SendResult::Kind::kRetry && limit_.answered(slot->sent, now, slots_.in_flight()))
    slots_.all_due(now);
  if (std::optional<Finished> divided = divide_refused(*slot, result, now)) return std::move(*divided);
  const BatchSlot ended = slots_.take(*slot);
  return end(ended, ended.batch, result, failed);
}

// Whether, since the counts were `then`, the backend took more new batches than it failed; or anything, if there were
// no new ones. `own`: the batch that asks is one of those that failed.
bool SendQueue::others_pass(const BatchCounts& then, bool own) const {
  const std::uint64_t passed = counts_.first_passed - then.first_passed;
  const std::uint64_t failed = counts_.first_failed - then.first_failed - (own ? 1 : 0);
  return passed > failed || (passed + failed == 0 && counts_.passed > then.passed);
}

// A failure that is tried again. Nothing when the time for that is over.
std::optional<Finished> SendQueue::try_later(BatchSlot& slot, const SendResult& result, TimePoint now) {
  const RetryOptions& retry = options_.retry;
  Duration delay = jittered(slot.interval);
  if (draining_) delay = std::min(delay, kDrainRetryMax);
  delay = std::max(delay, std::min(result.retry_after, kRetryAfterMax));
  const bool first = slot.attempts == 1;
  if (first) ++counts_.first_failed;
  if (others_pass(slot.then, first)) {
    ++slot.alone;
  } else if (counts_.first_failed - slot.then.first_failed > (first ? 1 : 0)) {
    slot.alone = 0;
  }
  slot.then = counts_;
  const bool too_much = result.reason == FailReason::kTimeout || result.reason == FailReason::kRefused;
  // A batch that fails while others get through says nothing about the backend.
  if (slot.alone == 0 || limit_.open()) limit_.failed(first, slot.sent, now, now + delay, too_much);
  const bool several = slot.batch->traces.size() > 1 && options_.divide;
  if (retry.max_elapsed_time > Duration::zero() && now + delay - slot.first_try > retry.max_elapsed_time) {
    // The batch's time is over, but perhaps not that of each of its traces: if others got through, each half is tried
    // once.
    if (!several || counts_.passed == slot.passed_at_first) return std::nullopt;
    return divide(slots_.take(slot), result, now, now);
  }
  Finished finished;
  finished.retry_in = delay;
  finished.alone = slot.alone == kAloneMax;
  const bool set_aside = (slot.alone >= kAloneMax || slot.tries >= kTriesMax) && !slot.aside;
  const Duration longest = longest_interval(slot.alone >= kAloneMax && !several);
  slot.due = now + delay;
  slot.interval = Duration(static_cast<std::int64_t>(
      std::min(static_cast<double>(slot.interval.count()) * retry.multiplier, static_cast<double>(longest.count()))));
  if (several && (slot.alone >= kAloneMax || slot.tries >= kTriesMax)) {
    const TimePoint due = slot.alone >= kAloneMax ? now : slot.due;
    return divide(slots_.take(slot), result, due, now);
  }
  if (set_aside || (slot.aside && rotate_ && slot.alone >= kAloneMax)) {
    BatchSlot single = slots_.take(slot);
    if (set_aside || !park(single)) slots_.set_aside(std::move(single));
  } else {
    slots_.wait(slot);
  }
  slots_.keep_to_places();
  park_excess();
  return finished;
}

std::optional<Finished> SendQueue::divide_refused(BatchSlot& slot, const SendResult& result, TimePoint now) {
  if (result.kind != SendResult::Kind::kPermanent || result.about == SendResult::About::kAll || !options_.divide)
    return std::nullopt;
  const bool size = result.about == SendResult::About::kSize;
  const Batch& batch = *slot.batch;
  if (size) learn_size(batch.bytes, now);
  if (++refusals_ > kRefusalsMax) return std::nullopt;
  std::vector<KeptTracePtr> pieces;
  if (batch.traces.size() == 1) {
    if (size) pieces = cut(batch.traces[0], batch.bytes / 2);
    if (pieces.empty()) return std::nullopt;
  }
  BatchSlot whole = slots_.take(slot);
  if (!pieces.empty()) whole.batch = batch_of(std::move(pieces));
  // Before all that wait, so that a half that is refused is divided before the next is tried: a success comes as early
  // as one can, and ends the row of refusals.
  return divide(whole, result, whole.due, now);
}

void SendQueue::learn_size(std::size_t refused, TimePoint now) {
  if (refused / 2 < kRequestBytesMin) return;
  learned_bytes_ = std::min(learned_bytes_, refused / 2);
  learned_at_ = now;
}

// The slot has been removed. Its halves are tried again at `due`; its traces that the exporter calls settled end.
Finished SendQueue::divide(const BatchSlot& slot, const SendResult& result, TimePoint due, TimePoint now) {
  ++stats_.divided_batches;
  std::vector<KeptTracePtr> left, settled;
  SendResult done = SendResult::done();
  const std::vector<KeptTracePtr>& traces = slot.batch->traces;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    if (!std::binary_search(result.settled.begin(), result.settled.end(), i)) {
      left.push_back(traces[i]);
      continue;
    }
    for (const RejectedTrace& r : result.rejected) {
      if (r.index != i) continue;
      done.rejected.push_back({settled.size(), r.spans, r.why});
      done.rejected_spans += r.spans;
    }
    settled.push_back(traces[i]);
  }
  Finished finished;
  if (!settled.empty()) finished = end(slot, batch_of(std::move(settled)), done, std::nullopt);
  const auto half = left.begin() + static_cast<std::ptrdiff_t>((left.size() + 1) / 2);
  if (half != left.end()) add_half(slot, {half, left.end()}, due);
  if (!left.empty()) add_half(slot, {left.begin(), half}, due);  // in front of the other
  park_excess();
  finished.divided = true;
  finished.retry_in = std::max(due - now, Duration::zero());
  return finished;
}

void SendQueue::add_half(const BatchSlot& of, std::vector<KeptTracePtr> traces, TimePoint due) {
  BatchSlot half = of;
  half.batch = batch_of(std::move(traces));
  half.due = due;
  half.tries = 0;
  // One failure more is enough, if the other half or another batch gets through before it.
  half.alone = kAloneMax - 1;
  half.interval = options_.retry.initial_interval;
  slots_.set_aside(std::move(half));
}

// `batch` has ended, all of what was in `slot` or some of it. `failed`: all of its spans have.
Finished SendQueue::end(const BatchSlot& slot, BatchPtr batch, const SendResult& result,
                        std::optional<FailReason> failed) {
  Finished finished;
  if (!failed) {
    const std::uint64_t rejected = std::min(result.rejected_spans, batch->spans);
    if (rejected > 0) ++stats_.failures[index(FailReason::kPartial)];
    stats_.failed_spans[index(FailReason::kPartial)] += rejected;
    for (const RejectedTrace& t : result.rejected)
      lose(*batch->traces.at(t.index), index(FailReason::kPartial), t.spans);
    stats_.sent_spans += batch->spans - rejected;
    stats_.sent_bytes += batch->bytes;
    finished.rejected = rejected > 0;
    finished.rejected_of = result.rejected;
  } else {
    stats_.failed_spans[index(*failed)] += batch->spans;
    for (const KeptTracePtr& t : batch->traces) lose(*t, index(*failed), t->spans);
    finished.rejected = true;
  }
  BatchEnd& end = finished.ended.emplace();
  end.first_try = slot.first_try;
  end.attempts = slot.attempts;
  end.spans = batch->spans;
  end.bytes = batch->bytes;
  end.failed = failed;
  if (!failed && result.rejected_spans != 0) end.failed = FailReason::kPartial;
  end.own = std::any_of(batch->traces.begin(), batch->traces.end(), [](const KeptTracePtr& t) { return t->own; });
  stats_.queued_spans -= batch->spans;
  const bool durable = !options_.durable.directory.empty();
  for (const KeptTracePtr& t : batch->traces) {
    stats_.queued_bytes -= t->bytes();
    KeptTracePtr whole = gone(t);
    if (durable && whole != nullptr) finished.done.push_back(std::move(whole));
  }
  finished.batch = std::move(batch);
  return finished;
}

void SendQueue::begin_drain(TimePoint now) {
  draining_ = true;
  limit_.probe_at_once(now);
  slots_.all_due(now);
}

void SendQueue::abandon() {
  while (oldest() != nullptr) forget(take_oldest(), DropReason::kShutdown);
  slots_.each([this](const BatchSlot& slot) { drop(*slot.batch, DropReason::kShutdown); });
  slots_.clear();
}

Duration SendQueue::jittered(Duration interval) {
  const double unit = static_cast<double>(next_random(random_) >> 11) * 0x1.0p-53;  // [0, 1)
  const double factor = 1 + options_.retry.randomization_factor * (2 * unit - 1);
  return Duration(static_cast<std::int64_t>(static_cast<double>(interval.count()) * factor));
}

}  // namespace tailgate
