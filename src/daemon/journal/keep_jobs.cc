// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/keep_jobs.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "telemetry/log.h"

namespace tailgate {
namespace {

constexpr int kNice = 10;  // spans that come go first
constexpr std::string_view kOtherReason = "other";
constexpr Duration kQuotaWait = std::chrono::milliseconds(100);
constexpr Duration kLookAgain = std::chrono::milliseconds(100);
constexpr Duration kLookSoon = std::chrono::milliseconds(5);

}  // namespace

void KeepJobs::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "keep");
}

void KeepJobs::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<std::string> KeepJobs::begin(KeepRequest request) {
  auto job = std::make_shared<Job>();
  if (!request.condition.empty()) {
    job->tables = std::make_shared<PolicyTables>();
    auto policies = policies_of_condition(request.condition, *job->tables);
    if (!policies) return tl::unexpected(policies.error());
    job->policies = std::move(*policies);
  }
  if (request.kind.empty()) request.kind = request.ids.empty() ? "condition" : "ids";
  // All members begin it, and together they keep no more than was asked for.
  const std::uint64_t members = parts_.members();
  request.limit = (request.limit + members - 1) / members;
  job->status.request = std::move(request);
  job->status.begun_unix_ns = wall_now_ns();
  job->status.state = "waiting";
  const MutexLock lock(mutex_);
  if (waiting_.size() >= kWaitingMax)
    return fail(ErrorKind::kRefused, fmt::format("{} jobs are waiting; try again later", kWaitingMax));
  job->status.job = std::to_string(next_++);
  jobs_.push_back(job);
  if (jobs_.size() > kRememberedMax) {
    jobs_.erase(std::find_if(jobs_.begin(), jobs_.end(), [](const JobPtr& j) {
      return j->status.state != "waiting" && j->status.state != "running";
    }));
  }
  waiting_.push_back(job);
  wake_.notify_one();
  return job->status.job;
}

Result<std::string> KeepJobs::begin_for(const Alert& alert) {
  const std::vector<AlertMapping>& all = parts_.config.alerts;
  const auto mapping =
      std::find_if(all.begin(), all.end(), [&](const AlertMapping& m) { return m.alert == alert.name; });
  if (mapping == all.end()) {
    return fail(ErrorKind::kBadInput,
                fmt::format("expected an alert that keep.alerts has a condition for, got '{}'. Add one: {{alert: {}, "
                            "condition: 'root.service == \"{{service}}\"'}}",
                            alert.name, alert.name));
  }
  KeepRequest request;
  std::string missing;
  const auto condition = with_labels(mapping->condition, alert.labels, missing);
  if (!condition) {
    return fail(ErrorKind::kBadInput,
                fmt::format("the condition of '{}' in keep.alerts wants the label '{}', which the "
                            "alert does not have",
                            alert.name, missing));
  }
  request.condition = *condition;
  const auto before = static_cast<std::uint64_t>(mapping->before.count());
  request.from_unix_ns = alert.starts_unix_ns - std::min(alert.starts_unix_ns, before);
  request.limit = mapping->limit;
  request.reason = "alert " + alert.name;
  request.kind = "alert";
  std::string who = alert.fingerprint;
  if (who.empty()) {  // it is a hash of these
    for (const auto& [name, value] : alert.labels) who += fmt::format("{}={}\n", name, value);
  }
  const std::string key = fmt::format("{} {}", who, alert.starts_unix_ns);
  {
    const MutexLock lock(mutex_);
    const auto known = of_alerts_.find(key);
    if (known != of_alerts_.end()) return known->second;
  }
  Result<std::string> job = begin(std::move(request));
  if (!job) return job;
  const MutexLock lock(mutex_);
  if (alerts_.size() >= kAlertsRemembered) {
    of_alerts_.erase(alerts_.front());
    alerts_.pop_front();
  }
  alerts_.push_back(key);
  of_alerts_[key] = *job;
  return job;
}

void KeepJobs::triggered(std::uint64_t unix_ns) {
  const MutexLock lock(mutex_);
  if (note_trigger(unix_ns)) untold_ = unix_ns;
}

