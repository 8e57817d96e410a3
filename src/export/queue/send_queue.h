// SPDX-License-Identifier: Apache-2.0
// SendQueue: what one exporter still has to send. It batches, decides when a failed batch is tried again, and what goes
// when room runs out. It has no clock, no lock and no thread: time is an argument, the runner's lock is around it.
//
//   push -> waiting traces -> next_batch -> a slot per batch -> finish: sent, failed, waiting for a retry, or divided
//
// How many batches are out at a time, and when a dead backend is asked again, is up to SendLimit; whose turn it is, to
// BatchSlots. No batch holds up another for good, whatever it is that the backend does not like in it:
//
// - A final refusal of what is in a batch divides it: the halves go at once, one after the other, down to the traces
//   that are refused alone. These fail; the others arrive. After kRefusalsMax refusals in a row without a success the
//   backend refuses everything, and batches fail whole until one gets through.
// - A batch that failed twice in a row, each time while more new batches got through than failed, is set aside and
//   divided likewise; the single trace that is left at the end is tried ever more seldom. So is one, even without
//   others to compare with, that failed kTriesMax times.
// - A request that is too large is divided too, a single trace by its spans, and later batches are made smaller.
//
// Always true on return: routed = sent + failed + dropped + queued, in spans; queued bytes are at most bytes_max, but
// for what the pieces of a trace repeat of its resource.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/enum_names.h"
#include "export/queue/batch.h"
#include "export/queue/batch_slots.h"
#include "export/queue/durable_options.h"
#include "export/queue/send_limit.h"

namespace tailgate {

enum class DropReason : std::uint8_t { kQueueFull, kShutdown, kTooOld, kDamaged };
inline constexpr std::array<std::string_view, 4> kDropReasonNames = {"queue_full", "shutdown", "too_old", "damaged"};
static_assert(names_end_with(kDropReasonNames, DropReason::kDamaged, "damaged"));

// As the Collector's retry_on_failure, except that it does not give up after 300 s by default.
struct RetryOptions {
  bool enabled = true;
  Duration initial_interval = std::chrono::seconds(5);
  double multiplier = 1.5;
  double randomization_factor = 0.5;  // a delay is drawn from interval * (1 -+ this)
  Duration max_interval = std::chrono::seconds(30);
  Duration max_elapsed_time = Duration::zero();  // since the first attempt; zero: no limit
};

struct SendQueueOptions {
  std::size_t bytes_max = 64 << 20;                         // waiting and in flight
  std::size_t batch_bytes = 1 << 20;                        // a batch is full; one trace alone may be larger
  std::size_t request_bytes_max = SIZE_MAX;                 // of OTLP in a batch; one span alone may be larger
  Duration flush_timeout = std::chrono::milliseconds(200);  // the oldest waiting trace waits at most this long
  std::uint32_t in_flight_max = 10;                         // batches with a place, and calls at a time at most
  bool divide = true;                                       // batches that the backend refuses or keeps failing
  RetryOptions retry = {};
  std::uint64_t seed = 1;  // of the jitter
  DurableOptions durable = {};
};

// How a batch ended for good.
struct BatchEnd {
  TimePoint first_try{};
  std::uint32_t attempts = 0;
  std::uint64_t spans = 0, bytes = 0;
  std::optional<FailReason> failed;  // spans are lost: all, or with kPartial some
  bool own = false;                  // the daemon's own traces are in it
};

struct QueueStats {
  std::uint64_t routed_spans = 0;
  std::uint64_t sent_spans = 0;
  std::uint64_t sent_bytes = 0;
  std::array<std::uint64_t, kFailReasonNames.size()> failed_spans{};
  std::array<std::uint64_t, kDropReasonNames.size()> dropped_spans{};
  std::array<std::uint64_t, kFailReasonNames.size()> failures{};  // attempts
  std::uint64_t queued_spans = 0;
  std::uint64_t queued_bytes = 0;     // of KeptTrace::bytes()
  std::uint64_t divided_batches = 0;  // each made two
  // Spans that will not arrive, by the policy that kept them and why; all of failed_spans and dropped_spans but those a
  // backend rejected out of a request without naming them.
  std::map<std::string, std::array<std::uint64_t, kFailReasonNames.size() + kDropReasonNames.size()>> lost_spans;
};

// What finish() made of an attempt.
struct Finished {
  std::optional<Duration> retry_in = {};  // it, or what it was divided into, is tried again after this
  bool divided = false;
  bool alone = false;        // it failed again while others got through; told once
  BatchPtr batch = nullptr;  // what has ended: the batch, or the settled traces of one that was divided
  bool rejected = false;     // the backend will not take it, or not all of it: for the dead letters
  std::vector<RejectedTrace> rejected_of = {};  // which of its traces; empty: all, or the backend does not say
  std::optional<BatchEnd> ended = {};           // how it ended
  // Of a durable queue: the traces, as they were pushed, of which nothing is left here.
  std::vector<KeptTracePtr> done = {};
};

class SendQueue {
 public:
  explicit SendQueue(const SendQueueOptions& options);

  // Takes `trace` in, dropping others for it when there is no room: first what is set aside, then the oldest kept by
  // chance, then the oldest of the rest, then the oldest batch that waits for a retry. Otherwise a trace kept by chance
  // does not push out a certain one; it is dropped itself, and so is what is larger than the queue. True when a
  // sleeping runner has to look again before the time of will_look().
  bool push(KeptTracePtr trace, TimePoint now);
  // The runner asks for the next batch at this time or before.
  void will_look(TimePoint by) { looks_by_ = by; }

