// SPDX-License-Identifier: Apache-2.0
#include "export/queue/durable_store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/hash.h"
#include "export/queue/kept_record.h"

namespace tailgate {
namespace {

constexpr Duration kCommitEvery = std::chrono::milliseconds(200);
constexpr Duration kTryAgain = std::chrono::seconds(1);  // after a commit that failed
constexpr std::size_t kCommitBytes = 8 << 20;
constexpr std::size_t kCommitBytesTight = 1 << 20;  // after a failure: where all of it has no room, some may have

std::vector<DurableOptions> options_of(const std::vector<DurableStore::Member>& members) {
  std::vector<DurableOptions> out;
  for (const DurableStore::Member& m : members) out.push_back(m.options);
  return out;
}

std::uint64_t mark_of(const std::string& exporter) { return hash_bytes(exporter, 0); }

}  // namespace

DurableStore::DurableStore(std::vector<Member> members, std::unique_ptr<KeptLog> log)
    : members_(std::move(members)),
      log_(std::move(log)),
      calls_(members_.size()),
      queue_(options_of(members_)),
      read_errors_(members_.size()) {}

DurableStore::~DurableStore() {
  stop();
  if (started_) commit();  // what came after the stop
}

Result<void> DurableStore::start() {
  if (started_) return {};
  KeptLog::Writes bad;
  std::set<std::string> gone;
  std::uint64_t gone_spans = 0;
  const auto restore = [&](std::uint64_t number, ByteView bytes, const std::vector<std::uint64_t>& marks)
                           TAILGATE_NOT_ANALYSED {
                             const std::optional<KeptRecord> record = read_kept_record(bytes, false);
                             if (!record) return bad.removes.push_back(number);
                             std::uint64_t wanted = 0;
                             bool keep = false;
                             for (const std::string& name : record->exporters) {
                               if (std::find(marks.begin(), marks.end(), mark_of(name)) != marks.end()) continue;
                               std::size_t e = 0;
                               while (e < members_.size() && members_[e].name != name) ++e;
                               if (e < members_.size()) {
                                 wanted |= std::uint64_t{1} << e;
                               } else {
                                 keep = true;
                                 gone.insert(name);
                               }
                             }
                             if (wanted == 0 && keep) gone_spans += record->trace->spans;
                             queue_.restore(number, record->pushed_unix_ns, *record->trace, bytes.size(), wanted, keep);
                           };
  const Result<KeptLog::Damage> opened = log_->open(restore);
  if (!opened) return tl::unexpected(opened.error());
  found_damaged_ = !opened->cause.empty();
  if (found_damaged_) {
    log_error("the durable queue was damaged; its file is set aside, and what could be read is taken over",
              {{"directory", directory()},
               {"cause", opened->cause},
               {"set_aside", opened->set_aside},
               {"records", opened->taken_over},
               {"lost", opened->lost}});
  }
  if (!bad.removes.empty()) {
    damaged_ = bad.removes.size();
    log_error("records of the durable queue were damaged and are removed",
              {{"directory", directory()}, {"records", damaged_}});
    if (Result<void> removed = log_->commit(bad); !removed) return removed;
  }
  if (!gone.empty()) {
    log_warn(
        "the durable queue holds kept traces for exporters that are not configured; they stay there",
        {{"directory", directory()}, {"exporters", fmt::format("{}", fmt::join(gone, ", "))}, {"spans", gone_spans}});
  }
  for (std::size_t e = 0; e < members_.size(); ++e) {
    if (const auto stats = queue_.stats(e); stats.restored_spans != 0) {
      log_info("kept traces found in the durable queue",
               {{"exporter", members_[e].name}, {"spans", stats.restored_spans}, {"bytes", stats.bytes}});
    }
  }
  started_ = true;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "durable");
  return {};
}

void DurableStore::on_commit(std::size_t exporter, std::function<void()> call) {
  const MutexLock lock(calls_mutex_);
  calls_[exporter] = std::move(call);
}

void DurableStore::push(const KeptTracePtr& trace, std::uint64_t wanted) {
  bool much = false, refused = false;
  {
    const MutexLock lock(mutex_);
    pushed_bytes_ += trace->bytes();
    refused = queue_.disk_refuses();
    much = pushed_bytes_ >= kCommitBytes && !refused;
    queue_.push(trace, wanted, wall_now_ns());
  }
  if (much) wake_.notify_one();
  if (refused) call_exporters();  // it goes from memory and waits for no commit
}

void DurableStore::call_exporters() {
  const MutexLock lock(calls_mutex_);
  for (const auto& call : calls_) {
    if (call) call();
  }
}

void DurableStore::hurry() {
  {
    const MutexLock lock(mutex_);
    hurry_ = true;
  }
  wake_.notify_one();
}

std::size_t DurableStore::next_bytes(std::size_t exporter) const {
  const MutexLock lock(mutex_);
  return queue_.next_bytes(exporter);
}

bool DurableStore::anything_waits(std::size_t exporter) const {
  const MutexLock lock(mutex_);
  return queue_.waits(exporter);
}

bool DurableStore::all_on_disk(std::size_t exporter) const {
  const MutexLock lock(mutex_);
  return queue_.all_on_disk(exporter);
}

bool DurableStore::evict_unwritten(bool only_chance) {
  const MutexLock lock(mutex_);
  return queue_.evict_unwritten(only_chance);
}