bool KeepJobs::triggered_elsewhere(std::uint64_t unix_ns) {
  if (parts_.config.around.policies.empty()) return false;
  const MutexLock lock(mutex_);
  // By this clock it was now, or a while ago: one that is ahead, or a stranger, would have the next job wait.
  const auto after = static_cast<std::uint64_t>(parts_.config.around.after.count());
  if (ticked_ != 0) unix_ns = std::clamp(unix_ns, ticked_ - std::min(ticked_, after), ticked_);
  note_trigger(unix_ns);
  return true;
}

// Those of other members may be older than one that was here first, or come when its job has begun.
bool KeepJobs::note_trigger(std::uint64_t unix_ns) {
  if (unix_ns >= around_from_ && unix_ns <= around_to_) return false;
  const bool first = trigger_first_ == 0;
  trigger_first_ = first ? unix_ns : std::min(trigger_first_, unix_ns);
  trigger_last_ = first ? unix_ns : std::max(trigger_last_, unix_ns);
  return first;
}

// Triggers within the time that is kept anyway are one job.
void KeepJobs::tick(std::uint64_t now_unix_ns) {
  const KeepAround& around = parts_.config.around;
  const auto before = static_cast<std::uint64_t>(around.before.count());
  const auto after = static_cast<std::uint64_t>(around.after.count());
  KeepRequest request;
  std::uint64_t untold = 0;
  bool over = false;
  {
    const MutexLock lock(mutex_);
    ticked_ = now_unix_ns;
    untold = std::exchange(untold_, 0);
    over = trigger_first_ != 0 && now_unix_ns >= trigger_first_ + after;
    if (over) {
      around_from_ = trigger_first_;
      around_to_ = trigger_first_ + after;
      request.from_unix_ns = around_from_ - std::min(around_from_, before);
      request.to_unix_ns = around_to_;
      trigger_first_ = untold_ = trigger_last_ > around_to_ ? trigger_last_ : 0;
    }
  }
  if (untold != 0 && parts_.tell_others) parts_.tell_others(untold);
  if (!over) return;
  request.condition = around.condition;
  request.limit = around.limit;
  request.reason = "around " + around.policies.front();
  request.kind = "around";
  if (const auto job = begin(std::move(request)); !job) {
    log_warn("nothing is kept around a trace", {{"why", job.error().text}});
  } else {
    log_info("keeps what surrounds a trace",
             {{"job", *job}, {"policies", fmt::format("{}", fmt::join(around.policies, ", "))}});
  }
}

KeepJobs::JobPtr KeepJobs::find(std::string_view job) const {
  const auto at = std::find_if(jobs_.begin(), jobs_.end(), [&](const JobPtr& j) { return j->status.job == job; });
  return at != jobs_.end() ? *at : nullptr;
}

std::optional<KeepStatus> KeepJobs::status(std::string_view job) const {
  const MutexLock lock(mutex_);
  const JobPtr found = find(job);
  return found != nullptr ? std::optional(told(*found)) : std::nullopt;
}

std::vector<KeepStatus> KeepJobs::jobs() const {
  std::vector<KeepStatus> out;
  const MutexLock lock(mutex_);
  for (auto at = jobs_.rbegin(); at != jobs_.rend(); ++at) out.push_back(told(**at));
  return out;
}

KeepStatus KeepJobs::told(const Job& job) const {
  KeepStatus out = job.status;
  if (out.state == "waiting" && !parts_.ready()) out.waits_for = "the replay of the journal";
  return out;
}

bool KeepJobs::cancel(std::string_view job) {
  const MutexLock lock(mutex_);
  const JobPtr found = find(job);
  if (found == nullptr || (found->status.state != "waiting" && found->status.state != "running")) return false;
  found->cancelled = true;
  if (found->status.state == "waiting") {
    found->status.state = "cancelled";
    std::erase(waiting_, found);
  }
  wake_.notify_all();
  return true;
}

bool KeepJobs::ends(const JobPtr& job) const {
  const MutexLock lock(mutex_);
  return stopping_ || job->cancelled;
}

// Null: it is to stop.
KeepJobs::JobPtr KeepJobs::next() {
  const MutexLock lock(mutex_);
  for (;;) {
    if (stopping_) return nullptr;
    if (waiting_.empty()) {
      wake_.wait(mutex_);
    } else if (!parts_.ready()) {
      wake_.wait_until(mutex_, monotonic_now() + kLookAgain);
    } else {
      JobPtr job = waiting_.front();
      waiting_.pop_front();
      job->status.state = "running";
      return job;
    }
  }
}

