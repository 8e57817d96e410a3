// SPDX-License-Identifier: Apache-2.0
// Daemon: builds the pipeline back to front, and starts, reloads, drains and stops it.
//
//   receivers -> IngestPipeline -> TraceStore (<- Sweeper) -> Exporters          metrics, health: pages of their own
//
// Threads: the main thread makes it, calls run() and destroys it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "buffer/store/memory_shortage.h"
#include "buffer/store/sweeper.h"
#include "config/file_watch.h"
#include "daemon/cluster_link.h"
#include "daemon/journal/journal_replay.h"
#include "daemon/journal/keep_jobs.h"
#include "daemon/pipeline.h"
#include "daemon/policy_trial.h"
#include "daemon/reread_link.h"
#include "head/head_sampling.h"
#include "net/io_threads.h"
#include "net/server/server.h"
#include "settings/assembly.h"
#include "signals/signals.h"
#include "telemetry/process.h"
#include "telemetry/refusal_log.h"
#include "web/api.h"
#include "web/pages.h"
#include "web/query_pool.h"
#include "web/trace_api.h"

namespace tailgate {

class Daemon {
 public:
  Daemon(DaemonConfig config, Assembly parts, ConfigSource source);
  ~Daemon();

  // Opens exporters, then pages, then receivers. Errors: kIo (cannot bind or open), kConfig.
  Result<void> start();

  // Serves until SIGTERM or SIGINT, looking for changed policies each second and on SIGHUP. The signals must be blocked
  // in every thread. A second signal while draining ends the process at once with 128 + its number.
  void run();

 private:
  void collect(MetricWriter& out) const;
  void collect_sources(const Refusals::Snapshot& refused, const BufferCounters& taken, MetricWriter& out) const;
  void collect_receivers(MetricWriter& out) const;
  void collect_pages(MetricWriter& out) const;
  void collect_signals(MetricWriter& out) const;
  void collect_journal(MetricWriter& out) const;
  Result<void> open_journal();
  void make_replay();
  void start_replay();
  void open_reread_link();
  void start_cluster();
  void start_sweeper();
  void add_past_pages();
  void add_span_metrics_page();
  void search_all_members(SearchLimits& limits);
  Result<Response> answer_member(ByteView message);
  Result<StoredTrace> trace_of_the_past(const TraceId& id) const;
  Result<PastTried> try_past_of_journal(const PastQuestion& question) const;
  void collect_head(MetricWriter& out) const;
  Result<void> open_pages();
  std::vector<std::string> keeping_policies() const;
  std::string metrics_text() const;
  Response ready() const;
  void watch_own_operations();
  void note(const OwnOperation& operation);
  void reload();
  void reload_now();
  void drain();
  bool hands_over() const;
  Duration open_longest() const;  // a trace, before it is decided
  std::vector<LoadedPolicy> loaded_policies() const;
  void log_in_force() const;
  void log_refused(SourceId by, std::string_view reason, std::string_view peer, std::string_view text);
  void log_refused_of_the_minute(TimePoint now);
  void log_memory_shortage(TimePoint now);
  void log_id_names(TimePoint now);
  void log_legacy_heads();
  SpanWatch* span_watch();
  void tick_head(const Result<void>& ticked);

  std::unique_ptr<OwnTraces> own_traces_;  // null: off. Outlives the exporters, whose threads report to it
  // Null without `journal:`. Both outlive the exporters, whose queues hold traces that report to them.
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<JournalLink> journal_link_;
  std::unique_ptr<RereadLink> reread_link_;  // null: no receiver rereads(). Likewise
  const DaemonConfig config_;
  Assembly parts_;
  const ConfigSource source_;
  std::vector<std::string> watched_files_;  // as the configuration in force names them
  FileWatch watch_;
  bool has_policies_;
  std::vector<std::string> notices_;  // of the policies in force, as the next
  std::atomic<bool> serving_{false};
  std::atomic<std::size_t> receivers_started_{0};  // the first so many of parts_.receivers
  std::uint32_t epoch_ = 1;
  std::uint64_t reloads_ok_ TAILGATE_GUARDED_BY(status_mutex_) = 0;
  std::uint64_t reloads_failed_ TAILGATE_GUARDED_BY(status_mutex_) = 0;
  bool reload_failed_ TAILGATE_GUARDED_BY(status_mutex_) = false;  // the last one
  std::string wants_restart_ TAILGATE_GUARDED_BY(status_mutex_);   // paths that changed since the start
  mutable Mutex status_mutex_;
  WrittenPolicies written_ TAILGATE_GUARDED_BY(status_mutex_);

  std::vector<Source> sources_ TAILGATE_GUARDED_BY(status_mutex_);
  Refusals refusals_;
  Oddities oddities_;
  RefusalLog refusal_log_;
  MemoryShortage memory_shortage_;
  TimePoint id_names_logged_{};
  bool head_unsaved_ = false;              // the last attempt failed
  std::unique_ptr<Signals> signals_;       // null: off
  std::unique_ptr<HeadSampling> head_;     // null: off
  std::unique_ptr<SpanWatch> watch_both_;  // signals_ and head_, where both watch
  SourceId replayed_ = kSourcesMax;        // of spans that come out of the journal
  const TimePoint origin_;                 // of the store
  std::unique_ptr<ExporterSink> sink_;
  std::unique_ptr<TraceStore> store_;
  std::unique_ptr<StoreTarget> target_;
  std::unique_ptr<StoreExplanations> explanations_;
  std::unique_ptr<ClusterLink> cluster_;  // null: off
  std::unique_ptr<IngestPipeline> ingest_;
  std::shared_ptr<StoreReader> stored_;  // null: nothing is. In a cluster: by all members
  const ProcessMetrics process_;
  Pages metrics_page_, health_pages_, web_pages_, sampling_pages_;
  Pages member_pages_;  // what other members of a cluster ask of this one
  std::unique_ptr<QueryPool> query_pool_;
  std::function<PageAnswer(std::string_view question, const LaterAnswer& answer)> answers_members_;  // by the next
  std::unique_ptr<QueryPool> member_pool_;  // of other members' questions about what is stored here
  std::unique_ptr<QueryPool> scrape_pool_;  // of /metrics/spans; null: there is none
  std::unique_ptr<IoThreads> page_threads_;
  std::unique_ptr<IoThreads> io_threads_;
  std::vector<std::unique_ptr<Server>> page_servers_ TAILGATE_GUARDED_BY(status_mutex_);
  std::unique_ptr<Sweeper> sweeper_;
  std::unique_ptr<JournalPast> past_;  // null: the journal retains nothing, likewise the next
  std::unique_ptr<KeepJobs> keep_jobs_;
  std::unique_ptr<JournalReplay> replay_;  // null: nothing was open. Its end starts the sweeper
};

}  // namespace tailgate
