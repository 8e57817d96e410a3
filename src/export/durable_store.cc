#include "export/durable_store.h"

#include <pthread.h>

#include <utility>

#include "export/kept_record.h"

namespace tailgate {
namespace {

constexpr Duration kCommitEvery = std::chrono::milliseconds(500);
constexpr std::size_t kCommitBytes = 8 << 20;

}  // namespace

DurableStore::DurableStore(std::string exporter, const DurableOptions& options, std::unique_ptr<KeptLog> log)
    : exporter_(std::move(exporter)), log_(std::move(log)), queue_(options) {}

DurableStore::~DurableStore() {
  stop();
  if (started_) commit_once();  // what came after the stop
}

Result<void> DurableStore::start() {
  std::size_t damaged = 0;
  std::vector<std::uint64_t> bad;
  Result<void> opened = log_->open([&](std::uint64_t number, ByteView bytes) {
    const std::optional<KeptRecord> record = read_kept_record(bytes, false);
    if (record) {
      queue_.restore(number, record->pushed_unix_ns, *record->trace, bytes.size());
    } else {
      bad.push_back(number);
      ++damaged;
    }
  });
  if (!opened) return opened;
  if (damaged != 0) {
    damaged_ = damaged;
    log_error("records of the durable queue were damaged and are removed",
              {{"exporter", exporter_}, {"records", damaged}});
    if (Result<void> removed = log_->commit({}, bad); !removed) return removed;
  }
  if (const auto stats = queue_.stats(); stats.restored_spans != 0) {
    log_info("kept traces found in the durable queue",
             {{"exporter", exporter_}, {"spans", stats.restored_spans}, {"bytes", stats.bytes}});
  }
  started_ = true;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), ("dq:" + exporter_).substr(0, 15).c_str());
  return {};
}

void DurableStore::push(KeptTracePtr trace) {
  bool much = false;
  {
    const std::lock_guard lock(mutex_);
    pushed_bytes_ += trace->bytes();
    much = pushed_bytes_ >= kCommitBytes && !failing_;
    queue_.push(std::move(trace), wall_now_ns());
  }
  if (much) wake_.notify_one();
}

std::size_t DurableStore::next_bytes() const {
  const std::lock_guard lock(mutex_);
  return queue_.next_bytes();
}

std::optional<DurableQueue::Next> DurableStore::next() {
  for (;;) {
    std::optional<DurableQueue::Next> next;
    {
      const std::lock_guard lock(mutex_);
      next = queue_.next();
    }
    if (!next || next->trace != nullptr) return next;
    const Result<std::string> bytes = log_->read(next->number);
    std::optional<KeptRecord> record;
    if (bytes) record = read_kept_record(*bytes, true);
    if (record) {
      next->trace = std::move(record->trace);
      return next;
    }
    const std::lock_guard lock(mutex_);
    if (bytes) {
      ++damaged_;
      queue_.drop_damaged(next->number);
    } else {
      ++read_errors_;
      queue_.put_back(next->number);
    }
    if (const auto held = reads_log_.pass(monotonic_now())) {
      log_error("durable queue cannot be read",
                {{"exporter", exporter_},
                 {"detail", bytes ? std::string("a damaged record, removed") : bytes.error().text},
                 {"held_back", *held}});
    }
    if (!bytes) return std::nullopt;
  }
}

void DurableStore::done(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  queue_.done(number);
}

void DurableStore::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, kCommitEvery, [&] { return stopping_ || (pushed_bytes_ >= kCommitBytes && !failing_); });
    lock.unlock();
    commit_once();
    lock.lock();
  }
}

void DurableStore::commit_once() {
  DurableQueue::Plan plan;
  {
    const std::lock_guard lock(mutex_);
    queue_.expire(wall_now_ns());
    plan = queue_.begin_commit();
    pushed_bytes_ = 0;
  }
  if (plan.empty()) return;
  KeptLog::Puts puts;
  puts.reserve(plan.puts.size());
  for (const DurableQueue::Plan::Put& put : plan.puts) {
    puts.emplace_back(put.number, write_kept_record(*put.trace, put.pushed_unix_ns));
  }
  const Result<void> written = log_->commit(puts, plan.removes);
  bool was_failing = false;
  {
    const std::lock_guard lock(mutex_);
    queue_.end_commit(std::move(plan), written.has_value());
    write_errors_ += written ? 0 : 1;
    was_failing = std::exchange(failing_, !written);
  }
  if (!written) {
    if (const auto held = errors_log_.pass(monotonic_now())) {
      log_error("durable queue cannot be written; kept traces are in memory only until it can",
                {{"exporter", exporter_}, {"detail", written.error().text}, {"held_back", *held}});
    }
  } else if (was_failing) {
    log_info("durable queue is written again", {{"exporter", exporter_}});
  }
}

void DurableStore::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (!thread_.joinable()) return;
  thread_.join();
  commit_once();
}

DurableStore::Stats DurableStore::stats() const {
  const std::uint64_t now = wall_now_ns();
  const std::lock_guard lock(mutex_);
  Stats out{queue_.stats()};
  if (out.oldest_unix_ns != 0 && out.oldest_unix_ns < now) out.behind_ns = now - out.oldest_unix_ns;
  out.write_errors = write_errors_;
  out.read_errors = read_errors_;
  out.damaged_records = damaged_;
  return out;
}

std::size_t DurableStore::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return queue_.memory_bytes();
}

}  // namespace tailgate