void KeepJobs::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  while (const JobPtr job = next()) {
    work(job);
    const MutexLock lock(mutex_);
    KeepStatus& s = job->status;
    s.state = job->cancelled ? "cancelled" : !s.error.empty() ? "failed" : "done";
    if (!job->cancelled) s.progress = 1;
    job->policies.reset();
    log_info("kept after the fact", {{"job", s.job},
                                     {"state", s.state},
                                     {"reason", s.request.reason},
                                     {"traces", s.kept_traces},
                                     {"spans", s.kept_spans},
                                     {"already_kept", s.already_kept},
                                     {"not_found", s.not_found}});
  }
}

void KeepJobs::work(const JobPtr& job) {
  std::vector<TraceId> ids = job->status.request.ids;  // nobody writes it any more
  const bool searches = job->policies != nullptr;
  const std::uint64_t unsafe = parts_.link.copies_unsafe();
  if (searches) search(job, ids);
  for (std::size_t i = 0, first = ids.size(); i != ids.size() && !ends(job); ++i) {
    if (i < first && fate(ids[i]) == Fate::kOpen) {
      ids.push_back(ids[i]);  // to the end
      continue;
    }
    if (i >= first) wait_until_decided(job, ids[i]);
    keep(job, ids[i], i < first && job->status.request.again);  // one that was open has just been decided
    const MutexLock lock(mutex_);
    const double part = static_cast<double>(i + 1) / static_cast<double>(ids.size());
    job->status.progress = searches ? 0.5 + part / 2 : part;
  }
  // What it has kept outlives the process from here on.
  for (const std::uint64_t last = parts_.journal.appended(); parts_.journal.committed() < last;) {
    if (!wait(job, kLookSoon)) return;
  }
  const MutexLock lock(mutex_);
  if (const std::uint64_t more = parts_.link.copies_unsafe() - unsafe; more != 0 && job->status.error.empty())
    job->status.error = fmt::format(
        "the journal could not be written: {} of the traces kept are only in memory until exporters have them", more);
}

// Traces that the condition is true of, without those that are kept already.
void KeepJobs::search(const JobPtr& job, std::vector<TraceId>& found) {
  const KeepRequest& request = job->status.request;
  PastRunOptions options;
  options.directory = parts_.journal.options().directory;
  options.extent = [this] { return parts_.journal.extent(); };
  options.from_unix_ns = request.from_unix_ns;
  options.to_unix_ns = request.to_unix_ns;
  options.store.shards = 1;
  options.store.limits.decision_wait = parts_.journal.options().hold;
  options.store.limits.cache_bytes = 1 << 20;
  options.slim = true;
  Charge charge = parts_.budget != nullptr ? Charge(*parts_.budget, Holder::kTraces) : Charge();
  while ((options.memory = take_memory(charge, parts_.config.search_memory)) == 0) {
    wait_for(job, "memory");
    if (!wait(job, kLookAgain)) return;
  }
  wait_for(job, "");
  options.bytes_max = parts_.config.search_bytes;
  const TimePoint until = parts_.now() + parts_.config.search_time;
  bool late = false;
  options.cancelled = [&] {
    late = parts_.now() >= until;
    return late || ends(job) || found.size() >= request.limit;
  };
  options.tell = [&](double progress, std::uint64_t bytes) {
    const MutexLock lock(mutex_);
    job->status.progress = progress / 2;
    job->status.bytes = bytes;
  };
  std::uint64_t kept = 0;
  const auto take = [&](std::span<const DecidedTrace> decided) {
    for (const DecidedTrace& d : decided) {
      if (d.verdict.decision != Decision::kSampled || found.size() >= request.limit) continue;
      if (fate(d.id) == Fate::kKept) {
        ++kept;
      } else {
        found.push_back(d.id);
      }
    }
  };
  const auto outcome = run_past(options, job->policies, *job->tables, take);
  const MutexLock lock(mutex_);
  job->status.found = found.size() + kept;
  job->status.already_kept = kept;
  if (!outcome) {
    job->status.error = outcome.error().text;
    return;
  }
  job->status.bytes = outcome->bytes;
  job->status.judged_early = outcome->judged_early;
  if (outcome->cut && !job->cancelled && found.size() < request.limit)
    job->status.cut = late ? "keep.search_time" : "keep.search_bytes";
  if (outcome->not_taken != 0)
    job->status.error =
        fmt::format("{} requests were left out: too much is open at a time for this search", outcome->not_taken);
}

