// SPDX-License-Identifier: Apache-2.0
// Journal: every request that was taken, on disk before its sender is told so, and what became of its traces.
//
//   auto journal = Journal::open(options, budget, now, wall, notices);   // takes the directory; a new segment
//   journal->use(words);
//   journal->start();                                                    // its thread
//   journal->append(request, now, [](bool safe) { answer });             // compresses; returns at once
//
// A commit takes all that waits, in one write (and one fdatasync), and calls back; the next one begins at once if more
// has come, or waits two milliseconds for yet more (journal/commit_gather.h). Compressed requests that wait are charged
// to the budget's `requests`.
//
// What happens when the disk fails or is full follows `on_failure`: either takes() says so and requests that waited are
// not safe (kRefuse), or requests pass the journal by (kMemory), counted. A file whose sync failed is never written or
// synced again: the commit is repeated in a new one, from memory.
//
// Threads: append, note, pin and the other small calls by any; commit() by the journal's thread, or, before start(), by
// whoever has it; watch() by a second one, which writes nothing, until stop() has ended. Callbacks come from these two,
// without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "blocks/block_file.h"
#include "blocks/directory_lock.h"
#include "journal/id_index.h"
#include "journal/options.h"
#include "journal/record.h"
#include "journal/segments.h"
#include "model/decided_trace.h"
#include "telemetry/log.h"

namespace tailgate {

// A verdict and the words that outlive the process: numbers of policies, routes and thresholds do not. Threads: any.
class VerdictWords {
 public:
  virtual ~VerdictWords() = default;
  virtual std::string words_of(const Verdict& verdict) const = 0;
  // `verdict` has everything but the numbers.
  virtual Verdict verdict_of(const Verdict& verdict, std::string_view words) const = 0;
};

// Upper bounds in seconds of tailgate_journal_commit_seconds; one more bucket holds the rest.
inline constexpr std::array<double, 10> kCommitBounds = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1};

class Journal {
 public:
  using Done = std::function<void(bool safe)>;

  // Errors: kRefused (another process has the directory), kIo. What is odd about the files goes to `notices`.
  static Result<std::unique_ptr<Journal>> open(const JournalOptions& options, ByteBudget* budget, TimePoint now,
                                               std::uint64_t now_unix_ns, std::vector<std::string>& notices);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  const JournalOptions& options() const { return options_; }

  enum class Takes : std::uint8_t { kRequests, kNothing, kPassBy };
  // Whether a request that came now would be written. One atomic load.
  Takes takes() const {
    const Takes state = state_.load(std::memory_order_relaxed);
    if (state != Takes::kRequests || pending_bytes_.load(std::memory_order_relaxed) < kPendingMax) return state;
    return options_.on_failure == JournalFailure::kRefuse ? Takes::kNothing : Takes::kPassBy;
  }
  // Numbers for requests and verdicts: each is handed out once, and grows over restarts too.
  std::uint64_t next_order() { return orders_.fetch_add(1, std::memory_order_relaxed); }
  std::atomic<std::uint64_t>& orders() { return orders_; }
  // Those of earlier processes are below.
  std::uint64_t first_order() const { return first_order_; }

  // `now`: the clock, read after the spans were taken. `done` may be empty; it is called once.
  void append(const JournalRequest& request, TimePoint now, Done done);
  // A commit of what was appended is not to wait beyond this for more requests.
  void hurry(TimePoint by);
  // One that passed the journal by.
  void count_passed(TimePoint now);
  // One that could not be written, and nobody was told so.
  void note_missing(TimePoint now) { missing_at_.store(now.time_since_epoch().count(), std::memory_order_relaxed); }
  // Whether a request that counts as taken is not in it, and came since then.
  bool misses_since(TimePoint then) const;

  void note(std::span<const DecidedTrace> decided);
  void note(const JournalDelivery& delivery);
  // That a request which was not this daemon's own is where it belongs, or is written anew.
  void note_passed_on(std::uint64_t number);
  // What began at `first` is kept and not delivered; unpin() when it is. See SegmentList.
  std::uint64_t pin(TimePoint first);
  void unpin(std::uint64_t segment);
  // From now on what is not delivered keeps its segment. Before the exporters drop what they cannot send in time.
  void begin_ending() { ending_ = true; }
  bool ending() const { return ending_; }
  // Every trace whose time is over at `now` is decided, and those that are kept are pinned.
  void swept(TimePoint now);

