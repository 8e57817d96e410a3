// SPDX-License-Identifier: Apache-2.0
// Daemon: its journal, from the start to the end.
#include <fmt/format.h>

#include <thread>

#include "daemon/daemon.h"
#include "daemon/query.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

constexpr Duration kLastCommit = std::chrono::seconds(1);  // so long an end waits for the disk

void log_unanswered(const MemberAnswers& answers) {
  for (const MemberAnswer& one : answers) {
    if (one.answer && one.answer->status == 202) continue;
    log_warn("a member keeps nothing around a trace",
             {{"member", one.member}, {"why", one.answer ? one.answer->body : one.error}});
  }
}

}  // namespace

Result<void> Daemon::open_journal() {
  if (config_.journal.directory.empty()) return {};
  std::vector<std::string> notices;
  auto opened = Journal::open(config_.journal, parts_.budget.get(), monotonic_now(), wall_now_ns(), notices);
  if (!opened) return fail(opened.error().kind, fmt::format("journal: {}", opened.error().text));
  for (const std::string& notice : notices) log_error("journal: a file is not as it should be", {{"why", notice}});
  journal_ = std::move(*opened);
  const bool replays = journal_->has_past();
  journal_link_ = std::make_unique<JournalLink>(*journal_, parts_.tables, parts_.exporters->names(), !replays);
  store_->set_decision_log(journal_link_.get());
  journal_->use(*journal_link_);
  journal_->start();
  if (config_.journal.retain > Duration::zero()) add_past_pages();
  if (replays) make_replay();
  if (keep_jobs_ != nullptr) keep_jobs_->start();  // it looks at the replay
  return {};
}

void Daemon::make_replay() {
  replayed_ = kSourcesMax - 1;  // assemble() leaves it free
  ReplayParts parts{.journal = *journal_,
                    .link = *journal_link_,
                    .store = *store_,
                    .target = *target_,
                    .source = replayed_,
                    .origin = origin_,
                    .budget = parts_.budget.get()};
  if (cluster_ != nullptr) {
    parts.pass_on = [this](SpanBatch& slice, SourceId source, std::uint64_t arrival_unix_ns,
                           std::shared_ptr<Receipt>& written) {
      return ingest_->pass_on(slice, source, arrival_unix_ns, written);
    };
  }
  replay_ = std::make_unique<JournalReplay>(std::move(parts));
}

void Daemon::add_past_pages() {
  past_ = std::make_unique<JournalPast>(*journal_, parts_.budget.get());
  past_->start();
  const auto verdict_of = [this](const TraceId& id) -> std::optional<Decision> {
    const std::optional<Explanation> explained = explanations_->explain(id);
    if (!explained || !explained->decided) return std::nullopt;
    return explained->verdict.decision;
  };
  KeepParts parts{.past = *past_,
                  .journal = *journal_,
                  .store = *store_,
                  .link = *journal_link_,
                  .config = config_.keep,
                  .budget = parts_.budget.get(),
                  .verdict_of = verdict_of,
                  .ready = [this] { return replay_ == nullptr || replay_->done(); }};
  if (cluster_ != nullptr) {
    parts.members = [this] { return 1 + cluster_->others().count(); };
    parts.tell_others = [this](std::uint64_t unix_ns) {
      const PageQuestion question = tell_of_trigger(unix_ns);
      cluster_->others().ask([question](const std::string&) { return question; }, log_unanswered);
    };
  }
  keep_jobs_ = std::make_unique<KeepJobs>(std::move(parts));
  if (!config_.keep.around.policies.empty())
    journal_link_->on_kept_by(config_.keep.around.policies, [this] { keep_jobs_->triggered(wall_now_ns()); });
  const Result<Endpoint> web = parse_endpoint(config_.web.endpoint);
  const bool local = web && (!web->path.empty() || is_loopback_host(web->host));
  const bool allowed = local || config_.web.auth.has_value();
  if (cluster_ != nullptr) {
    add_keep_page(member_pages_, *keep_jobs_, true);
    add_trigger_page(member_pages_, *keep_jobs_);
    add_fleet_keep_page(web_pages_, member_pages_, cluster_->others(), allowed);
  } else {
    add_keep_page(web_pages_, *keep_jobs_, allowed);
  }
}

void Daemon::start_replay() {
  if (cluster_ != nullptr) {
    const TimePoint now = monotonic_now();
    store_->hold_due(now, now + kCatchUp);
    cluster_->put_off_verdicts();
  }
  replay_->start([this] {
    if (cluster_ != nullptr) cluster_->put_off_verdicts();
    start_sweeper();
  });
}

