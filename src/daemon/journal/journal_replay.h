// SPDX-License-Identifier: Apache-2.0
// JournalReplay: brings back what was open when the process before this one ended. Its requests pass through the same
// pipeline as new ones, with their arrival as the time argument; then those that have come meanwhile; then the daemon
// is live, and calls back.
//
// What the disk does not give back, or memory has no room for, it waits for: a request that was answered is never
// passed over for a reason that may go away, and nothing is deleted before it has been taken.
//
// Threads: made, started and stopped by one; a thread of its own in between. Stats by any.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "buffer/store/trace_store.h"
#include "daemon/journal/journal_link.h"
#include "journal/cursor.h"
#include "journal/history.h"

namespace tailgate {

struct ReplayParts {
  Journal& journal;
  JournalLink& link;
  TraceStore& store;
  IngestTarget& target;                                  // on `store`
  SourceId source;                                       // under which spans of earlier processes are counted
  TimePoint origin;                                      // of the store: nothing arrived before
  Duration sweep_every = std::chrono::milliseconds(50);  // of the arrivals' time
  ByteBudget* budget = nullptr;  // verdicts of then are charged to `traces`, up to half of it; null: to nobody
  // How its thread waits for the disk and for memory.
  std::function<void(Duration)> pause = [](Duration time) { std::this_thread::sleep_for(time); };
  // In a cluster: as IngestPipeline::pass_on. Else what an earlier process held for others is taken here.
  std::function<bool(SpanBatch& slice, SourceId source, std::uint64_t arrival_unix_ns, std::shared_ptr<Receipt>&)>
      pass_on = {};
};

class JournalReplay {
 public:
  explicit JournalReplay(const ReplayParts& parts);
  ~JournalReplay();
  JournalReplay(const JournalReplay&) = delete;
  JournalReplay& operator=(const JournalReplay&) = delete;

  // `live` is called on the replay's thread.
  void start(std::function<void()> live);
  // All of it on the caller's thread, instead. `now` and `wall_ns`: both clocks.
  void run(TimePoint now, std::uint64_t wall_ns);
  // What is not replayed yet stays for the next process.
  void stop();
  // Once in a while: lets go of the verdicts of then, when no trace can need them, and of what was replayed last.
  void tidy(TimePoint now);

  struct Stats {
    std::uint64_t bytes = 0, bytes_left = 0;  // of the files of earlier processes
    std::uint64_t requests = 0, unreplayed_requests = 0;
    std::uint64_t damaged = 0;
    bool unread = false;  // it waits for a file that cannot be read
  };
  Stats stats() const;
  // All of it was taken.
  bool done() const { return done_; }

 private:
  class Verdicts;

  void load_verdicts(std::uint64_t from);
  bool catch_up(JournalCursor& cursor);
  bool switch_over(JournalCursor& cursor);
  void take(const JournalRequest& request, std::uint64_t position);
  bool take(SpanBatch& slice, SourceId source, TimePoint at, bool own, const JournalRequest& request,
            std::uint64_t position);
  bool is_elsewhere(const JournalRequest& request, bool own);
  void take_kept(const JournalRequest& request, TimePoint at, std::uint64_t position);
  void leave_out(const JournalRequest& request, std::string_view why, LogLimiter& log, std::uint64_t position);
  bool pass_on(SpanBatch& slice, SourceId source, const JournalRequest& request, std::uint64_t position);
  // Tries until it is done. False: asked to stop, or it `cannot` ever be.
  bool wait_for(const std::function<bool()>& done, const std::function<bool()>& cannot, std::string_view what,
                std::uint64_t position);
  TimePoint now() const;
  TimePoint time_of(std::uint64_t unix_ns) const;

  const ReplayParts parts_;
  std::function<void()> live_;
  std::unique_ptr<Verdicts> verdicts_;
  Charge verdicts_charge_;
  TimePoint now_{}, live_since_{};
  TimePoint swept_ = TimePoint::min() + std::chrono::hours(1);
  TimePoint reached_ = TimePoint::min();  // the latest that the store was told
  std::uint64_t wall_ns_ = 0;             // when the clock was now_
  TimePoint began_{};
  bool switches_ = false;
  // Of the request that is taken now: what was written of it for others, and whether something of it stayed here.
  std::vector<std::shared_ptr<Receipt>> passed_;
  bool stays_ = false;
  boost::unordered_flat_set<std::uint64_t> for_others_;  // numbers: such a request may have been written again
  // A line a minute of each.
  struct LeftOut {
    LogLimiter damaged{std::chrono::minutes(1)}, too_large{std::chrono::minutes(1)};
  };
  LeftOut requests_left_out_, copies_left_out_;
  std::atomic<bool> stopping_{false}, done_{false}, unread_{false};
  std::atomic<std::uint64_t> bytes_{0}, read_{0}, requests_{0}, unreplayed_{0}, damaged_{0};
  std::thread thread_;
};

}  // namespace tailgate
