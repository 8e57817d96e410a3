// SPDX-License-Identifier: Apache-2.0
// DurableStore: a DurableQueue, its log on disk, and the thread that commits: five times a second, or sooner when much
// has come. One for all exporters that name the same directory, so that a trace is written once, and for all of them
// or none.
//
// Threads: push and stats from any; next, done and read by the exporter's runner. The queue is under mutex_; the log
// belongs to whoever commits or reads, and LMDB keeps those two apart.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "export/queue/durable_queue.h"
#include "export/queue/kept_log.h"
#include "telemetry/log.h"

namespace tailgate {

class DurableStore {
 public:
  struct Member {
    std::string name;
    DurableOptions options;
  };
  // What `exporters` below mean: bit or place of a member.
  DurableStore(std::vector<Member> members, std::unique_ptr<KeptLog> log);
  // Commits what is left.
  ~DurableStore();
  DurableStore(const DurableStore&) = delete;
  DurableStore& operator=(const DurableStore&) = delete;

  // `call` is called when there may be something for the exporter: after a commit, on the committing thread; while the
  // disk refuses, at each push, on its thread. Once this has returned, the one before it is not called any more. Empty:
  // none.
  void on_commit(std::size_t exporter, std::function<void()> call);
  // Opens the log, restores what is in it, and starts the thread.
  Result<void> start() TAILGATE_NOT_ANALYSED;  // no other thread knows the store yet
  void push(const KeptTracePtr& trace, std::uint64_t wanted);
  // Makes the next commit come soon.
  void hurry();

  std::size_t next_bytes(std::size_t exporter) const;
  // The next trace to send with its number; read from disk when it is no longer in memory. One that cannot be read now
  // stays, and the next call tries again; one whose record is damaged is counted and removed.
  std::optional<DurableQueue::Next> next(std::size_t exporter) { return next(exporter, false); }
  // The same of those that were parked. The queue hands these out only here.
  std::optional<DurableQueue::Next> next_parked(std::size_t exporter) { return next(exporter, true); }
  void park(std::size_t exporter, std::uint64_t number);
  bool has_parked(std::size_t exporter) const;
  void done(std::size_t exporter, std::uint64_t number);
  bool anything_waits(std::size_t exporter) const;
  bool all_on_disk(std::size_t exporter) const;
  // As DurableQueue::evict_unwritten().
  bool evict_unwritten(bool only_chance);
  // Commits what is left and ends the thread.
  void stop();

  struct Stats : DurableQueue::Stats {
    std::uint64_t behind_ns = 0;     // age of the oldest
    std::uint64_t write_errors = 0;  // of all members together
    std::uint64_t read_errors = 0;
    std::uint64_t damaged_records = 0;  // of all members together
  };
  Stats stats(std::size_t exporter) const;
  std::uint64_t bytes(std::size_t exporter) const;  // of stats()
  std::size_t memory_bytes() const;
  bool found_damaged() const { return found_damaged_; }  // by start()
  const std::string& directory() const { return members_[0].options.directory; }

 private:
  std::optional<DurableQueue::Next> next(std::size_t exporter, bool parked);
  void run();
  void call_exporters();
  void commit();
  bool commit_some(bool with_puts, std::size_t bytes_max);

  const std::vector<Member> members_;
  const std::unique_ptr<KeptLog> log_;
  Mutex calls_mutex_;
  std::vector<std::function<void()>> calls_ TAILGATE_GUARDED_BY(calls_mutex_);  // by member
  mutable Mutex mutex_;
  CondVar wake_;
  DurableQueue queue_ TAILGATE_GUARDED_BY(mutex_);
  std::size_t pushed_bytes_ TAILGATE_GUARDED_BY(mutex_) = 0;  // since the last commit
  bool stopping_ TAILGATE_GUARDED_BY(mutex_) = false;
  bool hurry_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::uint64_t write_errors_ TAILGATE_GUARDED_BY(mutex_) = 0;
  std::uint64_t damaged_ TAILGATE_GUARDED_BY(mutex_) = 0;
  bool found_damaged_ = false;
  std::vector<std::uint64_t> read_errors_ TAILGATE_GUARDED_BY(mutex_);  // by member
  LogLimiter errors_log_{std::chrono::seconds(10)};                     // the committing thread's
  LogLimiter reads_log_{std::chrono::seconds(10)};
  bool started_ = false;
  std::thread thread_;
};

// The store that an exporter shares, and the exporter's number in it.
struct DurableMembership {
  std::shared_ptr<DurableStore> store;
  std::size_t index = 0;
};

}  // namespace tailgate
