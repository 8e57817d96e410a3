// SPDX-License-Identifier: Apache-2.0
// Exporter: the way to one backend. It sends single batches and tells how each ended; it has no queue and no retry.
//
// Threads: everything but wake() is called by the one thread of its runner, so an exporter needs no lock of its own.
// Every batch given to send() ends exactly once in a later wait(), also after cancel().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "export/queue/send_queue.h"
#include "store/counts.h"
#include "wire/otlp/item_limits.h"

namespace tailgate {

class StoreReader;

struct Completion {
  std::uint64_t batch_id = 0;
  SendResult result;
};

// What an exporter that writes files has written, in the form in which they are stored.
struct FilesWritten {
  std::uint64_t files = 0, bytes = 0;
};

// Counts what was left out of spans that would have become many times their size (item_limits.h). Any thread.
class CutCounter {
 public:
  void add(const CutItems& cut) {
    if (cut.all() == 0) return;
    attributes_.fetch_add(cut.attributes, std::memory_order_relaxed);
    events_.fetch_add(cut.events, std::memory_order_relaxed);
    links_.fetch_add(cut.links, std::memory_order_relaxed);
    values_.fetch_add(cut.values, std::memory_order_relaxed);
  }
  CutItems get() const {
    return {attributes_.load(std::memory_order_relaxed), events_.load(std::memory_order_relaxed),
            links_.load(std::memory_order_relaxed), values_.load(std::memory_order_relaxed)};
  }

 private:
  std::atomic<std::uint64_t> attributes_{0}, events_{0}, links_{0}, values_{0};
};

class Exporter {
 public:
  Exporter() = default;
  virtual ~Exporter() = default;
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // Opens what it needs (kIo when it cannot). Reading the configuration opens nothing, so that `check` has no effects.
  virtual Result<void> start() = 0;

  virtual void send(BatchPtr batch) = 0;

  // Lets go of files that are no longer at their path.
  virtual void follow_path() {}

  // Drives the calls in flight and appends those that ended to `done`. Returns after the first of them, at wake(), or
  // after `timeout`.
  virtual void wait(Duration timeout, std::vector<Completion>& done) = 0;

  // Any thread: makes a wait() in progress, or else the next one, return.
  virtual void wake() = 0;

  // Any thread. Nothing when the exporter writes no files.
  virtual std::optional<FilesWritten> files_written() const { return std::nullopt; }

  // Any thread: what was left out of the spans that the backend has.
  CutItems cut() const { return cut_.get(); }

  // Any thread: long work of the exporter itself ends soon after `deadline`, and its batches fail.
  void end_by(TimePoint deadline) { deadline_.store(deadline.time_since_epoch().count(), std::memory_order_relaxed); }

  // Any thread. How often a call went on to another server or address because one did not answer. Nothing when the
  // exporter has one server only, or uses a library that does this by itself.
  virtual std::optional<std::uint64_t> failovers() const { return std::nullopt; }

  // Any thread. Spans that the backend has under the time of now, since their own is outside the TimeRange. Nothing
  // when the exporter names nothing by time.
  virtual std::optional<std::uint64_t> misdated() const { return std::nullopt; }

  // Any thread. Finds the traces that the exporter has stored; null when it is not a store.
  virtual std::shared_ptr<StoreReader> stored() const { return nullptr; }
  virtual std::optional<StoreCounts> store_counts() const { return std::nullopt; }

  // Ends the calls in flight soon: they come out of wait() as failures.
  virtual void cancel() = 0;

 protected:
  void count_cut(const CutItems& cut) { cut_.add(cut); }
  bool overdue(TimePoint now) const {
    return now.time_since_epoch().count() >= deadline_.load(std::memory_order_relaxed);
  }

 private:
  CutCounter cut_;
  std::atomic<Duration::rep> deadline_{Duration::max().count()};
};

// For backends that are written to in place: send() is the write, wait() sleeps.
class BlockingExporter : public Exporter {
 public:
  void send(BatchPtr batch) final;
  void wait(Duration timeout, std::vector<Completion>& done) final;
  void wake() final;
  void cancel() final {}

 protected:
  virtual SendResult write(const Batch& batch) = 0;
  // Called before it sleeps, at least twice a minute.
  virtual void rest() {}

 private:
  std::vector<Completion> done_;
  Mutex mutex_;
  CondVar awake_;
  bool woken_ TAILGATE_GUARDED_BY(mutex_) = false;
};

}  // namespace tailgate