  // The next three are for a durable queue, of which this one holds no more than `window_max` bytes of traces that are
  // set aside. The rest is parked: take_parked() gives it, and it is not in this queue any more. push_aside() takes a
  // trace back, to be sent alone, at once or when a trace that is set aside waits longest. While there are parked ones
  // (`rotate`), each trace set aside that fails makes room for the next of them.
  std::vector<KeptTracePtr> take_parked();
  void push_aside(KeptTracePtr trace, TimePoint now, bool at_once);
  void rotate_parked(bool rotate) { rotate_ = rotate; }

  // The next batch to send: one whose retry is due, or a new one that is full or has waited long enough. Nothing when
  // as many are out as may be. The caller reports with finish().
  BatchPtr next_batch(TimePoint now);

  // The earliest time at which next_batch() may have one if nothing else happens; nothing when only a push or a finish
  // can change that.
  std::optional<TimePoint> next_due() const;

  // Ends an attempt. A batch that is no longer known (abandoned) is ignored.
  Finished finish(std::uint64_t batch_id, const SendResult& result, TimePoint now);

  // Drops one waiting trace, or batch that is set aside, in the order of push(); false when there is none.
  bool evict_one();

  // From here on batches do not wait to be full, retries that wait are due now and later ones wait at most a second
  // unless the backend asks for more.
  void begin_drain(TimePoint now);

  // Drops everything, in flight too, with reason `shutdown`.
  void abandon();

  // Takes out what is not in flight, as if it had never been pushed; of a trace that was cut, the pieces.
  std::vector<KeptTracePtr> take_waiting();

  // No call is in flight; some have failed and will be tried again.
  bool only_retries() const { return !slots_.empty() && slots_.in_flight() == 0; }
  bool empty() const { return stats_.queued_spans == 0 && slots_.empty() && chance_.empty() && certain_.empty(); }
  // That could be evicted: all, or what goes first, which is set aside or kept by chance.
  std::size_t waiting_bytes(bool only_first = false) const {
    return slots_.aside_bytes() + (only_first ? chance_bytes_ : waiting_bytes_);
  }
  const QueueStats& stats() const { return stats_; }
  std::uint64_t aside_spans() const { return slots_.aside_spans(); }
  std::size_t aside_bytes() const { return slots_.aside_bytes(); }  // of those that wait
  // The most that a batch has: what is configured, or less where the backend refused larger ones. Twice that is tried
  // again after kSizeTriedAgain.
  std::size_t request_bytes_max() const { return std::min(options_.request_bytes_max, learned_bytes_); }
  const SendLimit& limit() const { return limit_; }
  // When the oldest trace that is not sent yet was pushed.
  std::optional<TimePoint> oldest_since() const;

 private:
  struct Waiting {
    std::uint64_t order;
    TimePoint since;
    KeptTracePtr trace;
  };
  void count_waiting(const KeptTrace& trace);
  void count_no_longer_waiting(const KeptTrace& trace);
  void count_as_never_pushed(const KeptTrace& trace);
  const Waiting* oldest() const;
  KeptTracePtr take_oldest();
  void put_front(const KeptTracePtr& trace, std::uint64_t order, TimePoint since);
  void cut_oldest();
  bool full() const;
  bool batch_ready(TimePoint now) const;
  BatchPtr new_batch(TimePoint now);
  BatchPtr batch_of(std::vector<KeptTracePtr> traces);
  bool drop_for(const KeptTrace& incoming);
  void drop(const Batch& batch, DropReason reason);
  void forget(const KeptTracePtr& trace, DropReason reason);
  void lose(const KeptTrace& trace, std::size_t reason, std::uint64_t spans);
  std::vector<KeptTracePtr> cut(const KeptTracePtr& trace, std::size_t bytes_max);
  KeptTracePtr gone(const KeptTracePtr& trace);

  bool others_pass(const BatchCounts& then, bool own) const;
  std::optional<Finished> try_later(BatchSlot& slot, const SendResult& result, TimePoint now);
  std::optional<Finished> divide_refused(BatchSlot& slot, const SendResult& result, TimePoint now);
  Finished divide(const BatchSlot& slot, const SendResult& result, TimePoint due, TimePoint now);
  void add_half(const BatchSlot& of, std::vector<KeptTracePtr> traces, TimePoint due);
  void learn_size(std::size_t refused, TimePoint now);
  void park_excess();
  bool park(const BatchSlot& slot);
  Duration longest_interval(bool set_aside) const;
  Finished end(const BatchSlot& slot, BatchPtr batch, const SendResult& result, std::optional<FailReason> failed);
  Duration jittered(Duration interval);

  SendQueueOptions options_;
  std::size_t waiting_max_;  // bytes; then a batch leaves whatever it holds
  SendLimit limit_;
  std::deque<Waiting> chance_;   // kept by chance
  std::deque<Waiting> certain_;  // the rest
  BatchSlots slots_;
  std::size_t waiting_bytes_ = 0;  // KeptTrace::bytes()
  std::size_t chance_bytes_ = 0;   // of it, kept by chance
  std::size_t waiting_otlp_ = 0;
  std::unordered_map<const KeptTrace*, std::uint32_t> pieces_left_;  // of traces that were cut
  std::vector<KeptTracePtr> parked_;
  bool rotate_ = false;
  BatchCounts counts_;
  std::uint32_t refusals_ = 0;  // of content, in a row
  std::size_t learned_bytes_ = SIZE_MAX;
  TimePoint learned_at_{};
  std::uint64_t next_order_ = 0;
  std::uint64_t next_id_ = 1;
  std::uint64_t random_;
  bool draining_ = false;
  TimePoint looks_by_ = TimePoint::max();
  QueueStats stats_;
};

}  // namespace tailgate
