// DurableStore: a DurableQueue, its log on disk, and the thread that commits: every half second, or sooner when much
// has come. What was pushed is on disk a second later at the latest, or at the backend.
//
// Threads: push and stats from any; next, done and read by the runner's. The queue is under mutex_; the log belongs to
// whoever commits or reads, and LMDB keeps those two apart.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "export/durable_queue.h"
#include "export/kept_log.h"
#include "telemetry/log.h"

namespace tailgate {

class DurableStore {
 public:
  DurableStore(std::string exporter, const DurableOptions& options, std::unique_ptr<KeptLog> log);
  // Commits what is left.
  ~DurableStore();
  DurableStore(const DurableStore&) = delete;
  DurableStore& operator=(const DurableStore&) = delete;

  // Opens the log, restores what is in it, and starts the thread.
  Result<void> start();
  void push(KeptTracePtr trace);

  std::size_t next_bytes() const;
  // The next trace to send with its number; read from disk when it is no longer in memory. One that cannot be read now
  // stays, and the next call tries again; one whose record is damaged is counted and removed.
  std::optional<DurableQueue::Next> next();
  void done(std::uint64_t number);
  // Commits what is left and ends the thread.
  void stop();

  struct Stats : DurableQueue::Stats {
    std::uint64_t behind_ns = 0;  // age of the oldest
    std::uint64_t write_errors = 0, read_errors = 0;
    std::uint64_t damaged_records = 0;
  };
  Stats stats() const;
  std::size_t memory_bytes() const;

 private:
  void run();
  void commit_once();

  const std::string exporter_;
  const std::unique_ptr<KeptLog> log_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  DurableQueue queue_;                                              // under mutex_
  std::size_t pushed_bytes_ = 0;                                    // since the last commit; under mutex_
  bool stopping_ = false;                                           // under mutex_
  bool failing_ = false;                                            // under mutex_: the last commit failed
  std::uint64_t write_errors_ = 0, read_errors_ = 0, damaged_ = 0;  // under mutex_
  LogLimiter errors_log_{std::chrono::seconds(10)};                 // the committing thread's
  LogLimiter reads_log_{std::chrono::seconds(10)};                  // the runner's
  bool started_ = false;
  std::thread thread_;
};

}  // namespace tailgate
