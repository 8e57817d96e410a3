// SPDX-License-Identifier: Apache-2.0
// RereadLink: what receivers whose spans can be read again (receive/reread.h) want of the store and the exporters:
// which moment all older traces are settled before, and the verdicts of theirs. It is the store's log of decisions.
//
// Kept traces that are not delivered are counted by the second in which they began. So a trace costs two turns of a
// lock if it is kept, and one look if not; a span costs nothing.
//
// Threads: any; each Reread one.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/mutex.h"
#include "buffer/decision_log.h"
#include "buffer/store/trace_store.h"
#include "decide/policy_set.h"
#include "receive/reread.h"

namespace tailgate {

// How many things that began in each second are not over. Pure; one thread at a time.
class OldestBegin {
 public:
  // What end() is to be told.
  std::int64_t begin(TimePoint at) {
    const std::int64_t second = std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
    ++by_second_[second];
    return second;
  }
  void end(std::int64_t second) {
    const auto found = by_second_.find(second);
    if (--found->second == 0) by_second_.erase(found);
  }
  // Nothing that is not over began before this; `now` when everything is.
  TimePoint oldest(TimePoint now) const {
    if (by_second_.empty()) return now;
    return std::min(now, TimePoint(std::chrono::seconds(by_second_.begin()->first)));
  }

 private:
  std::map<std::int64_t, std::uint64_t> by_second_;
};

// Numbers from 0 on that come in any order: how many of the first ones are there without a gap. Pure.
class WithoutGap {
 public:
  void add(std::uint64_t number) {
    if (number != count_) return ahead_.push(number);
    ++count_;
    for (; !ahead_.empty() && ahead_.top() == count_; ahead_.pop()) ++count_;
  }
  std::uint64_t count() const { return count_; }

 private:
  std::uint64_t count_ = 0;
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> ahead_;
};

class RereadLink final : public DecisionLog {
 public:
  // All outlive it but the store, which it is not asked about once that is gone. `exporters`: their names, by bit.
  // `short_queues`: that of an exporter has less than so many parts of its room free.
  using ShortQueues = std::function<bool(std::size_t parts)>;
  RereadLink(ByteBudget& budget, std::shared_ptr<PolicyTables> tables, std::vector<std::string> exporters,
             TraceStore& store, ShortQueues short_queues);
  ~RereadLink() override;

  // `verdicts`: those of its traces are kept for it until it takes them.
  std::unique_ptr<Reread> open(IngestPipeline& ingest, bool verdicts);

  void decided(std::span<const DecidedTrace> traces) override;
  void swept(TimePoint) override {}
  std::shared_ptr<Delivery> delivery(const Kept& kept) override;

 private:
  class Port;
  class Note;

  // Before anything that it counts or refers to.
  struct Orders {
    std::atomic<std::uint64_t> next{0};
  };
  explicit RereadLink(std::unique_ptr<Orders> orders, ByteBudget& budget, std::shared_ptr<PolicyTables> tables,
                      std::vector<std::string> exporters, TraceStore& store, ShortQueues short_queues);
  bool is_short(Holder holder, std::size_t parts) const;
  void pushed_out(std::int64_t second);

  const std::unique_ptr<Orders> orders_;
  ByteBudget& budget_;
  const std::shared_ptr<PolicyTables> tables_;
  const std::vector<std::string> exporters_;
  TraceStore& store_;
  const ShortQueues short_queues_;
  mutable Mutex mutex_;
  // Of the verdicts that decided() has passed on. A shard gives a number and tells of it later, so another may be
  // first.
  WithoutGap told_ TAILGATE_GUARDED_BY(mutex_);
  std::vector<Port*> of_origin_ TAILGATE_GUARDED_BY(mutex_);  // by number less one; null: it is closed
  OldestBegin undelivered_ TAILGATE_GUARDED_BY(mutex_);
  std::vector<std::int64_t> pushed_out_ TAILGATE_GUARDED_BY(mutex_);  // seconds of undelivered_
  std::vector<Port*> ports_ TAILGATE_GUARDED_BY(mutex_);
};

}  // namespace tailgate
