// SPDX-License-Identifier: Apache-2.0
#include "export/export_runner.h"

#include <pthread.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/invariant.h"
#include "base/units.h"

namespace tailgate {
namespace {

// A record that could not be read is read again after this.
constexpr Duration kRereadWait = std::chrono::seconds(1);
constexpr Duration kIdleWait = std::chrono::seconds(30);
// How long calls in flight may take to end once they are cancelled.
constexpr Duration kCancelWait = std::chrono::milliseconds(200);
constexpr std::size_t kTracesLogged = 5;

// The field of the log that names what has failed: `trace_id`, as logs and traces are tied together, or the first of
// several `trace_ids`.
LogField failed_ids(const Finished& finished) {
  std::vector<const KeptTrace*> failed;
  for (const RejectedTrace& r : finished.rejected_of) failed.push_back(finished.batch->traces.at(r.index).get());
  if (failed.empty()) {
    for (const KeptTracePtr& trace : finished.batch->traces) failed.push_back(trace.get());
  }
  std::string out;
  for (std::size_t i = 0; i < std::min(failed.size(), kTracesLogged); ++i) {
    if (i != 0) out += ' ';
    out += failed[i]->id.hex();
  }
  if (failed.size() > kTracesLogged) out += " ...";
  return {failed.size() == 1 ? "trace_id" : "trace_ids", out};
}

}  // namespace

ExportRunner::ExportRunner(std::string name, std::unique_ptr<Exporter> exporter, const SendQueueOptions& options,
                           std::unique_ptr<DeadLetters> dead_letters, DurableMembership durable)
    : name_(std::move(name)),
      exporter_(std::move(exporter)),
      dead_letters_(std::move(dead_letters)),
      durable_(std::move(durable)),
      flush_timeout_(options.flush_timeout),
      window_(options.durable.window_max),
      capacity_(durable_.store != nullptr ? options.durable.bytes_max : options.bytes_max),
      queue_(options),
      size_logged_(options.request_bytes_max) {}

ExportRunner::~ExportRunner() {
  if (durable_.store != nullptr) durable_.store->on_commit(durable_.index, {});
  begin_drain(TimePoint{}, TimePoint{});
  join();
}

Result<void> ExportRunner::start() {
  if (Result<void> started = exporter_->start(); !started) return started;
  if (dead_letters_ != nullptr) {
    if (Result<void> started = dead_letters_->start(); !started) return started;
  }
  if (durable_.store != nullptr) {
    if (Result<void> started = durable_.store->start(); !started) return started;
    durable_.store->on_commit(durable_.index, [this] { exporter_->wake(); });
  }
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), ("exp:" + name_).substr(0, 15).c_str());
  return {};
}

void ExportRunner::push(KeptTracePtr trace, TimePoint now) {
  bool wake = false;
  {
    const MutexLock lock(mutex_);
    wake = queue_.push(std::move(trace), now);
    if (ended_) queue_.abandon();
    wake = wake && !ended_;
  }
  if (wake) exporter_->wake();
}

std::size_t ExportRunner::waiting_bytes(bool only_chance) const {
  if (durable_.store != nullptr) return 0;  // the durable queue decides what to drop
  const MutexLock lock(mutex_);
  return queue_.waiting_bytes(only_chance);
}

bool ExportRunner::is_short(std::size_t parts) const {
  const std::uint64_t used = durable_.store != nullptr ? durable_.store->bytes(durable_.index) : queued_bytes();
  return used > capacity_ - capacity_ / parts;
}

std::size_t ExportRunner::queued_bytes() const {
  const MutexLock lock(mutex_);
  return queue_.stats().queued_bytes;
}

std::vector<KeptTracePtr> ExportRunner::take_waiting() {
  const MutexLock lock(mutex_);
  return queue_.take_waiting();
}

bool ExportRunner::evict_one() {
  const MutexLock lock(mutex_);
  return queue_.evict_one();
}

