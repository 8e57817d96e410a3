// SPDX-License-Identifier: Apache-2.0
// ExportRunner: one exporter, its queue, and the one thread that drives both.
//
// Threads: push, evict_one, stats, begin_drain and join from any thread. The queue is under mutex_; the exporter
// belongs to the runner's thread, which holds no lock while it sends or waits.
#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "export/dead_letters.h"
#include "export/exporter.h"
#include "export/queue/durable_store.h"
#include "export/queue/send_queue.h"
#include "telemetry/log.h"

namespace tailgate {

// Called for each batch that ended for good, on the runner's thread and without a lock.
using ExportObserver =
    std::function<void(const std::string& exporter, const BatchEnd& end, std::string_view detail, TimePoint now)>;

class ExportRunner {
 public:
  // `dead_letters` may be null: what the backend will not take is then only counted.
  ExportRunner(std::string name, std::unique_ptr<Exporter> exporter, const SendQueueOptions& options,
               std::unique_ptr<DeadLetters> dead_letters = nullptr, DurableMembership durable = {});
  // Drops what is left, with reason `shutdown`, if nobody drained; a durable queue keeps it.
  ~ExportRunner();
  ExportRunner(const ExportRunner&) = delete;
  ExportRunner& operator=(const ExportRunner&) = delete;

  const std::string& name() const { return name_; }
  std::shared_ptr<StoreReader> stored() const { return exporter_->stored(); }
  const DurableMembership& durable() const { return durable_; }

  // Before start().
  void observe(ExportObserver observer) { observer_ = std::move(observer); }

  // Opens the exporter and starts the thread.
  Result<void> start();

  // Must not be called for an exporter with a durable queue, whose store takes the trace. Never refuses: a trace that
  // finds no room is dropped and counted; after the end, with reason `shutdown`.
  void push(KeptTracePtr trace, TimePoint now);

  std::size_t waiting_bytes(bool only_chance) const;  // that could be evicted
  bool is_short(std::size_t parts) const;             // less than 1/parts of the queue is free
  std::size_t queued_bytes() const;                   // KeptTrace::bytes(), waiting and in flight; not on disk
  // Takes out what is not in flight, as if it had never been pushed. Not of a durable queue.
  std::vector<KeptTracePtr> take_waiting();
  bool evict_one();  // not of a durable queue
  // Soon after, the runner's thread lets go of files that were renamed or removed.
  void follow_paths();
  struct Stats : QueueStats {  // consistent: routed = sent + failed + dropped + queued
    Duration behind{};         // age of the oldest trace that is not sent yet; zero when all are
    std::uint32_t concurrency_limit = 0;
    bool circuit_open = false;
    std::uint64_t aside_spans = 0;  // of batches that fail while others get through; they are in queued_spans
    std::optional<std::uint64_t> request_bytes_max = {};  // that the backend is known to take, or is configured
    std::uint64_t dead_letter_spans = 0;                  // written
    std::uint64_t dead_letter_failed_spans = 0;           // could not be written
    std::uint64_t capacity_bytes = 0;                     // of the queue, in memory or on disk
    std::uint64_t durable_bytes = 0;                      // of the queue on disk
    std::uint64_t durable_write_errors = 0, durable_read_errors = 0;
    bool durable_damaged = false;  // the start found it damaged
    std::optional<FilesWritten> files = {};
    CutItems cut = {};  // of what was sent, and of dead letters
    std::optional<std::uint64_t> failovers = {};
    std::optional<std::uint64_t> misdated_spans = {};
    std::optional<StoreCounts> store = {};
  };
  Stats stats() const;

  // Sends what is queued until `deadline`, then drops the rest. Returns at once; join() waits for the end.
  void begin_drain(TimePoint deadline, TimePoint now);
  void join();

 private:
  void run();
  void finish(const Completion& c, TimePoint now);
  void end_calls();
  void refill();
  void refill_aside();
  void hand_back(const Finished& finished);
  CutItems cut() const;
  void report_cut(TimePoint now);
  void report(const Completion& c, const Finished& finished, TimePoint now);
  void write_dead_letters(const Finished& finished, const Completion& c);

  const std::string name_;
  const std::unique_ptr<Exporter> exporter_;
  ExportObserver observer_;  // empty: nobody asks
  const std::unique_ptr<DeadLetters> dead_letters_;
  std::atomic<std::uint64_t> dead_letter_spans_{0}, dead_letter_failed_spans_{0};
  const DurableMembership durable_;  // without a store the queue is in memory
  // The numbers, in the durable queue, of the traces that it has handed out. The runner's thread.
  boost::unordered_flat_map<const KeptTrace*, std::uint64_t> numbers_;
  const Duration flush_timeout_;
  const std::size_t window_;  // bytes the SendQueue holds of a durable queue
  const std::size_t capacity_;
  mutable Mutex mutex_;
  SendQueue queue_ TAILGATE_GUARDED_BY(mutex_);
  bool draining_ TAILGATE_GUARDED_BY(mutex_) = false;
  bool ended_ TAILGATE_GUARDED_BY(mutex_) = false;
  TimePoint deadline_ TAILGATE_GUARDED_BY(mutex_){};
  std::atomic<bool> follow_paths_{false};
  LogLimiter failures_log_{std::chrono::seconds(10)};
  LogLimiter aside_log_{std::chrono::seconds(10)};
  LogLimiter dead_letters_log_{std::chrono::seconds(10)};
  LogLimiter drops_log_{std::chrono::seconds(10)};
  LogLimiter warnings_log_{std::chrono::minutes(1)};
  LogLimiter cut_log_{std::chrono::seconds(10)};
  CutCounter dead_letter_cut_;
  std::uint64_t drops_logged_ = 0;      // the runner's thread
  std::uint64_t cut_logged_ = 0;        // the runner's thread
  bool circuit_logged_ = false;         // the runner's thread
  std::size_t size_logged_ = SIZE_MAX;  // the runner's thread
  std::thread thread_;
};

}  // namespace tailgate