void KeepJobs::wait_for(const JobPtr& job, std::string what) {
  const MutexLock lock(mutex_);
  job->status.waits_for = std::move(what);
}

Fate KeepJobs::fate(const TraceId& id) const {
  const Fate known = parts_.store.fate(id);
  if (known == Fate::kOpen || known == Fate::kKept) return known;
  return parts_.verdict_of(id) == Decision::kSampled ? Fate::kKept : known;
}

void KeepJobs::wait_until_decided(const JobPtr& job, const TraceId& id) {
  while (parts_.store.fate(id) == Fate::kOpen && wait(job, kLookAgain)) {
  }
}

void KeepJobs::keep(const JobPtr& job, const TraceId& id, bool again) {
  if (ends(job)) return;
  const auto count = [&](std::uint64_t KeepStatus::*what, std::uint64_t n = 1) {
    const MutexLock lock(mutex_);
    job->status.*what += n;
  };
  if (!again && fate(id) == Fate::kKept) return count(&KeepStatus::already_kept);
  const auto look = [&] { return parts_.past.find(id, [&] { return ends(job); }); };
  Result<PastTrace> past = look();
  if (past && past->no_room) return count(&KeepStatus::not_taken);
  if (!past || past->spans == 0) return count(&KeepStatus::not_found);
  if (wait_for_quota(job, past->spans)) {  // more may have come
    past = PastTrace();
    past = look();
  }
  if (ends(job)) return;
  if (past && past->no_room) return count(&KeepStatus::not_taken);
  if (!past || past->spans == 0) return count(&KeepStatus::not_found);
  const TimePoint now = parts_.now();
  const std::string& reason = job->status.request.reason;
  // Until it has a delivery of its own the copy stays.
  const std::uint64_t pinned = parts_.journal.pin(now);
  std::optional<JournalLink::Copy> copy = parts_.link.write_kept(reason, past->otlp, now);
  TraceStore::KeptAfter kept;
  if (copy) {
    const Verdict verdict = parts_.link.verdict_after();
    kept = parts_.store.keep_after({id, verdict, reason, copy->order, copy->number}, past->otlp, now);
  }
  parts_.journal.unpin(pinned);
  if (kept.spans == 0) {
    if (copy) parts_.journal.note({id, 0, 0, copy->number});  // a restart is not to send it
    return count(&KeepStatus::not_taken);
  }
  count(&KeepStatus::kept_traces);
  count(&KeepStatus::kept_spans, kept.spans);
  if (past->cut || past->damaged != 0) count(&KeepStatus::kept_in_part);
  const MutexLock lock(mutex_);
  const bool counted = kept_.contains(reason) || kept_.size() < kReasonsMax;
  kept_[counted ? reason : std::string(kOtherReason)] += kept.spans;
}

// A minute's worth may be saved up; a trace of more than that waits until it is. Whether it waited.
bool KeepJobs::wait_for_quota(const JobPtr& job, std::uint64_t spans) {
  const auto per_minute = static_cast<double>(parts_.journal.options().keep_spans_per_minute);
  const double wanted = std::min(static_cast<double>(spans), per_minute);
  if (filled_ == TimePoint{}) room_ = per_minute;
  for (bool waited = false;; waited = true) {
    const TimePoint now = parts_.now();
    if (filled_ != TimePoint{}) {
      room_ += per_minute * std::chrono::duration<double>(now - filled_).count() / 60;
      room_ = std::min(room_, per_minute);
    }
    filled_ = now;
    if (room_ >= wanted) {
      room_ -= wanted;
      return waited;
    }
    if (!wait(job, kQuotaWait)) return waited;
  }
}

// False: the job ends.
bool KeepJobs::wait(const JobPtr& job, Duration time) {
  const TimePoint until = monotonic_now() + time;
  const MutexLock lock(mutex_);
  while (!stopping_ && !job->cancelled && wake_.wait_until(mutex_, until)) {
  }
  return !stopping_ && !job->cancelled;
}

std::map<std::string, std::uint64_t> KeepJobs::spans_kept() const {
  const MutexLock lock(mutex_);
  return kept_;
}

}  // namespace tailgate