ExportRunner::Stats ExportRunner::stats() const {
  const TimePoint now = monotonic_now();
  const MutexLock lock(mutex_);
  Stats out{queue_.stats()};
  if (const std::optional<TimePoint> since = queue_.oldest_since())
    out.behind = std::max(now - *since, Duration::zero());
  out.concurrency_limit = queue_.limit().limit();
  out.circuit_open = queue_.limit().open();
  out.aside_spans = queue_.aside_spans();
  if (queue_.request_bytes_max() != SIZE_MAX) out.request_bytes_max = queue_.request_bytes_max();
  out.capacity_bytes = capacity_;
  if (durable_.store != nullptr) {
    const DurableStore::Stats d = durable_.store->stats(durable_.index);
    // A trace on its way from the durable queue to this one is in neither, so the sum is taken from one growing count.
    out.routed_spans = d.restored_spans + d.pushed_spans;
    out.queued_spans = out.routed_spans - out.sent_spans;
    for (const std::uint64_t failed : out.failed_spans) out.queued_spans -= failed;
    for (std::size_t i = 0; i < d.dropped_spans.size(); ++i) {
      out.dropped_spans[i] += d.dropped_spans[i];
      out.queued_spans -= out.dropped_spans[i];
    }
    out.queued_bytes += d.waiting_bytes;
    for (const auto& [policy, dropped] : d.dropped_by_policy) {
      for (std::size_t i = 0; i < dropped.size(); ++i)
        out.lost_spans[policy][kFailReasonNames.size() + i] += dropped[i];
    }
    out.behind = Duration(static_cast<std::int64_t>(d.behind_ns));
    out.durable_bytes = d.bytes;
    out.durable_damaged = durable_.store->found_damaged();
    out.durable_write_errors = d.write_errors;
    out.durable_read_errors = d.read_errors;
  }
  out.dead_letter_spans = dead_letter_spans_.load(std::memory_order_relaxed);
  out.files = exporter_->files_written();
  out.cut = cut();
  out.failovers = exporter_->failovers();
  out.misdated_spans = exporter_->misdated();
  out.store = exporter_->store_counts();
  out.dead_letter_failed_spans = dead_letter_failed_spans_.load(std::memory_order_relaxed);
  return out;
}

void ExportRunner::follow_paths() {
  follow_paths_.store(true);
  exporter_->wake();
}

void ExportRunner::begin_drain(TimePoint deadline, TimePoint now) {
  {
    const MutexLock lock(mutex_);
    draining_ = true;
    deadline_ = deadline;
    queue_.begin_drain(now);
  }
  exporter_->end_by(deadline);
  if (durable_.store != nullptr) durable_.store->hurry();  // what is not on disk yet is not sent
  exporter_->wake();
}

void ExportRunner::join() {
  if (thread_.joinable()) thread_.join();
  if (durable_.store != nullptr) return;
  const MutexLock lock(mutex_);
  ended_ = true;
  queue_.abandon();
}

// Moves traces from the durable queue into the SendQueue as long as that holds little, so that it never has to drop
// any.
void ExportRunner::refill() {
  DurableStore& store = *durable_.store;
  while (const std::size_t bytes = store.next_bytes(durable_.index)) {
    {
      const MutexLock lock(mutex_);
      const std::size_t queued = queue_.stats().queued_bytes - queue_.aside_bytes();
      if (queued != 0 && queued + bytes > window_) return;
    }
    std::optional<DurableQueue::Next> next = store.next(durable_.index);
    if (!next) return;
    numbers_[next->trace.get()] = next->number;
    const MutexLock lock(mutex_);
    const auto dropped = queue_.stats().dropped_spans;
    queue_.push(std::move(next->trace), monotonic_now());
    INVARIANT(queue_.stats().dropped_spans == dropped);
  }
}

// Gives traces that were set aside and had no room in memory another turn.
void ExportRunner::refill_aside() {
  DurableStore& store = *durable_.store;
  while (store.has_parked(durable_.index)) {
    std::size_t aside = 0;
    {
      const MutexLock lock(mutex_);
      aside = queue_.aside_bytes();
    }
    if (aside >= window_) break;
    std::optional<DurableQueue::Next> next = store.next_parked(durable_.index);
    if (!next) break;
    numbers_[next->trace.get()] = next->number;
    const MutexLock lock(mutex_);
    queue_.push_aside(std::move(next->trace), monotonic_now(), aside < window_ / 2);
  }
  const bool more = store.has_parked(durable_.index);
  const MutexLock lock(mutex_);
  queue_.rotate_parked(more);
}

