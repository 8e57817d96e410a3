// SPDX-License-Identifier: Apache-2.0
#include "journal/journal.h"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/units.h"
#include "journal/commit_gather.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAlone = 16 << 10;      // a request of so many bytes is compressed alone, smaller ones together
constexpr std::size_t kTogether = 256 << 10;  // of small ones in one block
constexpr Duration kTick = std::chrono::milliseconds(100);       // ends are written as often when no request comes
constexpr Duration kLookEvery = std::chrono::milliseconds(100);  // whether the file still has its name
constexpr Duration kWatchEvery = std::chrono::milliseconds(500);

// With those above it. `sync`: they outlive the machine's power.
Result<void> make_directory(const std::string& path, bool sync) {
  std::error_code error, ignored;
  std::vector<fs::path> missing;
  for (fs::path at = fs::absolute(path, ignored); at.has_relative_path() && !fs::is_directory(at, ignored);
       at = at.parent_path())
    missing.push_back(at);
  if (missing.empty()) return {};
  fs::create_directories(path, error);
  if (!error) fs::permissions(path, fs::perms::owner_all, error);
  if (error) {
    return fail(ErrorKind::kIo, fmt::format("cannot make the directory '{}': {}. Make it, and give it to the user of "
                                            "the daemon",
                                            path, error.message()));
  }
  for (const fs::path& one : missing) {
    if (!sync) break;
    if (auto synced = sync_directory(one.parent_path()); !synced) return synced;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const JournalOptions& options, ByteBudget* budget, TimePoint now,
                                               std::uint64_t now_unix_ns, std::vector<std::string>& notices) {
  if (auto made = make_directory(options.directory, options.ack == JournalAck::kDisk); !made)
    return tl::unexpected(made.error());
  auto lock = DirectoryLock::take(options.directory);
  if (!lock) return tl::unexpected(lock.error());
  std::unique_ptr<Journal> journal(new Journal(options, budget));
  journal->lock_ = std::move(*lock);
  if (auto done = journal->look_at_files(now, now_unix_ns, notices); !done) return tl::unexpected(done.error());
  if (auto done = journal->begin(now, now_unix_ns); !done) return tl::unexpected(done.error());
  return journal;
}

// A disk that is full, or fails, is what on_failure is for; a directory that nobody may write to is a mistake.
Result<void> Journal::begin(TimePoint now, std::uint64_t now_unix_ns) {
  (void)make_room(kBlockFileHeaderBytes, now, now_unix_ns);  // what is retained only may be in the way
  Result<void> opened = open_segment(now, now_unix_ns);
  if (opened || ::access(options_.directory.c_str(), W_OK) != 0) return opened;
  {
    const MutexLock lock(mutex_);
    segments_.add({.number = next_number_ - 1, .end = now, .end_unix_ns = now_unix_ns});  // of no file
  }
  set_failure(opened, now);
  return {};
}

Journal::~Journal() { stop(); }

void Journal::append(const JournalRequest& request, TimePoint now, Done done) {
  std::string front;
  Pending pending;
  bool good = append_request_front(front, request);
  if (good && front.size() + request.otlp.size() < kAlone) {
    pending.raw = std::move(front.append(request.otlp));
  } else if (good) {
    good = pack_block(front, request.otlp, options_.codec, pending.block);
    pending.block.records = 1;
  }
  pending.request_bytes = request.otlp.size();
  pending.now = now;
  pending.answer.alone = request.alone;
  pending.answer.whose = request.whose;
  if (options_.retain > Duration::zero()) {
    pending.ids.reserve(request.traces.size());
    for (const TraceId& id : request.traces) pending.ids.push_back(hash_of_id(id));
  }
  const std::size_t bytes = pending.raw.size() + pending.block.bytes.size();
  if (budget_ != nullptr) {
    pending.charge = Charge(*budget_, Holder::kRequests);
    pending.charge.grow(bytes);
  }
  bool wake = false;
  if (good) {
    const MutexLock lock(mutex_);
    good = !stopped_;
    if (good) {
      pending.answer.done = std::exchange(done, nullptr);
      pending_.push_back(std::move(pending));
      ++appended_;
      pending_bytes_.fetch_add(bytes, std::memory_order_relaxed);
      wake = std::exchange(idle_, false);
    }
  }
  if (wake) wake_.notify_one();
  if (!good && done) done(false);
}

void Journal::hurry(TimePoint by) {
  {
    const MutexLock lock(mutex_);
    if (by >= hurry_) return;
    hurry_ = by;
    if (!gathers_) return;
  }
  wake_.notify_one();
}

void Journal::count_passed(TimePoint now) {
  passed_.fetch_add(1, std::memory_order_relaxed);
  note_missing(now);
}

bool Journal::misses_since(TimePoint then) const {
  return missing_at_.load(std::memory_order_relaxed) >= then.time_since_epoch().count();
}

std::uint64_t Journal::appended() const {
  const MutexLock lock(mutex_);
  return appended_;
}

std::uint64_t Journal::committed() const {
  const MutexLock lock(mutex_);
  return committed_;
}

std::uint64_t Journal::pin(TimePoint first) {
  const MutexLock lock(mutex_);
  return segments_.pin(first);
}

void Journal::unpin(std::uint64_t segment) {
  const MutexLock lock(mutex_);
  segments_.unpin(segment);
}

void Journal::swept(TimePoint now) {
  const MutexLock lock(mutex_);
  swept_ = std::max(swept_, now);
}

void Journal::replayed(std::uint64_t below_segment) {
  const MutexLock lock(mutex_);
  replayed_below_ = below_segment;
}

void Journal::ends_after(std::uint64_t segment, TimePoint time) {
  const MutexLock lock(mutex_);
  segments_.ends_after(segment, time);
}

void Journal::start() {
  has_thread_ = true;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "journal");
  if (options_.write_timeout == Duration::zero()) return;
  watcher_ = std::thread([this] { run_watch(); });
  pthread_setname_np(watcher_.native_handle(), "journal watch");
}

