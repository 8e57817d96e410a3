// SPDX-License-Identifier: Apache-2.0
// BatchSlots: the batches of one SendQueue that have begun and have not ended, and whose turn it is.
//
//   add -> in flight -> wait (ordinary: it keeps its place) -> next -> in flight -> remove
//                    -> set_aside (it keeps no place)        -> next -> ...
//
// An ordinary batch that waits for a retry keeps one of `most` places, so a dead backend holds few batches in memory. A
// batch that keeps failing while others get through would keep its place for good and, with others like it, stop the
// exporter. So it is set aside: it waits outside the places, and of the calls only a quarter (at least one) are for
// such batches, which go in the order in which they are due. Retries and new batches take turns, because a new batch is
// what tells whether the backend or the batch is at fault.
//
// While the circuit is open, each probe is another batch in turn, be it one that waits, one that was set aside, or a
// new one: otherwise a batch that can never succeed would be the only question ever asked.
//
// Threads: the queue's; no clock of its own.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "export/queue/batch.h"

namespace tailgate {

// Batches that got through and that failed.
struct BatchCounts {
  std::uint64_t passed = 0;
  std::uint64_t first_passed = 0, first_failed = 0;  // at their first attempt
};

struct BatchSlot {
  BatchPtr batch;
  bool in_flight = true;
  bool aside = false;
  TimePoint due{};                    // of the next attempt
  TimePoint since{};                  // when its oldest trace was pushed
  TimePoint first_try{};              // of it, or of the batch that it was divided from
  TimePoint sent{};                   // last attempt
  std::uint32_t attempts = 0;         // ended, counting those of the batch that it was divided from
  std::uint32_t tries = 0;            // ended, of this batch
  std::uint32_t alone = 0;            // the last failures in a row, each while others got through
  Duration interval{};                // the next backoff, before jitter
  BatchCounts then = {};              // of the queue, at the last attempt
  std::uint64_t passed_at_first = 0;  // then.passed of the first attempt
};

class BatchSlots {
 public:
  explicit BatchSlots(std::uint32_t most) : most_(most) {}

  // A new batch that is being sent; ordinary.
  BatchSlot& add(BatchSlot slot);
  // One that is in flight; nullptr when it is not known any more.
  BatchSlot* find(std::uint64_t batch_id);
  // Takes one out that is in flight; `slot` is gone then.
  BatchSlot take(BatchSlot& slot);
  // One that is in flight has failed and waits until its `due`, as an ordinary batch or set aside.
  void wait(BatchSlot& slot);
  // Sets one aside that is not in the list. Of those with the same `due` it is the first.
  void set_aside(BatchSlot slot);

  enum class Turn : std::uint8_t { kNobody, kWaiting, kNew };
  struct Next {
    Turn turn = Turn::kNobody;
    BatchSlot* slot = nullptr;  // of kWaiting; in flight from here on
  };
  // Whose turn it is when `calls` may be in flight at a time and fewer are. `new_ready`: a new batch could be made.
  Next next(TimePoint now, std::uint32_t calls, bool new_ready);
  // The same when it is for a probe.
  Next next_probe(bool new_ready);
  // When next() may have one that waits now; nothing: not before another has ended.
  std::optional<TimePoint> next_due(std::uint32_t calls) const;

  // More ordinary batches than places (a new one was a probe): sets the one aside that was tried most.
  void keep_to_places();
  // Every batch that waits is due at `now`.
  void all_due(TimePoint now);

  // Takes one out that waits and is set aside: the one that is due last, if possible a single trace that failed by
  // itself; nothing when there is none.
  std::optional<BatchSlot> take_last_aside();
  // Takes the oldest ordinary one out that waits.
  std::optional<BatchSlot> take_waiting();

  bool empty() const { return size() == 0; }
  std::size_t size() const { return list_.size() + undivided_.size() + single_.size(); }
  bool has_place() const { return ordinary_ < most_; }
  std::uint32_t in_flight() const { return in_flight_; }
  std::size_t aside_bytes() const { return aside_bytes_; }  // KeptTrace::bytes() of those that wait
  std::uint64_t aside_spans() const;                        // also of those in flight
  std::optional<TimePoint> oldest_since() const;
  template <class F>
  void each(F&& f) const {
    for (const BatchSlot& slot : list_) f(slot);
    for (const Aside* aside : {&undivided_, &single_}) {
      for (const auto& [due, slot] : *aside) f(slot);
    }
  }
  void clear();

 private:
  using List = std::list<BatchSlot>;
  using Aside = std::multimap<TimePoint, BatchSlot>;  // by due

  List::iterator least_recent();
  BatchSlot* begin_attempt(List::iterator slot);
  BatchSlot* begin_aside(Aside& from);
  bool aside_may_go(std::uint32_t calls) const;
  Aside* due_aside(TimePoint now);

  const std::uint32_t most_;
  List list_;        // ordinary ones, and those set aside that are in flight; oldest first
  Aside undivided_;  // set aside and waiting: those of which it is not known which trace is at fault; they go first
  Aside single_;     // and traces that failed by themselves
  std::uint32_t ordinary_ = 0;
  std::uint32_t in_flight_ = 0, asides_in_flight_ = 0;
  std::uint32_t since_aside_ = 0;  // ordinary batches sent since one that was set aside
  bool retried_ = false;           // the last ordinary batch sent was a retry
  std::size_t probe_turn_ = 0;
  std::size_t aside_bytes_ = 0;
};

// KeptTrace::bytes() of its traces.
std::size_t bytes_of(const Batch& batch);

}  // namespace tailgate
