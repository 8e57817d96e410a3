// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <fmt/format.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/units.h"
#include "daemon/policy_trial.h"
#include "telemetry/log.h"
#include "web/fleet/fleet_store.h"
#include "web/jaeger/doors.h"
#include "web/page.h"
#include "web/sampling.h"
#include "web/service_map.h"
#include "web/tempo/door.h"
#include "web/try_page.h"

namespace tailgate {
namespace {

// What came out of a journal arrived no earlier than this before now, or counts as if it had.
constexpr Duration kOldestReplay = std::chrono::hours(24 * 7);

// Waits up to half a second for one of `signals`; 0 when none came.
int wait_signal(const sigset_t& signals) {
  const timespec half_a_second{0, 500'000'000};
  const int got = sigtimedwait(&signals, nullptr, &half_a_second);
  return got > 0 ? got : 0;
}

}  // namespace

Daemon::Daemon(DaemonConfig config, Assembly parts, ConfigSource source)
    : config_(std::move(config)),
      parts_(std::move(parts)),
      source_(std::move(source)),
      watched_files_(config_.watched_files()),
      watch_({source_.path}, watched_files_),
      has_policies_(!config_.sampling.policies.empty()),
      notices_(messages(config_.issues->notices)),
      written_(written_policies(config_.sampling)),
      origin_(monotonic_now() - (config_.journal.directory.empty() ? Duration::zero() : kOldestReplay)) {
  parts_.budget->charge(Holder::kCaches,
                        config_.sampling.cache_bytes + config_.sampling.explain_bytes + config_.sampling.signal_bytes);
  parts_.store.limits.wall_at_origin_ns =
      wall_now_ns() - static_cast<std::uint64_t>((monotonic_now() - origin_).count());
  if (config_.signals.any()) signals_ = std::make_unique<Signals>(config_.signals, random_seed(), monotonic_now());
  if (config_.remote_sampling) {
    head_ =
        std::make_unique<HeadSampling>(*config_.remote_sampling, config_.signals.parts, random_seed(), monotonic_now());
  }
  sink_ = std::make_unique<ExporterSink>(*parts_.exporters, signals_.get(), head_.get());
  store_ = std::make_unique<TraceStore>(parts_.store, *parts_.budget, parts_.policies, *parts_.tables, *sink_,
                                        random_seed(), origin_);
  target_ = std::make_unique<StoreTarget>(*store_);
  metrics_page_.add("/metrics", [this](const RequestHead&) {
    Response response;
    response.headers.emplace_back("content-type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics_text();
    return response;
  });
  if (signals_ != nullptr) {
    add_span_metrics_page();
  }
  health_pages_.add("/health", [](const RequestHead&) { return plain_response(200, "alive"); });
  health_pages_.add("/ready", [this](const RequestHead&) { return ready(); });
  explanations_ = std::make_unique<StoreExplanations>(*store_, parts_.tables->names);
  if (config_.cluster) {
    cluster_ = std::make_unique<ClusterLink>(
        *config_.cluster, ClusterParts{*parts_.budget, *store_, *parts_.tables, *sink_, parts_.exporters->names(),
                                       [this] { return replay_ == nullptr || replay_->done(); }, head_.get()});
  }
  ExplainPageOptions explain{.exporters = parts_.exporters->names(), .remembers = config_.sampling.explain_bytes != 0};
  if (cluster_ != nullptr) {
    add_explain_pages(member_pages_, *explanations_, explain);
    explain.others = cluster_->others();
    add_cluster_page(web_pages_, [this] { return cluster_->status(); });
  }
  add_explain_pages(web_pages_, *explanations_, std::move(explain));
  add_page(web_pages_);
  // Other machines have names for an endpoint beyond loopback; a browser sends no credentials to a name of another
  // site.
  const Result<Endpoint> web = parse_endpoint(config_.web.endpoint);
  if (!config_.web_hosts.empty() || (web && is_loopback_host(web->host) && !config_.web.auth)) {
    web_pages_.answer_only_to(config_.web_hosts);
  }
  stored_ = parts_.exporters->stored();
  if (config_.journal.retain > Duration::zero()) {
    if (stored_ == nullptr) stored_ = std::make_shared<StoreReader>(no_partitions());
    stored_->also_ask([this](const TraceId& id) { return trace_of_the_past(id); });
  }
  query_pool_ = std::make_unique<QueryPool>(
      QueryPoolOptions{.threads = config_.queries.threads, .waiting_max = config_.queries.waiting_max});
  SearchLimits limits = {.time_max = config_.queries.timeout,
                         .bytes_max = config_.queries.bytes_max,
                         .dependencies_max = config_.queries.dependencies_max,
                         .ended = [pool = query_pool_.get()](const SearchOutcome& outcome) {
                           pool->count_search(!outcome.cut.empty(), !outcome.damaged_files.empty());
                         }};
  const bool fleet = config_.cluster && config_.cluster->fleet_search;
  if (fleet) search_all_members(limits);
  TraceApiOptions traces{.store = stored_, .limits = limits, .exporters = parts_.exporters->names()};
  if (fleet) traces.explained_elsewhere = explained_by(cluster_->others());
  add_trace_api(web_pages_, *query_pool_, *explanations_, std::move(traces));
  add_jaeger_doors(web_pages_, *query_pool_, {.store = stored_, .limits = limits}, calls_of(signals_.get()));
  add_tempo_door(web_pages_, *query_pool_, {.store = stored_, .limits = limits});
  const bool past = config_.journal.retain > Duration::zero();
  add_try_page(
      web_pages_, *query_pool_,
      {.store = stored_,
       .past = past ? [this](const PastQuestion& question) { return try_past_of_journal(question); } : TryPast(),
       .time_max = config_.queries.timeout,
       .bytes_max = config_.queries.trial_bytes_max},
      [limits = parts_.store.limits](std::string_view form, const std::string& text) {
        return make_policy_trial(form, text, limits);
      });
  add_service_map_api(web_pages_, [this] { return service_map(signals_.get()); });
  if (head_ != nullptr) add_sampling_pages(sampling_pages_, sampling_answers(*head_));
  add_api(
      web_pages_, [this] { return metrics_text(); }, [this] { return loaded_policies(); }, past);
}

Daemon::~Daemon() {
  // Front to back; start() may have stopped at any step.
  for (const auto& receiver : parts_.receivers) receiver->stop(Duration::zero());
  std::vector<std::unique_ptr<Server>> pages;  // ended outside the lock: a scrape on its way takes it
  {
    const MutexLock lock(status_mutex_);
    pages.swap(page_servers_);
  }
  pages.clear();
  if (cluster_) cluster_->stop();
  if (io_threads_) io_threads_->stop();
  if (page_threads_) page_threads_->stop();
  member_pool_.reset();  // their threads read the past
  query_pool_.reset();
  if (replay_) replay_->stop();
  if (keep_jobs_) keep_jobs_->stop();
  if (past_) past_->stop();
  if (journal_) journal_->stop();  // it calls receivers back
  parts_.receivers.clear();        // their sockets and timers belong to io_threads_, which ends before parts_
  sweeper_.reset();
  // An exporter's thread may hand a span of ours to another exporter, so all threads end before the first exporter
  // goes.
  parts_.exporters->drain(TimePoint{}, TimePoint{});
}

// Spans of our own: of exports that are over, reloads and sweeps, if they were slow or failed.
void Daemon::watch_own_operations() {
  if (parts_.own_traces.exporters == 0) return;
  own_traces_ = std::make_unique<OwnTraces>(parts_.own_traces, *parts_.budget, [this](const KeptTracePtr& span) {
    parts_.exporters->push(span, monotonic_now());
  });
  parts_.exporters->observe(
      [this](const std::string& exporter, const BatchEnd& end, std::string_view detail, TimePoint now) {
        // Never about a batch that has such a span in it: each span would make the next one.
        if (end.own || !own_traces_->wants(now - end.first_try, end.failed.has_value())) return;
        OwnOperation export_of{"export", end.first_try, now, "", {}};
        if (end.failed)
          export_of.failure = fmt::format("{}: {}", kFailReasonNames[static_cast<std::size_t>(*end.failed)], detail);
        export_of.attributes = {{"tailgate.exporter", exporter},
                                {"tailgate.attempts", std::uint64_t{end.attempts}},
                                {"tailgate.spans", end.spans},
                                {"tailgate.bytes", end.bytes}};
        note(export_of);
      });
}

void Daemon::note(const OwnOperation& operation) { own_traces_->note(operation, monotonic_now(), wall_now_ns()); }

std::vector<LoadedPolicy> Daemon::loaded_policies() const {
  const MutexLock lock(status_mutex_);
  std::vector<LoadedPolicy> out;
  for (const WrittenPolicies::Entry& one : written_.entries) out.push_back({one.name, one.text});
  return out;
}

void Daemon::log_in_force() const {
  std::vector<std::string> policies, receivers;
  for (LoadedPolicy& one : loaded_policies()) policies.push_back(std::move(one.name));
  for (const auto& one : parts_.receivers) receivers.emplace_back(one->name());
  log_info("in force", {{"memory_limit", format_bytes(config_.sampling.memory_limit)},
                        {"memory_limit_is", config_.sampling.memory_limit_is},
                        {"policies", policies.size()},
                        {"policy_names", listed(policies)},
                        {"receivers", listed(receivers)},
                        {"exporters", listed(parts_.exporters->names())}});
}

Result<void> Daemon::start() {
  log_in_force();
  watch_own_operations();
  if (head_ != nullptr) {
    if (Result<void> loaded = head_->load(monotonic_now()); !loaded) {
      if (loaded.error().kind == ErrorKind::kIo) return loaded;
      log_warn("what adaptive sampling had learnt is damaged; it begins anew", {{"error", loaded.error().text}});
    }
  }
  if (Result<void> opened = parts_.exporters->start(); !opened) return opened;
  page_threads_ = std::make_unique<IoThreads>(1, "pages");
  page_threads_->start();
  io_threads_ = std::make_unique<IoThreads>(config_.io_threads);
  io_threads_->start();
  if (Result<void> opened = open_journal(); !opened) return opened;
  open_reread_link();
  ingest_ = std::make_unique<IngestPipeline>(*target_, refusals_, span_watch(), journal_link_.get(),
                                             cluster_ != nullptr ? cluster_->forwarder() : nullptr);
  if (replay_ == nullptr) start_sweeper();
  if (cluster_ != nullptr) start_cluster();

  if (Result<void> opened = open_pages(); !opened) return opened;
  ReceiverContext context;
  context.threads = io_threads_.get();
  context.budget = parts_.budget.get();
  context.tls_connections = parts_.tls_connections;
  context.ingest = [this](SourceId by, ByteView otlp, Client* client) { return ingest_->accept(by, otlp, client); };
  context.source = [this](std::string_view receiver, std::string_view format) {
    const MutexLock lock(status_mutex_);
    INVARIANT(sources_.size() < kSourcesMax);  // assemble() has counted
    sources_.push_back({std::string(receiver), std::string(format)});
    const auto source = static_cast<SourceId>(sources_.size() - 1);
    if (journal_link_ != nullptr) journal_link_->add_source(source, sources_.back());
    refusals_.begin(source);
    oddities_.begin(source);
    return source;
  };
  context.refused = [this](SourceId by, RefusalReason reason) { refusals_.request(by, reason); };
  context.odd = [this](SourceId by, Oddity what, std::uint64_t count) { oddities_.add(by, what, count); };
  context.log_refused = [this](SourceId by, RefusalReason reason, std::string_view peer, std::string_view text) {
    log_refused(by, reason.name, peer, text);
  };
  context.notice = [](std::string_view text) { log_warn(text); };
  if (head_ != nullptr)
    context.sampling_strategy = [this](ByteView request) { return head_->grpc(request, monotonic_now()); };
  if (cluster_ != nullptr) {
    context.ingest_forwarded = [this](SourceId by, ByteView otlp, Client* client, const Forwarded& forwarded) {
      return ingest_->accept(by, otlp, client, forwarded);
    };
    context.cluster_message = [this](ByteView message) { return answer_member(message); };
  }
  if (reread_link_ != nullptr) {
    context.reread = [this](bool verdicts) { return reread_link_->open(*ingest_, verdicts); };
  }
  for (const auto& receiver : parts_.receivers) {
    if (Result<void> opened = receiver->start(context); !opened) return opened;
    ++receivers_started_;
    for (const std::string& endpoint : receiver->endpoints()) {
      log_info("listening", {{"receiver", receiver->name()}, {"endpoint", endpoint}});
    }
  }
  if (replay_ != nullptr) start_replay();
  serving_ = true;
  return {};
}

void Daemon::open_reread_link() {
  const bool wanted = std::any_of(parts_.receivers.begin(), parts_.receivers.end(),
                                  [](const auto& receiver) { return receiver->rereads(); });
  if (!wanted) return;
  reread_link_ = std::make_unique<RereadLink>(*parts_.budget, parts_.tables, parts_.exporters->names(), *store_,
                                              [this](std::size_t parts) { return parts_.exporters->is_short(parts); });
  store_->set_decision_log(reread_link_.get());
}

void Daemon::start_sweeper() {
  Sweeper::Watch watch_sweeps;
  if (own_traces_ != nullptr) {
    watch_sweeps = [this](TimePoint began, TimePoint ended) {
      if (own_traces_->wants(ended - began, false)) note({"sweep", began, ended, "", {}});
    };
  }
  sweeper_ = std::make_unique<Sweeper>(*store_, std::move(watch_sweeps));
}

void Daemon::run() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  sd_notify(0, "READY=1");
  log_info("ready");
  bool asked = false, was_settling = false;
  for (;;) {
    const int signal = wait_signal(signals);
    if (signal == SIGTERM || signal == SIGINT) {
      log_info("draining", {{"signal", signal}});
      break;
    }
    log_refused_of_the_minute(monotonic_now());
    log_memory_shortage(monotonic_now());
    log_id_names(monotonic_now());
    log_legacy_heads();
    if (signals_ != nullptr) signals_->tick(monotonic_now());
    if (replay_ != nullptr) replay_->tidy(monotonic_now());
    if (journal_link_ != nullptr) journal_link_->tick(monotonic_now());
    if (keep_jobs_ != nullptr) keep_jobs_->tick(wall_now_ns());
    if (head_ != nullptr) tick_head(head_->tick(monotonic_now()));
    if (signal == SIGHUP) parts_.exporters->follow_paths();
    asked |= signal == SIGHUP;
    const bool changed = watch_.changed(monotonic_now());
    if (watch_.settling() && !was_settling)
      log_info("a file of the configuration became shorter; it is read when it has stayed the same for a while",
               {{"file", watch_.shrunk()}, {"wait", format_duration(kShrunkWait)}});
    was_settling = watch_.settling();
    if (was_settling || !(changed || asked)) continue;
    asked = false;
    reload();
  }
  // Signals are unblocked in a thread of their own while this one drains, so that a second one ends the process at
  // once.
  std::thread([signals] {
    int second = 0;
    sigset_t ends = signals;
    sigdelset(&ends, SIGHUP);
    sigwait(&ends, &second);
    _exit(128 + second);
  }).detach();
  sd_notify(0, "STOPPING=1");
  drain();
  log_info("stopped");
}

void Daemon::log_legacy_heads() {
  for (const LegacyHeads::Change& one : parts_.tables->legacy_heads.take_changes()) {
    const std::string service = one.service.empty() ? "of traces without a known root" : one.service;
    if (one.legacy) {
      log_warn(
          "the SDKs of a service sample by the ratio of the trace id, so its randomness is not uniform: its traces "
          "are judged by a hash of the id and get no th",
          {{"service", service},
           {"traces", one.traces},
           {"upper_half", fmt::format("{:.3f}", one.high)},
           {"middle_half", fmt::format("{:.3f}", one.middle)}});
    } else {
      log_info("the randomness of a service's traces is uniform again, and decides again", {{"service", service}});
    }
  }
}

SpanWatch* Daemon::span_watch() {
  SpanWatch* const of_head = head_ != nullptr ? head_->watch() : nullptr;
  if (signals_ == nullptr) return of_head;
  if (of_head == nullptr) return signals_.get();
  watch_both_ = std::make_unique<BothWatches>(*signals_, *of_head);
  return watch_both_.get();
}

// Once for a row of failures.
void Daemon::tick_head(const Result<void>& ticked) {
  if (!ticked && !head_unsaved_)
    log_warn("what adaptive sampling learns cannot be saved", {{"error", ticked.error().text}});
  head_unsaved_ = !ticked;
}

void Daemon::reload() {
  const TimePoint began = monotonic_now();
  reload_now();
  if (own_traces_ == nullptr) return;
  std::string failure;
  {
    const MutexLock lock(status_mutex_);
    // The error may quote secrets in the file, and spans go to more people than the log does.
    if (reload_failed_) failure = "the configuration is not valid: see the log";
  }
  note({"reload", began, monotonic_now(), std::move(failure), {{"tailgate.config", source_.path}}});
}

void Daemon::reload_now() {
  const std::uint32_t epoch = epoch_ + 1;
  auto policies = reload_policies(source_, {parts_.context, *parts_.tables, epoch, has_policies_});
  if (watch_.shrank()) return;  // while it was read; run() waits for what becomes of it
  const MutexLock lock(status_mutex_);
  reload_failed_ = !policies;
  if (!policies) {
    ++reloads_failed_;
    for (const std::string& error : policies.error())
      log_error("policies not loaded, the ones before stay in force", {{"error", error}});
    return;
  }
  epoch_ = epoch;
  has_policies_ = policies->any;
  for (const std::string& notice : policies->notices) {
    if (std::find(notices_.begin(), notices_.end(), notice) == notices_.end()) log_warn(notice);
  }
  notices_ = std::move(policies->notices);
  store_->set_policies(policies->policies);
  if (policies->patterns != watched_files_) {
    watched_files_ = policies->patterns;
    watch_ = FileWatch({source_.path}, policies->patterns);
  }
  if (cluster_ != nullptr && !policies->members.empty()) cluster_->cluster().set_list(std::move(policies->members));
  if (head_ != nullptr && policies->strategies != nullptr && head_->set_strategies(policies->strategies)) {
    log_info("sampling strategies loaded", {{"services", head_->strategies()->services()}});
  }
  ++reloads_ok_;
  const PolicyChanges changes = compare(written_, policies->written);
  written_ = std::move(policies->written);
  if (changes.any()) {
    log_info("policies loaded", {{"file", changes.files.empty() ? source_.path : changes.files},
                                 {"added", changes.added},
                                 {"changed", changes.changed},
                                 {"removed", changes.removed}});
  } else {
    log_info("policies loaded, none of them changed", {{"file", source_.path}});
  }
  std::string changed;
  std::map<std::string, std::string> paths = config_.at_start;
  paths.insert(policies->at_start.begin(), policies->at_start.end());
  for (const auto& [path, ignored] : paths) {
    const auto before = config_.at_start.find(path);
    const auto now = policies->at_start.find(path);
    const bool same =
        before != config_.at_start.end() && now != policies->at_start.end() && before->second == now->second;
    if (!same) changed += (changed.empty() ? "" : ", ") + path;
  }
  if (!changed.empty() && changed != wants_restart_) {
    log_warn("changed, and not in force before a restart", {{"keys", changed}});
  }
  wants_restart_ = std::move(changed);
}

Response Daemon::ready() const {
  if (!serving_) return plain_response(503, "not ready");
  const MutexLock lock(status_mutex_);
  // Anyone may ask: no keys or values of the configuration, which may come from the environment.
  std::string text = "ready";
  if (!wants_restart_.empty()) text += "; a changed key needs a restart: see the log";
  if (parts_.exporters->found_damaged_queue()) text += "; a durable queue was damaged and set aside: see the log";
  if (journal_ != nullptr && journal_->takes() != Journal::Takes::kRequests)
    text += "; the journal cannot be written: see the log";
  if (replay_ != nullptr && replay_->stats().unread) text += "; a file of the journal cannot be read: see the log";
  if (reload_failed_) text += "; the last change of policies was not loaded: see the log";
  return plain_response(200, text);
}

}  // namespace tailgate