void Journal::run() {
  CommitGather gather;
  const bool gathers = options_.ack != JournalAck::kDisk;  // while the disk syncs more have come
  TimePoint ended = monotonic_now();
  for (bool stop = false; !stop;) {
    {
      const MutexLock lock(mutex_);
      gathers_ = gathers;
      while (gathers_ && !stopping_) {
        const TimePoint begins = gather.begins(ended, hurry_);
        if (begins <= ended || !wake_.wait_until(mutex_, begins)) break;
      }
      gathers_ = false;
      const TimePoint until = monotonic_now() + kTick;
      idle_ = true;
      while (!stopping_ && pending_.empty() && wake_.wait_until(mutex_, until)) {
      }
      idle_ = false;
      stop = stopping_;
    }
    const std::uint64_t before = committed();
    commit(monotonic_now(), wall_now_ns());
    ended = monotonic_now();
    gather.committed(committed() - before, ended);
  }
}

// It writes no file, so a disk that hangs does not hang it.
void Journal::run_watch() {
  for (bool stop = false; !stop;) {
    {
      const MutexLock lock(mutex_);
      const TimePoint until = monotonic_now() + kWatchEvery;
      while (!stopped_ && ended_.wait_until(mutex_, until)) {
      }
      stop = stopped_;
    }
    watch(monotonic_now());
  }
}

void Journal::stop() {
  {
    const MutexLock lock(mutex_);
    if (stopped_) return;
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  end(monotonic_now(), wall_now_ns());
  ended_.notify_one();
  if (watcher_.joinable()) watcher_.join();
}

void Journal::end(TimePoint now, std::uint64_t now_unix_ns) {
  if (requests_ == nullptr && !begun()) return;  // it could not be opened
  while (commit(now, now_unix_ns)) {
  }
  std::vector<Pending> late;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    late.swap(pending_);
  }
  for (Pending& p : late) {
    if (p.answer.done) p.answer.done(false);
  }
}

