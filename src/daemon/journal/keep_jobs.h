// SPDX-License-Identifier: Apache-2.0
// KeepJobs: keeps traces after the fact, job by job, in a thread of low priority.
//
// A job with ids asks the journal for each. One with a condition judges the time in question once more, with the
// condition as the only policy (past_run.h), and then asks for what was found. A trace that is being kept anyway is
// left alone; one that is open is looked at again when it is decided, since the journal has a part of it only. Jobs
// wait for the end of a replay, and end with the process.
//
// Threads: any; start and stop by one.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "daemon/journal/journal_link.h"
#include "daemon/journal/past_run.h"
#include "journal/past.h"
#include "settings/journal.h"
#include "web/keep_page.h"

namespace tailgate {

struct KeepParts {
  const JournalPast& past;
  Journal& journal;
  TraceStore& store;
  JournalLink& link;
  KeepConfig config = {};
  ByteBudget* budget = nullptr;  // the memory of a search is charged to `traces`; null: to nobody
  // The verdict that /explain remembers of a trace; nothing when it knows none.
  std::function<std::optional<Decision>(const TraceId&)> verdict_of;
  // False while a replay goes on: what it has not taken yet would be kept, and then sent by it once more.
  std::function<bool()> ready = [] { return true; };
  std::function<TimePoint()> now = monotonic_now;
  // In a cluster, where all members begin each job: how many divide its limit, and who tells the others of a trigger.
  std::function<std::size_t()> members = [] { return std::size_t{1}; };
  std::function<void(std::uint64_t unix_ns)> tell_others = {};
};

class KeepJobs final : public KeepSource {
 public:
  static constexpr std::size_t kWaitingMax = 64, kRememberedMax = 200, kReasonsMax = 64, kAlertsRemembered = 1000;

  explicit KeepJobs(KeepParts parts) : parts_(std::move(parts)) {}
  ~KeepJobs() override { stop(); }

  void start();
  void stop();

  Result<std::string> begin(KeepRequest request) override;
  Result<std::string> begin_for(const Alert& alert) override;
  std::optional<KeepStatus> status(std::string_view job) const override;
  std::vector<KeepStatus> jobs() const override;
  bool cancel(std::string_view job) override;

  // A trace was kept by one of the policies of `keep_around`. Any thread.
  void triggered(std::uint64_t unix_ns);
  bool triggered_elsewhere(std::uint64_t unix_ns) override;
  // A few times a second: tells of triggers, and begins the job of one when its time is over.
  void tick(std::uint64_t now_unix_ns);

  // Spans kept, by reason; `other` for those past kReasonsMax.
  std::map<std::string, std::uint64_t> spans_kept() const;

 private:
  struct Job {
    KeepStatus status;
    PolicySetPtr policies;  // of the condition
    std::shared_ptr<PolicyTables> tables;
    bool cancelled = false;
  };
  using JobPtr = std::shared_ptr<Job>;

  void run();
  void work(const JobPtr& job);
  void search(const JobPtr& job, std::vector<TraceId>& found);
  Fate fate(const TraceId& id) const;
  void keep(const JobPtr& job, const TraceId& id, bool again);
  void wait_until_decided(const JobPtr& job, const TraceId& id);
  bool wait_for_quota(const JobPtr& job, std::uint64_t spans);
  bool wait(const JobPtr& job, Duration time);
  void wait_for(const JobPtr& job, std::string what);  // says so
  bool ends(const JobPtr& job) const;
  // True: it begins a time of its own.
  bool note_trigger(std::uint64_t unix_ns) TAILGATE_REQUIRES(mutex_);
  JobPtr find(std::string_view job) const TAILGATE_REQUIRES(mutex_);
  KeepStatus told(const Job& job) const TAILGATE_REQUIRES(mutex_);
  JobPtr next();

  const KeepParts parts_;
  double room_ = 0;  // spans; the thread's, with the next
  TimePoint filled_{};
  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::uint64_t next_ TAILGATE_GUARDED_BY(mutex_) = 1;
  std::deque<JobPtr> jobs_ TAILGATE_GUARDED_BY(mutex_);  // the newest last; statuses too
  std::deque<JobPtr> waiting_ TAILGATE_GUARDED_BY(mutex_);
  std::map<std::string, std::uint64_t> kept_ TAILGATE_GUARDED_BY(mutex_);
  std::map<std::string, std::string> of_alerts_ TAILGATE_GUARDED_BY(mutex_);  // fingerprint and start to job
  std::deque<std::string> alerts_ TAILGATE_GUARDED_BY(mutex_);                // their keys, the oldest first
  std::uint64_t trigger_first_ TAILGATE_GUARDED_BY(mutex_) = 0;               // 0: none
  std::uint64_t trigger_last_ TAILGATE_GUARDED_BY(mutex_) = 0;
  std::uint64_t ticked_ TAILGATE_GUARDED_BY(mutex_) = 0;  // when tick() was called
  std::uint64_t untold_ TAILGATE_GUARDED_BY(mutex_) = 0;  // the one to tell other members of; 0: none
  // Triggers of these times have had their job.
  std::uint64_t around_from_ TAILGATE_GUARDED_BY(mutex_) = 1, around_to_ TAILGATE_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace tailgate