void ExportRunner::run() {
  std::vector<BatchPtr> batches;
  std::vector<Completion> done;
  bool ended = false;  // a call, in the last round
  while (true) {
    Duration timeout = kIdleWait;
    bool more = false;
    if (durable_.store != nullptr) {
      refill();
      refill_aside();
      more = durable_.store->anything_waits(durable_.index);
      if (durable_.store->next_bytes(durable_.index) != 0) timeout = kRereadWait;
    }
    std::uint64_t dropped = 0;
    {
      const MutexLock lock(mutex_);
      const TimePoint now = monotonic_now();
      if (draining_ && (now >= deadline_ || (queue_.empty() && !more))) break;
      while (BatchPtr batch = queue_.next_batch(now)) batches.push_back(std::move(batch));
      // While batches come and go the thread looks so often that the first trace of the next batch need not wake it.
      if (ended || !batches.empty()) timeout = std::min(timeout, flush_timeout_);
      const bool down = queue_.limit().open() || queue_.only_retries();
      // The next start finds all that waits for the backend.
      if (draining_ && down && durable_.store != nullptr && durable_.store->all_on_disk(durable_.index)) break;
      if (const std::optional<TimePoint> due = queue_.next_due()) timeout = std::min(timeout, *due - now);
      if (draining_) timeout = std::min(timeout, deadline_ - now);
      queue_.will_look(now + timeout);
      dropped = queue_.stats().dropped_spans[static_cast<std::size_t>(DropReason::kQueueFull)];
    }
    if (dropped > drops_logged_) {
      if (const auto held = drops_log_.pass(monotonic_now())) {
        log_warn("export queue full, kept traces dropped", {{"exporter", name_}, {"spans", dropped - drops_logged_}});
        drops_logged_ = dropped;
      }
    }
    for (BatchPtr& batch : batches) exporter_->send(std::move(batch));
    batches.clear();
    exporter_->wait(std::max(timeout, Duration::zero()), done);
    const TimePoint now = monotonic_now();
    for (const Completion& c : done) finish(c, now);
    ended = !done.empty();
    done.clear();
    if (follow_paths_.exchange(false)) {
      exporter_->follow_path();
      if (dead_letters_ != nullptr) dead_letters_->follow_path();
    }
    report_cut(now);
  }
  report_cut(monotonic_now());
  end_calls();
}

// One attempt has ended.
void ExportRunner::finish(const Completion& c, TimePoint now) {
  Finished finished;
  bool open = false;
  std::size_t size = 0;
  {
    const MutexLock lock(mutex_);
    finished = queue_.finish(c.batch_id, c.result, now);
    open = queue_.limit().open();
    size = queue_.request_bytes_max();
  }
  if (size < size_logged_)
    log_warn("the backend refuses requests of this size, smaller ones are sent",
             {{"exporter", name_}, {"bytes_max", size}, {"detail", c.result.detail}});
  size_logged_ = size;
  if (open != circuit_logged_) {
    circuit_logged_ = open;
    if (open) {
      log_warn("backend is down, one probe at a time asks for it", {{"exporter", name_}, {"detail", c.result.detail}});
    } else {
      log_info("backend is back", {{"exporter", name_}});
    }
  }
  report(c, finished, now);
  if (finished.rejected) write_dead_letters(finished, c);
  if (observer_ && finished.ended) observer_(name_, *finished.ended, c.result.detail, now);
  if (durable_.store != nullptr) hand_back(finished);
}

// Tells the durable queue what became of its traces.
void ExportRunner::hand_back(const Finished& finished) {
  std::vector<KeptTracePtr> parked;
  {
    const MutexLock lock(mutex_);
    parked = queue_.take_parked();
  }
  const auto each = [this](const std::vector<KeptTracePtr>& traces, auto&& tell) {
    for (const KeptTracePtr& trace : traces) {
      const auto it = numbers_.find(trace.get());
      if (it == numbers_.end()) continue;
      tell(it->second);
      numbers_.erase(it);
    }
  };
  each(finished.done, [this](std::uint64_t number) { durable_.store->done(durable_.index, number); });
  each(parked, [this](std::uint64_t number) { durable_.store->park(durable_.index, number); });
}