bool Journal::commit(TimePoint now, std::uint64_t now_unix_ns) {
  std::vector<Pending> pending;
  bool settled = false;
  {
    const MutexLock lock(mutex_);
    pending.swap(pending_);
    hurry_ = TimePoint::max();
    // A segment ends after its last request came, whenever this thread had read its clock.
    for (Pending& p : pending) {
      now = std::max(now, p.now);
      writing_.push_back(std::move(p.answer));
    }
    writing_since_ = now;
    if (swept_ != TimePoint::min()) settled = segments_.settle(swept_ - options_.hold, replayed_below_);
  }
  Result<void> done;
  std::size_t waited = 0, request_bytes = 0;
  for (const Pending& p : pending) {
    waited += p.raw.size() + p.block.bytes.size();
    request_bytes += p.request_bytes;
  }
  if (!pending.empty()) {
    std::vector<std::vector<std::uint64_t>> ids;
    std::vector<PackedBlock> blocks = blocks_of(pending, ids);
    done = make_room(waited, now, now_unix_ns);
    if (done) done = write_requests(blocks, now, now_unix_ns);
    if (done && options_.retain > Duration::zero()) note_ids(blocks, ids);
    set_failure(done, now);
  } else if (takes() != Takes::kRequests && now >= try_again_) {
    set_failure(probe(now, now_unix_ns), now);
  } else {
    // What has come is not to stay longer because nothing comes any more. A failure here is none of a request's.
    if (requests_ != nullptr && is_old(now)) (void)open_segment(now, now_unix_ns);
    (void)make_room(0, now, now_unix_ns);
  }
  write_ends(settled);
  pending_bytes_.fetch_sub(waited, std::memory_order_relaxed);
  for (Pending& p : pending) p.charge = Charge();
  std::vector<Answer> answers;
  {
    const MutexLock lock(mutex_);
    answers.swap(writing_);
    writing_since_ = TimePoint::max();
    hangs_ = false;
  }
  tell(answers, done.has_value(), now);
  const MutexLock lock(mutex_);
  committed_ += pending.size();
  if (!pending.empty() && done) {
    ++stats_.commits;
    for (const Answer& answer : answers) {
      const bool passed = answer.told && passes(answer);  // and counted as such
      stats_.requests += answer.whose == Whose::kOwn && !passed ? 1 : 0;
      stats_.for_others += answer.whose == Whose::kOthers ? 1 : 0;
      stats_.unsure += answer.whose == Whose::kUnsure ? 1 : 0;
    }
    stats_.request_bytes += request_bytes;
  }
  return !pending_.empty();
}

// Those that are small yet are compressed here, many together.
std::vector<PackedBlock> Journal::blocks_of(std::vector<Pending>& pending,
                                            std::vector<std::vector<std::uint64_t>>& ids) const {
  std::vector<PackedBlock> out;
  std::string raw;
  std::uint32_t records = 0;
  std::vector<std::uint64_t> ids_together;
  const auto flush = [&] {
    if (records == 0) return;
    PackedBlock& block = out.emplace_back();
    if (!pack_block(raw, options_.codec, block)) pack_block(raw, BlockCodec::kPlain, block);
    block.records = records;
    ids.push_back(std::exchange(ids_together, {}));
    records = 0;
    raw.clear();
  };
  for (Pending& p : pending) {
    if (!p.raw.empty()) {
      raw += p.raw;
      ids_together.insert(ids_together.end(), p.ids.begin(), p.ids.end());
      if (++records == kBlockRecordsMax || raw.size() >= kTogether) flush();
      continue;
    }
    flush();
    out.push_back(std::move(p.block));
    ids.push_back(std::move(p.ids));
  }
  flush();
  return out;
}

Result<void> Journal::write_requests(std::vector<PackedBlock>& blocks, TimePoint now, std::uint64_t now_unix_ns) {
  const TimePoint began = now;
  leave_bad_file(now);
  if (wants_segment(now)) {
    if (auto done = open_segment(now, now_unix_ns); !done) return done;
  }
  bool sync_failed = false;
  Result<void> done = put(blocks, sync_failed);
  if (sync_failed) {
    // The system may have thrown away what it could not write, and says so once. What this commit holds is still in
    // memory; commits before it were synced.
    requests_.reset();
    if (auto opened = open_segment(now, now_unix_ns); !opened) return opened;
    done = put(blocks, sync_failed);
    if (sync_failed) requests_.reset();
  }
  if (!done) return done;
  const TimePoint ended = has_thread_ ? monotonic_now() : now;
  const double seconds = std::chrono::duration<double>(ended - began).count();
  const auto bucket = std::lower_bound(kCommitBounds.begin(), kCommitBounds.end(), seconds) - kCommitBounds.begin();
  const MutexLock lock(mutex_);
  ++stats_.seconds[static_cast<std::size_t>(bucket)];
  stats_.seconds_sum += seconds;
  Segment& last = segments_.last();
  last.end = std::max(last.end, now);
  last.end_unix_ns = std::max(last.end_unix_ns, now_unix_ns);
  return {};
}

// One that took nothing may lie where the disk is broken; one that somebody removed is found by nobody.
void Journal::leave_bad_file(TimePoint now) {
  if (requests_ == nullptr) return;
  const bool look = now >= look_at_;  // to find the path takes as long as a tenth of the commit
  if (look) look_at_ = now + kLookEvery;
  const bool removed = look ? !requests_->in_place() : requests_->removed();
  if (removed) {
    log_error("somebody removed a file of the journal: what is in it is lost, and another one is begun",
              {{"directory", options_.directory}});
  }
  if (removed || (write_failed_ && requests_->size() > kBlockFileHeaderBytes)) requests_.reset();
}