  // There is something of earlier processes: requests from segment replay_from() on, and verdicts. Segments are not
  // settled before replayed() has passed them.
  bool has_past() const { return has_past_; }
  std::uint64_t replay_from() const { return replay_from_; }
  std::uint64_t settled() const;  // the first segment that a restart would need
  void replayed(std::uint64_t below_segment);
  // A request of this segment is about to be taken as if it came at this time.
  void ends_after(std::uint64_t segment, TimePoint time);
  // The segments there are, and up to which byte the last one may be read.
  struct Extent {
    std::vector<std::uint64_t> ends;  // segments of which there is nothing else
    std::vector<std::uint64_t> segments;
    std::uint64_t last_end = 0;
  };
  Extent extent() const;
  // Of a directory that another process may write to: all that is there. kIo.
  static Result<Extent> extent_of(const std::string& directory);
  // The first segment that may have requests that came at this time, or later.
  static std::uint64_t made_at(const std::string& directory, std::uint64_t segment);  // Unix ns; 0: not known
  static std::uint64_t segment_at(const std::string& directory, const Extent& extent, std::uint64_t unix_ns);

  // A commit that has been running for too long counts as failed, though nobody knows how it will end. Who waits for it
  // is told what `on_failure` says.
  void watch(TimePoint now);

  // How many requests were appended, and how many of these a commit is done with, written or not.
  std::uint64_t appended() const;
  std::uint64_t committed() const;
  // Something was appended and is not committed yet.
  bool waiting() const { return pending_bytes_.load(std::memory_order_acquire) != 0; }

  // Before the first commit that has verdicts. It outlives the journal's thread.
  void use(const VerdictWords& words) { words_ = &words; }
  // For the index of ids, which JournalPast makes; with `retain` only. The newest segment that is not written to any
  // more and has none; nothing when all have.
  std::optional<std::uint64_t> segment_without_ids() const;
  // What is known of it; nothing when it is of an earlier process, or there was no memory.
  std::optional<IdList::View> ids_of(std::uint64_t segment) const;
  // False: it has been deleted.
  bool indexed(std::uint64_t segment, std::uint64_t bytes);
  // Blocks of a segment whose index is not written yet; nothing when it is, or is not known.
  std::optional<std::vector<std::uint64_t>> positions_of(std::uint64_t segment, std::uint64_t hash) const;

  void start();
  // One round: commits what waits, settles, deletes what is too old. True: more waits.
  bool commit(TimePoint now, std::uint64_t now_unix_ns);
  // Ends the thread after a last commit. What comes later is not safe.
  void stop();
  // The last commit, for whoever commits by hand.
  void end(TimePoint now, std::uint64_t now_unix_ns);

  struct Stats {
    std::uint64_t bytes = 0, ends_bytes = 0, segments = 0, unsettled = 0, unreadable = 0;
    std::uint64_t oldest_unix_ns = 0;  // when the oldest segment was written to last
    std::uint64_t commits = 0, written_bytes = 0, request_bytes = 0, requests = 0;
    std::uint64_t for_others = 0, unsure = 0, passed_on = 0;  // requests that are not this daemon's own
    std::uint64_t write_errors = 0, sync_errors = 0, timeouts = 0, ends_lost = 0, passed = 0;
    std::array<std::uint64_t, kCommitBounds.size() + 1> seconds{};
    double seconds_sum = 0;
    Takes takes = Takes::kRequests;
    std::string failure;  // of the last commit that failed; empty when it is well
  };
  Stats stats() const;

 private:
  std::atomic<bool> ending_{false};
  // Whoever waits for a commit.
  struct Answer {
    Done done;           // may be empty
    bool alone = false;  // JournalRequest::alone
    Whose whose = Whose::kOwn;
    bool told = false;  // before the commit was over
  };
  struct Pending {
    PackedBlock block;
    std::string raw;                 // instead, while it is too small for a block of its own
    std::vector<std::uint64_t> ids;  // hashes of its traces
    std::size_t request_bytes = 0;
    Charge charge;
    TimePoint now{};
    Answer answer;
  };

  static constexpr std::size_t kPendingMax = std::size_t{32} << 20;
  static constexpr Duration kTryAgain = std::chrono::seconds(1);
  static constexpr std::size_t kEndsWaitingMax = 1'000'000;  // verdicts and deliveries that the disk does not take
  static constexpr unsigned kOrdersOfSegment = 24;  // bits: the orders of a segment are below those of the next
  static constexpr unsigned kFileMode = 0600;       // what spans hold is not for everybody