// The thread ends: what is left is dropped, or stays in the durable queue.
void ExportRunner::end_calls() {
  std::uint64_t left = 0;
  {
    const MutexLock lock(mutex_);
    left = queue_.stats().queued_spans;
    ended_ = true;
    if (durable_.store == nullptr) queue_.abandon();
  }
  if (left == 0) return;
  if (durable_.store != nullptr) {
    log_info("shutdown: spans stay in the durable queue", {{"exporter", name_}});
  } else {
    log_warn("shutdown: spans not sent in time", {{"exporter", name_}, {"spans", left}});
  }
  std::vector<Completion> done;
  exporter_->cancel();
  exporter_->wait(kCancelWait, done);  // gives calls a chance to end; their outcome is counted already
}

// After a partial success these are the traces with rejected spans, or the whole request where the backend does not
// name them.
void ExportRunner::write_dead_letters(const Finished& finished, const Completion& c) {
  if (dead_letters_ == nullptr) return;
  const Batch& batch = *finished.batch;
  const FailReason reason = *finished.ended->failed;
  const auto keep = [&](std::span<const KeptTracePtr> traces, std::string_view detail) -> Result<void> {
    CutItems left_out;
    Result<void> written = dead_letters_->write(traces, name_, kFailReasonNames[static_cast<std::size_t>(reason)],
                                                detail, wall_now_ns(), left_out);
    if (written) dead_letter_cut_.add(left_out);
    std::uint64_t spans = 0;
    for (const KeptTracePtr& t : traces) spans += t->spans;
    (written ? dead_letter_spans_ : dead_letter_failed_spans_).fetch_add(spans, std::memory_order_relaxed);
    return written;
  };
  Result<void> written;
  if (finished.rejected_of.empty()) written = keep(batch.traces, c.result.detail);
  for (const RejectedTrace& t : finished.rejected_of) {
    if (Result<void> one = keep({&batch.traces.at(t.index), 1}, t.why); !one) written = std::move(one);
  }
  if (written) return;
  if (const auto held = dead_letters_log_.pass(monotonic_now())) {
    log_error("dead letters not written",
              {{"exporter", name_}, {"detail", written.error().text}, {"held_back", *held}});
  }
}

CutItems ExportRunner::cut() const {
  CutItems out = exporter_->cut();
  out += dead_letter_cut_.get();
  return out;
}

void ExportRunner::report_cut(TimePoint now) {
  const CutItems left_out = cut();
  if (left_out.all() == cut_logged_) return;
  if (!cut_log_.pass(now)) return;
  cut_logged_ = left_out.all();
  log_warn("spans go without some of their items, see tailgate_export_cut_items_total",
           {{"exporter", name_},
            {"attributes", left_out.attributes},
            {"events", left_out.events},
            {"links", left_out.links},
            {"values", left_out.values}});
}

void ExportRunner::report(const Completion& c, const Finished& finished, TimePoint now) {
  if (finished.alone) {
    if (const auto held = aside_log_.pass(now)) {
      log_warn("traces keep failing while others get through; they are tried ever more seldom",
               {{"exporter", name_}, {"detail", c.result.detail}, {"held_back", *held}});
    }
  }
  const bool failed = c.result.kind != SendResult::Kind::kDone;
  if (!failed && c.result.rejected_spans == 0) {
    if (c.result.detail.empty()) return;
    if (const auto held = warnings_log_.pass(now))
      log_warn("backend took everything and warns",
               {{"exporter", name_}, {"detail", c.result.detail}, {"held_back", *held}});
    return;
  }
  const auto held = failures_log_.pass(now);
  if (!held) return;
  const std::string_view reason =
      kFailReasonNames[static_cast<std::size_t>(failed ? c.result.reason : FailReason::kPartial)];
  if (finished.retry_in) {
    log_warn(finished.divided ? "export failed, will send in halves" : "export failed, will retry",
             {{"exporter", name_},
              {"reason", reason},
              {"detail", c.result.detail},
              {"retry_in", format_duration(std::chrono::round<std::chrono::milliseconds>(*finished.retry_in))},
              {"held_back", *held}});
  }
  if (finished.rejected) {
    log_error("export failed, spans lost", {{"exporter", name_},
                                            {"reason", reason},
                                            {"detail", c.result.detail},
                                            {"spans", failed ? finished.batch->spans : c.result.rejected_spans},
                                            failed_ids(finished),
                                            {"held_back", *held}});
  }
}

}  // namespace tailgate