std::optional<DurableQueue::Next> DurableStore::next(std::size_t exporter, bool parked) {
  for (;;) {
    std::optional<DurableQueue::Next> next;
    {
      const MutexLock lock(mutex_);
      next = parked ? queue_.next_parked(exporter) : queue_.next(exporter);
    }
    if (!next || next->trace != nullptr) return next;
    const Result<std::string> bytes = log_->read(next->number);
    std::optional<KeptRecord> record;
    if (bytes) record = read_kept_record(*bytes, true);
    const bool damaged = bytes || bytes.error().kind == ErrorKind::kBadInput;
    if (record) {
      next->trace = std::move(record->trace);
      return next;
    }
    {
      const MutexLock lock(mutex_);
      if (damaged) {
        ++damaged_;
        queue_.drop_damaged(exporter, next->number);
      } else {
        ++read_errors_[exporter];
        queue_.put_back(exporter, next->number);
      }
    }
    if (const auto held = reads_log_.pass(monotonic_now())) {
      log_error("durable queue cannot be read",
                {{"exporter", members_[exporter].name},
                 {"detail", bytes ? std::string("a damaged record") : bytes.error().text},
                 {"removed", damaged ? 1 : 0},
                 {"held_back", *held}});
    }
    if (!damaged) return std::nullopt;
  }
}

void DurableStore::park(std::size_t exporter, std::uint64_t number) {
  const MutexLock lock(mutex_);
  queue_.park(exporter, number);
}

bool DurableStore::has_parked(std::size_t exporter) const {
  const MutexLock lock(mutex_);
  return queue_.has_parked(exporter);
}

void DurableStore::done(std::size_t exporter, std::uint64_t number) {
  const MutexLock lock(mutex_);
  queue_.done(exporter, number);
}

void DurableStore::run() {
  for (bool stop = false; !stop;) {
    {
      const MutexLock lock(mutex_);
      const bool refused = queue_.disk_refuses();
      const TimePoint until = monotonic_now() + (refused ? kTryAgain : kCommitEvery);
      while (!stopping_ && !hurry_ && (pushed_bytes_ < kCommitBytes || refused) && wake_.wait_until(mutex_, until)) {
      }
      hurry_ = false;
      stop = stopping_;
    }
    commit();
  }
}

// Commits a few MiB at a time, because what a commit holds is in memory twice. After a failure the changes that give
// room back go first and alone, because the room that a commit frees is not usable within it.
void DurableStore::commit() {
  bool failing = false;
  {
    const MutexLock lock(mutex_);
    failing = queue_.disk_refuses();
    queue_.expire(wall_now_ns());
  }
  const bool tight = failing;
  while (failing && commit_some(false, 0)) {
    const MutexLock lock(mutex_);
    failing = queue_.anything_to_give_back();
  }
  for (bool more = true; more && commit_some(true, tight ? kCommitBytesTight : kCommitBytes);) {
    const MutexLock lock(mutex_);
    more = queue_.anything_to_write();
  }
}

// False: it failed.
bool DurableStore::commit_some(bool with_puts, std::size_t bytes_max) {
  DurableQueue::Plan plan;
  {
    const MutexLock lock(mutex_);
    plan = with_puts ? queue_.begin_commit(bytes_max) : queue_.begin_giving_back(kGiveBackMax);
    pushed_bytes_ = 0;
  }
  if (plan.empty()) return true;
  KeptLog::Writes writes;
  writes.puts.reserve(plan.puts.size());
  std::vector<std::string_view> names;
  for (const DurableQueue::Plan::Put& put : plan.puts) {
    names.clear();
    for (std::size_t e = 0; e < members_.size(); ++e) {
      if ((put.wanted >> e & 1) != 0) names.push_back(members_[e].name);
    }
    writes.puts.emplace_back(put.number, write_kept_record(*put.trace, put.pushed_unix_ns, names));
  }
  for (const DurableQueue::Plan::Mark& mark : plan.marks) {
    writes.marks.emplace_back(mark.number, mark_of(members_[mark.exporter].name));
  }
  writes.removes = plan.removes;
  const bool puts = !plan.puts.empty();
  const Result<void> written = log_->commit(writes);
  bool was_failing = false;
  {
    const MutexLock lock(mutex_);
    was_failing = queue_.disk_refuses();
    queue_.end_commit(std::move(plan), written.has_value());
    write_errors_ += written ? 0 : 1;
  }
  if (puts || !written) call_exporters();
  if (!written) {
    if (const auto held = errors_log_.pass(monotonic_now())) {
      log_error("durable queue cannot be written; kept traces are in memory only until it can",
                {{"directory", directory()}, {"detail", written.error().text}, {"held_back", *held}});
    }
  } else if (was_failing && puts) {
    log_info("durable queue is written again", {{"directory", directory()}});
  }
  return written.has_value();
}

void DurableStore::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (!thread_.joinable()) return;
  thread_.join();
  commit();
  std::uint64_t lost = 0;
  {
    const MutexLock lock(mutex_);
    lost = queue_.drop_unwritten();
  }
  if (lost != 0) {
    log_error("shutdown: spans lost that the durable queue could not be written with",
              {{"directory", directory()}, {"spans", lost}});
  }
}

DurableStore::Stats DurableStore::stats(std::size_t exporter) const {
  const std::uint64_t now = wall_now_ns();
  const MutexLock lock(mutex_);
  Stats out{queue_.stats(exporter)};
  if (out.oldest_unix_ns != 0 && out.oldest_unix_ns < now) out.behind_ns = now - out.oldest_unix_ns;
  out.write_errors = write_errors_;
  out.read_errors = read_errors_[exporter];
  out.damaged_records = damaged_;
  return out;
}

std::uint64_t DurableStore::bytes(std::size_t exporter) const {
  const MutexLock lock(mutex_);
  return queue_.bytes(exporter);
}

std::size_t DurableStore::memory_bytes() const {
  const MutexLock lock(mutex_);
  return queue_.memory_bytes();
}

}  // namespace tailgate