  explicit Journal(const JournalOptions& options, ByteBudget* budget) : options_(options), budget_(budget) {}
  Result<void> look_at_files(TimePoint now, std::uint64_t now_unix_ns, std::vector<std::string>& notices);
  void remove_leftovers() const;
  Result<void> begin(TimePoint now, std::uint64_t now_unix_ns);
  Result<void> open_segment(TimePoint now, std::uint64_t now_unix_ns);
  void run();
  void run_watch();
  // `ids`: for each block the hashes of its traces.
  std::vector<PackedBlock> blocks_of(std::vector<Pending>& pending, std::vector<std::vector<std::uint64_t>>& ids) const;
  void note_ids(const std::vector<PackedBlock>& blocks, const std::vector<std::vector<std::uint64_t>>& ids);
  Result<void> write_requests(std::vector<PackedBlock>& blocks, TimePoint now, std::uint64_t now_unix_ns);
  void leave_bad_file(TimePoint now);
  Result<void> put(std::vector<PackedBlock>& blocks, bool& sync_failed);
  bool takes_ends(std::size_t more) TAILGATE_REQUIRES(mutex_);
  void write_ends(bool settled);
  struct Ends {
    std::vector<DecidedTrace> decided;
    std::vector<JournalDelivery> deliveries;
    std::vector<std::uint64_t> passed_on;
    std::size_t size() const { return decided.size() + deliveries.size() + passed_on.size(); }
    void add(const Ends& other);
  };
  bool pack_ends(const Ends& ends, const JournalSettled& settled, PackedBlock& block) const;
  Result<void> make_room(std::uint64_t coming, TimePoint now, std::uint64_t now_unix_ns);
  Result<void> probe(TimePoint now, std::uint64_t now_unix_ns);
  bool begun() const;  // it has a segment
  bool is_old(TimePoint now) const;
  bool wants_segment(TimePoint now) const;
  void set_failure(const Result<void>& result, TimePoint now);
  bool passes(const Answer& answer) const;  // when it is not written
  void tell(std::vector<Answer>& answers, bool written, TimePoint now);

  const JournalOptions options_;
  ByteBudget* const budget_;
  DirectoryLock lock_;
  std::atomic<Takes> state_{Takes::kRequests};
  std::atomic<std::uint64_t> orders_{1}, passed_{0};
  std::atomic<std::size_t> pending_bytes_{0};        // waiting or being written
  std::atomic<std::int64_t> missing_at_{INT64_MIN};  // the last that is not in it
  std::uint64_t first_order_ = 1;
  std::uint64_t replay_from_ = 0;
  bool has_past_ = false;

  // The committing thread's.
  std::unique_ptr<BlockWriter> requests_, ends_;
  const VerdictWords* words_ = nullptr;
  std::uint64_t next_number_ = 0;  // of a segment; 0: by the others
  TimePoint segment_since_{}, try_again_{}, disk_asked_{}, look_at_{};
  std::uint64_t disk_free_ = UINT64_MAX;
  LogLimiter errors_log_{std::chrono::seconds(10)};
  LogLimiter answers_log_{std::chrono::seconds(10)};  // any thread's
  bool write_failed_ = false;                         // the last one, to requests_
  std::uint64_t ids_left_ = 0;                        // the segment of which there is no more room for ids

  mutable Mutex mutex_;
  CondVar wake_, ended_;
  bool idle_ TAILGATE_GUARDED_BY(mutex_) = false, gathers_ TAILGATE_GUARDED_BY(mutex_) = false;
  TimePoint hurry_ TAILGATE_GUARDED_BY(mutex_) = TimePoint::max();
  bool stopping_ TAILGATE_GUARDED_BY(mutex_) = false;
  bool stopped_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::vector<Pending> pending_ TAILGATE_GUARDED_BY(mutex_);
  std::vector<Answer> writing_ TAILGATE_GUARDED_BY(mutex_);                 // of the commit that runs
  TimePoint writing_since_ TAILGATE_GUARDED_BY(mutex_) = TimePoint::max();  // max: none runs
  bool hangs_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::uint64_t appended_ TAILGATE_GUARDED_BY(mutex_) = 0;
  std::uint64_t committed_ TAILGATE_GUARDED_BY(mutex_) = 0;
  Ends waiting_ends_ TAILGATE_GUARDED_BY(mutex_);
  SegmentList segments_ TAILGATE_GUARDED_BY(mutex_);
  TimePoint swept_ TAILGATE_GUARDED_BY(mutex_) = TimePoint::min();
  std::uint64_t replayed_below_ TAILGATE_GUARDED_BY(mutex_) = UINT64_MAX;
  std::map<std::uint64_t, IdList> ids_ TAILGATE_GUARDED_BY(mutex_);  // by segment, until they are written
  std::uint64_t readable_end_ TAILGATE_GUARDED_BY(mutex_) = 0;       // of the last segment
  Stats stats_ TAILGATE_GUARDED_BY(mutex_);
  bool has_thread_ = false;  // set before it begins
  std::thread thread_, watcher_;
};

}  // namespace tailgate
