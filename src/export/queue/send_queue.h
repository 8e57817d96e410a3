// SPDX-License-Identifier: Apache-2.0
// SendQueue: what one exporter still has to send. It batches, decides when a failed batch is tried again, and what goes
// when room runs out. It has no clock, no lock and no thread: time is an argument, the runner's lock is around it.
//
//   push -> waiting traces -> next_batch -> a slot per batch -> finish: sent, failed, or waiting in its slot for a
//   retry
//
// A batch keeps its slot while it waits for a retry, so a dead backend holds `in_flight_max` batches; how many of them
// are out at a time, and when a dead backend is asked again, is up to SendLimit. Always true on return: routed = sent +
// failed + dropped + queued, in spans; queued bytes are at most bytes_max.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/enum_names.h"
#include "export/queue/batch.h"
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
  Duration flush_timeout = std::chrono::milliseconds(200);  // the oldest waiting trace waits at most this long
  std::uint32_t in_flight_max = 10;                         // batches in slots, and calls at a time at most
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
  std::uint64_t queued_bytes = 0;  // of KeptTrace::bytes()
  // Spans that will not arrive, by the policy that kept them and why; all of failed_spans and dropped_spans but those a
  // backend rejected out of a request without naming them.
  std::map<std::string, std::array<std::uint64_t, kFailReasonNames.size() + kDropReasonNames.size()>> lost_spans;
};

// What finish() made of an attempt.
struct Finished {
  std::optional<Duration> retry_in = {};  // tried again after this
  BatchPtr batch = nullptr;               // it is not tried again
  bool rejected = false;                  // the backend will not take it, or not all of it: for the dead letters
  std::optional<BatchEnd> ended = {};     // how it ended
};

class SendQueue {
 public:
  explicit SendQueue(const SendQueueOptions& options);

  // Takes `trace` in, dropping others for it when there is no room: first the oldest kept by chance, then the oldest of
  // the rest, then the oldest batch that waits for a retry. A trace kept by chance does not push out a certain one; it
  // is dropped itself, and so is what is larger than the queue. True when a sleeping runner has to look again.
  bool push(KeptTracePtr trace, TimePoint now);

  // The next batch to send: one whose retry is due, else a new one that is full or has waited long enough. Nothing when
  // every slot is taken. The caller reports with finish().
  BatchPtr next_batch(TimePoint now);

  // The earliest time at which next_batch() may have one if nothing else happens; nothing when only a push or a finish
  // can change that.
  std::optional<TimePoint> next_due() const;

  // Ends an attempt. A batch that is no longer known (abandoned) is ignored.
  Finished finish(std::uint64_t batch_id, const SendResult& result, TimePoint now);

  // Drops one waiting trace in the order of push(); false when none waits.
  bool evict_one();

  // From here on batches do not wait to be full, retries that wait are due now and later ones wait at most a second
  // unless the backend asks for more.
  void begin_drain(TimePoint now);

  // Drops everything, in flight too, with reason `shutdown`.
  void abandon();

  // No call is in flight; some have failed and will be tried again.
  bool only_retries() const { return !slots_.empty() && in_flight() == 0; }
  bool empty() const { return stats_.queued_spans == 0 && slots_.empty() && chance_.empty() && certain_.empty(); }
  // That could be evicted: all, or those kept by chance, which go first.
  std::size_t waiting_bytes(bool only_chance = false) const { return only_chance ? chance_bytes_ : waiting_bytes_; }
  const QueueStats& stats() const { return stats_; }
  const SendLimit& limit() const { return limit_; }
  // When the oldest trace that is not sent yet was pushed.
  std::optional<TimePoint> oldest_since() const;

 private:
  struct Waiting {
    std::uint64_t order;
    TimePoint since;
    KeptTracePtr trace;
  };
  struct Slot {
    BatchPtr batch;
    bool in_flight = true;
    TimePoint due{};    // of the retry
    TimePoint since{};  // when its oldest trace was pushed
    TimePoint first_try{};
    TimePoint sent{};            // last attempt
    std::uint32_t attempts = 0;  // ended
    Duration interval{};         // the next backoff, before jitter
  };

  const Waiting* oldest() const;
  KeptTracePtr take_oldest();
  bool full() const;
  bool batch_ready(TimePoint now) const;
  bool drop_for(const KeptTrace& incoming);
  void forget(const KeptTrace& trace, DropReason reason);
  void lose(const KeptTrace& trace, std::size_t reason, std::uint64_t spans);
  std::uint32_t in_flight() const;
  void end_slot(std::size_t index);
  Duration jittered(Duration interval);

  SendQueueOptions options_;
  std::size_t waiting_max_;  // bytes; then a batch leaves whatever it holds
  SendLimit limit_;
  std::deque<Waiting> chance_;     // kept by chance
  std::deque<Waiting> certain_;    // the rest
  std::vector<Slot> slots_;        // at most in_flight_max, oldest first
  std::size_t waiting_bytes_ = 0;  // KeptTrace::bytes()
  std::size_t chance_bytes_ = 0;   // of it, kept by chance
  std::size_t waiting_otlp_ = 0;
  std::uint64_t next_order_ = 0;
  std::uint64_t next_id_ = 1;
  std::uint64_t random_;
  bool draining_ = false;
  QueueStats stats_;
};

}  // namespace tailgate
