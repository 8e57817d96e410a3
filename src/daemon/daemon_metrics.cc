// SPDX-License-Identifier: Apache-2.0
// Daemon: what it answers /metrics with.
#include <map>
#include <set>

#include "base/version.h"
#include "daemon/daemon.h"

namespace tailgate {
namespace {

void collect_log(const std::string& name, const LogStats& log, MetricWriter& out) {
  out.add(metric::kKafkaMember, {name}, log.member ? 1 : 0);
  out.add(metric::kKafkaPaused, {name}, log.paused ? 1 : 0);
  out.add(metric::kKafkaRecords, {name}, number(log.records));
  for (std::size_t i = 0; i < kPoisonReasonNames.size(); ++i)
    out.add(metric::kKafkaPoison, {name, kPoisonReasonNames[i]}, number(log.poison[i]));
  out.add(metric::kKafkaLettersFailed, {name}, number(log.letters_failed));
  out.add(metric::kKafkaRebalances, {name, "assigned"}, number(log.assigned));
  out.add(metric::kKafkaRebalances, {name, "revoked"}, number(log.revoked));
  out.add(metric::kKafkaRebalances, {name, "lost"}, number(log.lost));
  out.add(metric::kKafkaCommits, {name, "success"}, number(log.commits));
  out.add(metric::kKafkaCommits, {name, "failure"}, number(log.commits_failed));
  if (log.verdicts) {
    out.add(metric::kKafkaVerdicts, {name, "written"}, number(log.verdicts_written));
    out.add(metric::kKafkaVerdicts, {name, "failed"}, number(log.verdicts_failed));
    out.add(metric::kKafkaVerdicts, {name, "read"}, number(log.verdicts_read));
    out.add(metric::kKafkaVerdicts, {name, "unreadable"}, number(log.verdicts_unreadable));
  }
  for (const LogStats::Partition& one : log.partitions) {
    const std::string partition = std::to_string(one.number);
    out.add(metric::kKafkaLag, {name, partition}, number(one.lag));
    out.add(metric::kKafkaUndecidedAge, {name, partition}, one.undecided_seconds);
    if (one.undecided >= 0) out.add(metric::kKafkaUndecidedOffset, {name, partition}, number(one.undecided));
    if (one.committed >= 0) out.add(metric::kKafkaCommittedOffset, {name, partition}, number(one.committed));
  }
}

}  // namespace

// All that have been loaded: what an earlier set has kept may still be on its way.
std::vector<std::string> Daemon::keeping_policies() const {
  const NamesTable& names = parts_.tables->names;
  const PolicySetPtr set = store_->policies();
  std::set<std::uint16_t> shadows;
  for (std::size_t i = 0; i < set->shadow_size(); ++i) shadows.insert(set->shadow_number_of(i));
  std::vector<std::string> out;
  for (std::size_t p = 1; p < names.size(); ++p) {
    const auto number = static_cast<std::uint16_t>(p);
    if (!shadows.contains(number)) out.push_back(names.name_of(number));
  }
  if (own_traces_ != nullptr) out.emplace_back(kOwnPolicy);
  return out;
}

std::string Daemon::metrics_text() const {
  MetricWriter out;
  collect(out);
  return out.text();
}

void Daemon::collect(MetricWriter& out) const {
  // The order matters: a span is refused only after it was not taken, so each side of the law comes from one snapshot.
  const Refusals::Snapshot refused = refusals_.snapshot();
  const StoreSnapshot store = store_->report().snapshot();
  collect_sources(refused, store.totals, out);
  store_->report().collect(store, out);
  parts_.exporters->collect(out, keeping_policies());
  out.add(metric::kMemoryLimit, {}, number(config_.sampling.memory_limit));
  for (std::size_t h = 0; h < kHolderNames.size(); ++h) {
    if (parts_.budget->cap(static_cast<Holder>(h)) == 0) continue;  // connections, where there is no TLS
    out.add(metric::kMemoryBudget, {kHolderNames[h]}, number(parts_.budget->cap(static_cast<Holder>(h))));
    out.add(metric::kMemoryUsed, {kHolderNames[h]}, number(parts_.budget->used(static_cast<Holder>(h))));
  }
  collect_receivers(out);
  collect_pages(out);
  std::uint64_t replayed = 0;
  if (replayed_ < kSourcesMax) {
    replayed = store.totals.received[replayed_];
    if (const auto passed = refused.received.find(replayed_); passed != refused.received.end())
      replayed += passed->second;  // to members of the cluster
  }
  out.add(metric::kSpansReplayed, {}, number(replayed));
  out.add(metric::kSpansToMembers, {}, number(refused.sent_to_members));
  if (journal_ != nullptr) collect_journal(out);
  if (cluster_ != nullptr) cluster_->collect(out);
  {
    const MutexLock lock(status_mutex_);
    out.add(metric::kConfigReloads, {"success"}, number(reloads_ok_));
    out.add(metric::kConfigReloads, {"failure"}, number(reloads_failed_));
  }
  if (own_traces_ != nullptr) {
    const OwnTraces::Stats own = own_traces_->stats();
    out.add(metric::kOwnSpans, {"queued"}, number(own.queued));
    out.add(metric::kOwnSpans, {"dropped"}, number(own.dropped));
  }
  collect_signals(out);
  collect_head(out);
  process_.collect(out);
  out.add(metric::kBuildInfo, {build_version(), build_commit(), build_compiler()}, 1);
}

// Spans and requests, by receiver.
void Daemon::collect_sources(const Refusals::Snapshot& refused, const BufferCounters& taken, MetricWriter& out) const {
  // Read before the sources are copied, because receivers that start may add more of them.
  const Oddities::Snapshot oddities = oddities_.snapshot();
  std::vector<Source> sources;
  {
    const MutexLock lock(status_mutex_);
    sources = sources_;
  }
  std::map<std::pair<std::string, std::string>, std::uint64_t> received, spans, requests;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    auto& sum = received[{sources[i].receiver, sources[i].format}];
    sum += taken.received[i];
    if (const auto it = refused.received.find(static_cast<SourceId>(i)); it != refused.received.end())
      sum += it->second;
  }
  for (const auto& [key, count] : refused.spans) spans[{sources[key.first].receiver, key.second}] += count;
  for (const auto& [key, count] : refused.requests) requests[{sources[key.first].receiver, key.second}] += count;
  for (const auto& [key, count] : received) out.add(metric::kSpansReceived, {key.first, key.second}, number(count));
  for (const auto& [key, count] : spans) out.add(metric::kSpansRefused, {key.first, key.second}, number(count));
  for (const auto& [key, count] : requests) out.add(metric::kRequestsRefused, {key.first, key.second}, number(count));
  std::map<std::string, Oddities::Counts> odd;
  for (const auto& [source, counts] : oddities) {
    Oddities::Counts& sum = odd[sources[source].receiver];
    sum.repaired_texts += counts.repaired_texts;
    sum.requests_without_spans += counts.requests_without_spans;
  }
  for (const auto& [receiver, counts] : odd) {
    out.add(metric::kTextsRepaired, {receiver}, number(counts.repaired_texts));
    out.add(metric::kRequestsWithoutSpans, {receiver}, number(counts.requests_without_spans));
  }
}

