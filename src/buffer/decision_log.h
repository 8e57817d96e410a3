// SPDX-License-Identifier: Apache-2.0
// DecisionLog: who wants to know every verdict, as a journal does; and Foregone: verdicts that are known before.
//
// Threads: the members by any, under a shard's lock too; the functions by any, without one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/clock.h"
#include "model/decided_trace.h"
#include "model/delivery.h"

namespace tailgate {

class DecisionLog {
 public:
  virtual ~DecisionLog() = default;

  // Taken while the shard's lock is held: spans of the trace that are added later get a higher one.
  std::uint64_t next_order() { return orders_->fetch_add(1, std::memory_order_relaxed); }
  // Of the journal, while traces come out of it; else 0.
  std::uint64_t position() const { return position_.load(std::memory_order_relaxed); }
  void set_position(std::uint64_t position) { position_.store(position, std::memory_order_relaxed); }

  // Kept traces that are closed, but have no delivery() yet.
  void begin_closing() { closing_.fetch_add(1, std::memory_order_acq_rel); }
  void end_closing(std::size_t traces) {
    closing_.fetch_sub(static_cast<std::int64_t>(traces), std::memory_order_acq_rel);
  }

  virtual void decided(std::span<const DecidedTrace> traces) = 0;
  // Every shard closed what was due at `now`. The log may rely on it only while closing() is 0 after this.
  virtual void swept(TimePoint now) = 0;

  struct Kept {
    TraceId id;
    std::uint64_t order = 0;    // of its verdict, with the next
    std::uint64_t upto = 0;     // position() then
    std::uint64_t request = 0;  // not 0: late spans, which came with this request
    TimePoint first{};          // none of these spans came before
  };
  virtual std::shared_ptr<Delivery> delivery(const Kept& kept) = 0;

 protected:
  explicit DecisionLog(std::atomic<std::uint64_t>& orders) : orders_(&orders) {}
  std::int64_t closing() const { return closing_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t>* const orders_;
  std::atomic<std::uint64_t> position_{0};
  std::atomic<std::int64_t> closing_{0};
};

// Verdicts of an earlier process, which traces follow that are put together again. Immutable.
class Foregone {
 public:
  struct Known {
    Verdict verdict;
    std::uint64_t order = 0;
  };
  virtual ~Foregone() = default;
  virtual std::optional<Known> find(const TraceId& id) const = 0;
};

}  // namespace tailgate