Result<void> Journal::put(std::vector<PackedBlock>& blocks, bool& sync_failed) {
  sync_failed = false;
  const std::uint64_t before = requests_->size();
  const auto done = requests_->write(blocks);
  write_failed_ = !done;
  if (!done) {
    // Blocks of it may be whole: their senders are told to try again, so a replay is not to find them.
    (void)requests_->cut();
    const MutexLock lock(mutex_);
    ++stats_.write_errors;
    return tl::unexpected(done.error());
  }
  if (options_.ack == JournalAck::kDisk) {
    if (auto synced = requests_->sync(); !synced) {
      sync_failed = true;
      const MutexLock lock(mutex_);
      ++stats_.sync_errors;
      return synced;
    }
  }
  const MutexLock lock(mutex_);
  const std::uint64_t written = requests_->size() - before;
  stats_.written_bytes += written;
  segments_.last().bytes += written;
  readable_end_ = requests_->size();
  return {};
}

// Of the last segment: it has something, and for so long.
bool Journal::is_old(TimePoint now) const {
  return requests_->size() > kBlockFileHeaderBytes && now - segment_since_ >= options_.segment_age;
}

bool Journal::wants_segment(TimePoint now) const {
  if (requests_ == nullptr || requests_->size() >= options_.segment_bytes) return true;
  if (is_old(now)) return true;
  const MutexLock lock(mutex_);
  const std::uint64_t first = segments_.all().back().number << kOrdersOfSegment;
  return orders_.load(std::memory_order_relaxed) >= first + (std::uint64_t{1} << (kOrdersOfSegment - 1));
}

Result<void> Journal::open_segment(TimePoint now, std::uint64_t now_unix_ns) {
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex_);
    number = orders_.load(std::memory_order_relaxed) >> kOrdersOfSegment;
    if (!segments_.empty()) number = std::max(number, segments_.last().number + 1);
  }
  number = std::max({number, next_number_, std::uint64_t{1}});
  next_number_ = number + 1;  // a file that could not be made is not tried again: its head may be lost
  const std::string path = requests_path(options_.directory, number);
  auto opened = BlockWriter::open(path, {.codec = options_.codec,
                                         .created_ns = now_unix_ns,
                                         .mode = kFileMode,
                                         .sync = options_.ack == JournalAck::kDisk});
  if (opened && options_.ack == JournalAck::kDisk) {
    if (auto synced = sync_directory(options_.directory); !synced) opened = tl::unexpected(synced.error());
  }
  if (!opened) {
    ::unlink(path.c_str());
    const MutexLock lock(mutex_);
    ++stats_.write_errors;
    return tl::unexpected(opened.error());
  }
  requests_ = std::move(*opened);
  ends_.reset();  // its file is made when there is something to write
  segment_since_ = now;
  const MutexLock lock(mutex_);
  segments_.add({.number = number, .bytes = requests_->size(), .end = now, .end_unix_ns = now_unix_ns});
  readable_end_ = requests_->size();
  return {};
}

// After a failure: whether there is room again and the disk takes bytes.
Result<void> Journal::probe(TimePoint now, std::uint64_t now_unix_ns) {
  if (auto done = make_room(kAlone, now, now_unix_ns); !done) return done;
  leave_bad_file(now);
  if (requests_ == nullptr) {
    if (auto done = open_segment(now, now_unix_ns); !done) return done;
  }
  std::string raw;
  {
    const MutexLock lock(mutex_);
    append_settled(raw, {segments_.settled(), segments_.left()});
  }
  std::vector<PackedBlock> blocks(1);
  blocks[0].records = 1;
  pack_block(raw, BlockCodec::kPlain, blocks[0]);
  bool sync_failed = false;
  Result<void> done = put(blocks, sync_failed);
  if (sync_failed) requests_.reset();
  return done;
}

void Journal::set_failure(const Result<void>& result, TimePoint now) {
  const Takes was = state_.load(std::memory_order_relaxed);
  const bool refuses = options_.on_failure == JournalFailure::kRefuse;
  state_ = result ? Takes::kRequests : refuses ? Takes::kNothing : Takes::kPassBy;
  if (!result) try_again_ = now + kTryAgain;
  {
    const MutexLock lock(mutex_);
    stats_.failure = result ? "" : result.error().text;
  }
  if (result && was != Takes::kRequests) log_info("the journal is written again", {{"directory", options_.directory}});
  if (result) return;
  if (const auto held = errors_log_.pass(now)) {
    log_error(refuses ? "the journal takes nothing: requests are refused until it can be written"
                      : "the journal takes nothing: requests are in memory only until it can be written",
              {{"directory", options_.directory}, {"why", result.error().text}, {"held_back", *held}});
  }
}

}  // namespace tailgate