void Daemon::collect_receivers(MetricWriter& out) const {
  // Pages are open before receivers are, and a receiver's start() makes what its stats() reads.
  const std::size_t started = receivers_started_;
  for (std::size_t r = 0; r < started; ++r) {
    const std::unique_ptr<Receiver>& receiver = parts_.receivers[r];
    const ReceiverStats stats = receiver->stats();
    for (std::size_t i = 0; stats.udp && i < kUdpDropNames.size(); ++i) {
      out.add(metric::kUdpDropped, {kUdpDropNames[i]}, number(stats.udp_dropped[i]));
    }
    for (std::size_t i = 0; stats.clients && i < kClientLossNames.size(); ++i) {
      out.add(metric::kClientLostSpans, {receiver->name(), kClientLossNames[i]}, number(stats.client_lost_spans[i]));
    }
    if (stats.clients) out.add(metric::kClientLostBatches, {receiver->name()}, number(stats.client_lost_batches));
    if (stats.log) {
      collect_log(receiver->name(), *stats.log, out);
      continue;  // it has no connections of others
    }
    out.add(metric::kConnections, {receiver->name()}, number(stats.connections));
    for (std::size_t i = 0; i < kCloseWhyNames.size(); ++i) {
      out.add(metric::kConnectionsClosed, {receiver->name(), kCloseWhyNames[i]}, number(stats.closed[i]));
    }
  }
}