// What the query doors find beyond the store. Its scopes say that it was not kept.
Result<StoredTrace> Daemon::trace_of_the_past(const TraceId& id) const {
  StoredTrace out;
  out.id = id;
  if (past_ == nullptr) return out;
  // Segments without an index are read whole.
  const TimePoint until = monotonic_now() + config_.queries.timeout;
  Result<PastTrace> found = past_->find(id, [&] { return monotonic_now() >= until; });
  if (!found) return tl::unexpected(found.error());
  if (found->no_room) return fail(ErrorKind::kUnavailable, "there is no memory for the trace now; try again later");
  if (found->cut && found->spans == 0) {
    return fail(ErrorKind::kUnavailable,
                "the journal has no index of its ids yet, and to read it takes longer than "
                "web.queries.timeout; try again");
  }
  if (found->spans == 0) return out;
  const std::optional<Explanation> explained = explanations_->explain(id);
  const bool decided = explained && explained->decided;
  const std::string_view verdict = decided     ? kDecisionNames[static_cast<std::size_t>(explained->verdict.decision)]
                                   : explained ? std::string_view("open")
                                               : std::string_view("unknown");
  return stored_of_past(id, std::move(*found), verdict);
}

Result<PastTried> Daemon::try_past_of_journal(const PastQuestion& question) const {
  PastRunOptions options;
  options.directory = config_.journal.directory;
  options.extent = [this] { return journal_->extent(); };
  options.store = parts_.store;
  options.bytes_max = config_.queries.bytes_max;
  Charge charge(*parts_.budget, Holder::kTraces);
  const std::size_t memory = take_memory(charge, config_.queries.trial_bytes_max);
  if (memory == 0) return fail(ErrorKind::kUnavailable, "there is no memory for it now; try again later");
  return try_past(question, std::move(options), memory);
}

// A trace may wait for a member too (Members::awaited()).
Duration Daemon::open_longest() const {
  return config_.journal.hold + (config_.cluster ? config_.cluster->hold + 2 * kCatchUp : Duration::zero());
}

// What is open is left to the next process only when the journal has all of it. In the middle of a replay that is so,
// and traces may have more spans in the part that was not read.
bool Daemon::hands_over() const {
  if (journal_ == nullptr) return false;
  const TimePoint until = monotonic_now() + kLastCommit;
  while (journal_->waiting() && monotonic_now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  if (replay_ != nullptr && !replay_->done()) {
    log_info("the replay is not over: what is open is left to the next process");
    return true;
  }
  if (!config_.hand_over) return false;
  if (!journal_->waiting() && !journal_->misses_since(monotonic_now() - open_longest())) return true;
  log_warn("the journal does not have all that is open, so it is decided as it is");
  return false;
}

void Daemon::collect_journal(MetricWriter& out) const {
  const Journal::Stats s = journal_->stats();
  const JournalReplay::Stats replay = replay_ != nullptr ? replay_->stats() : JournalReplay::Stats();
  out.add(metric::kJournalBytes, {}, number(s.bytes));
  out.add(metric::kJournalSegments, {"needed"}, number(s.unsettled));
  out.add(metric::kJournalSegments, {"retained"}, number(s.segments - s.unsettled));
  out.add(metric::kJournalSegments, {"unreadable"}, number(s.unreadable + (replay.unread ? 1 : 0)));
  const std::uint64_t now = wall_now_ns();
  out.add(metric::kJournalOldest, {}, s.oldest_unix_ns < now ? number(now - s.oldest_unix_ns) / 1e9 : 0);
  out.add(metric::kJournalRequests, {"written"}, number(s.requests));
  out.add(metric::kJournalRequests, {"passed_by"}, number(s.passed));
  out.add(metric::kJournalParts, {"written"}, number(s.for_others));
  out.add(metric::kJournalParts, {"unsure"}, number(s.unsure));
  out.add(metric::kJournalParts, {"passed_on"}, number(s.passed_on));
  out.add(metric::kJournalRequestBytes, {}, number(s.request_bytes));
  out.add(metric::kJournalWrittenBytes, {}, number(s.written_bytes));
  out.add_histogram(metric::kJournalCommit, kCommitBounds, s.seconds, s.seconds_sum);
  out.add(metric::kJournalErrors, {"write"}, number(s.write_errors));
  out.add(metric::kJournalErrors, {"sync"}, number(s.sync_errors));
  out.add(metric::kJournalErrors, {"timeout"}, number(s.timeouts));
  out.add(metric::kJournalFailing, {}, s.takes == Journal::Takes::kRequests ? 0 : 1);
  out.add(metric::kJournalEndsLost, {}, number(s.ends_lost));
  if (keep_jobs_ != nullptr) {
    for (const auto& [reason, spans] : keep_jobs_->spans_kept())
      out.add(metric::kSpansKeptAfter, {reason}, number(spans));
  }
  out.add(metric::kJournalReplayBytes, {}, number(replay.bytes_left));
  out.add(metric::kJournalReplayed, {"replayed"}, number(replay.requests));
  out.add(metric::kJournalReplayed, {"failed"}, number(replay.unreplayed_requests));
  out.add(metric::kJournalDamaged, {}, number(replay.damaged));
}

}  // namespace tailgate