void Daemon::collect_signals(MetricWriter& out) const {
  if (signals_ == nullptr) return;
  if (const SpanMetrics* const metrics = signals_->span_metrics()) {
    const SpanMetrics::Stats stats = metrics->stats();
    out.add(metric::kSpanMetricsSeries, {}, number(stats.series));
    out.add(metric::kSpanMetricsOverflow, {}, number(stats.overflow_spans));
    out.add(metric::kSpanMetricsExpired, {}, number(stats.expired_series));
    out.add(metric::kSpanMetricsIdNames, {}, number(stats.id_names));
    out.add(metric::kExemplars, {}, number(stats.exemplars.held));
    out.add(metric::kExemplarsSkipped, {"rate"}, number(stats.exemplars.passed_by));
    out.add(metric::kExemplarsSkipped, {"full"}, number(stats.exemplars.given_way));
  }
  if (const ServiceGraph* const graph = signals_->service_graph()) {
    const ServiceGraph::Stats stats = graph->stats();
    out.add(metric::kServiceGraphEdges, {}, number(stats.edges));
    out.add(metric::kServiceGraphExpired, {}, number(stats.expired_edges));
    out.add(metric::kServiceGraphOverflow, {}, number(stats.overflow_requests));
    out.add(metric::kServiceGraphUnlisted, {}, number(stats.unlisted));
    out.add(metric::kServiceGraphWaiting, {}, number(stats.waiting));
    out.add(metric::kServiceGraphUnpaired, {"expired"}, number(stats.expired));
    out.add(metric::kServiceGraphUnpaired, {"repeated"}, number(stats.replaced));
    out.add(metric::kServiceGraphUnpaired, {"full"}, number(stats.dropped_full));
    out.add(metric::kServiceGraphUnpaired, {"names"}, number(stats.dropped_names));
  }
}

void Daemon::collect_head(MetricWriter& out) const {
  if (head_ == nullptr) return;
  for (const auto& [protocol, polls] :
       {std::pair("http", head_->polls_http()), std::pair("grpc", head_->polls_grpc())}) {
    for (std::size_t i = 0; i < kPollResultNames.size(); ++i) {
      out.add(metric::kSamplingPolls, {protocol, kPollResultNames[i]}, number(polls[i]));
    }
  }
  if (!head_->is_adaptive()) return;
  const AdaptiveSampler::Stats stats = head_->stats();
  out.add(metric::kAdaptiveServices, {}, number(stats.services));
  out.add(metric::kAdaptiveOperations, {}, number(stats.operations));
  out.add(metric::kAdaptiveRaised, {}, number(stats.raised));
  out.add(metric::kAdaptiveOverflow, {}, number(stats.overflow_roots));
}

void Daemon::collect_pages(MetricWriter& out) const {
  for (const auto& [page, pages] : {std::pair("metrics", &metrics_page_), std::pair("health", &health_pages_),
                                    std::pair("web", &web_pages_), std::pair("sampling", &sampling_pages_)}) {
    if (pages == &sampling_pages_ && head_ == nullptr) continue;
    for (const auto& [reason, count] : pages->refused()) {
      out.add(metric::kPageRequestsRefused, {page, reason}, number(count));
    }
  }
  QueryPool::Stats queries = query_pool_->stats();
  if (member_pool_ != nullptr) queries.add(member_pool_->stats());
  for (const auto& [result, count] : {std::pair("done", queries.done), std::pair("cancelled", queries.cancelled),
                                      std::pair("failed", queries.failed), std::pair("refused", queries.refused)}) {
    out.add(metric::kQueries, {result}, number(count));
  }
  out.add(metric::kSearchesCut, {}, number(queries.cut));
  out.add(metric::kSearchesDamaged, {}, number(queries.damaged));
  out.add(metric::kQueriesWaiting, {}, number(queries.waiting));
  const MutexLock lock(status_mutex_);
  for (const auto& server : page_servers_) {
    const ServerStats stats = server->stats();
    out.add(metric::kPageConnections, {server->name()}, number(stats.connections));
    for (std::size_t i = 0; i < kCloseWhyNames.size(); ++i) {
      out.add(metric::kPageConnectionsClosed, {server->name(), kCloseWhyNames[i]}, number(stats.closed[i]));
    }
  }
}

}  // namespace tailgate
