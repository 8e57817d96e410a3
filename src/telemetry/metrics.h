// SPDX-License-Identifier: Apache-2.0
// The table of metrics: every series the daemon exposes, in one place. docs/metrics.md has a row for each, and a test
// compares them. Components count in plain integers of their own; at a scrape each writes what it has to a
// MetricWriter.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tailgate {

enum class MetricType { kCounter, kGauge, kHistogram };

struct Metric {
  std::string_view name;
  MetricType type;
  std::string_view labels;  // comma separated, in the order of the values given to MetricWriter
  std::string_view help;
};

namespace metric {
using enum MetricType;
inline constexpr Metric kSpansReceived{"tailgate_spans_received_total", kCounter, "receiver,format",
                                       "Spans of every request that could be parsed."};
inline constexpr Metric kReceivedBytes{"tailgate_received_bytes_total", kCounter, "",
                                       "Span bytes of the spans received, without those refused."};
inline constexpr Metric kSpansReplayed{"tailgate_spans_replayed_total", kCounter, "",
                                       "Spans that came out of the journal of an earlier process."};
inline constexpr Metric kSpansHandedOver{"tailgate_spans_handed_over_total", kCounter, "",
                                         "Spans left undecided in the journal, or to other members of the cluster."};
inline constexpr Metric kSpansForgotten{"tailgate_spans_forgotten_total", kCounter, "",
                                        "Undecided spans of partitions that another consumer reads again."};
inline constexpr Metric kSpansToMembers{"tailgate_spans_sent_to_members_total", kCounter, "",
                                        "Spans handed to the queues of other members of the cluster."};
inline constexpr Metric kSpansRefused{"tailgate_spans_refused_total", kCounter, "receiver,reason",
                                      "Spans refused, by the limit or check that refused them."};
inline constexpr Metric kSpansForwarded{"tailgate_spans_forwarded_total", kCounter, "",
                                        "Spans of kept traces handed to the exporters' queues, counted once."};
inline constexpr Metric kSpansNotSampled{"tailgate_spans_not_sampled_total", kCounter, "",
                                         "Spans of traces that no policy kept."};
inline constexpr Metric kSpansDropped{"tailgate_spans_dropped_total", kCounter, "",
                                      "Spans of traces that a drop policy dropped."};
inline constexpr Metric kSpansShed{"tailgate_spans_shed_total", kCounter, "reason",
                                   "Spans of kept traces that could not be handed to any exporter."};
inline constexpr Metric kRequestsRefused{"tailgate_requests_refused_total", kCounter, "receiver,reason",
                                         "Requests refused, bodies that do not parse included."};
inline constexpr Metric kTextsRepaired{"tailgate_texts_repaired_total", kCounter, "receiver",
                                       "Texts of requests that were not Unicode and were repaired."};
inline constexpr Metric kRequestsWithoutSpans{"tailgate_requests_without_spans_total", kCounter, "receiver",
                                              "Requests that were taken and held something, but no span."};
inline constexpr Metric kPageRequestsRefused{"tailgate_page_requests_refused_total", kCounter, "page,reason",
                                             "Requests for the daemon's own pages that were refused."};
inline constexpr Metric kUdpDropped{"tailgate_udp_dropped_total", kCounter, "reason",
                                    "Datagrams that gave no spans, by what dropped them."};
inline constexpr Metric kClientLostBatches{"tailgate_client_lost_batches_total", kCounter, "receiver",
                                           "Batches that Jaeger clients numbered and that never came."};
inline constexpr Metric kClientLostSpans{"tailgate_client_lost_spans_total", kCounter, "receiver,reason",
                                         "Spans that Jaeger clients say they lost before sending them."};
inline constexpr Metric kLateErrorSpans{"tailgate_late_error_spans_total", kCounter, "close_reason",
                                        "Spans with status ERROR that came after their trace was not sampled."};
inline constexpr Metric kLateSpans{"tailgate_late_spans_total", kCounter, "decision",
                                   "Spans that came after the verdict of their trace and followed it."};
inline constexpr Metric kTracesDecided{"tailgate_traces_decided_total", kCounter, "decision,close_reason",
                                       "Traces decided, by outcome and by what closed them."};
inline constexpr Metric kPolicyVotes{"tailgate_policy_votes_total", kCounter, "policy,decision",
                                     "Votes of each policy over the traces it judged."};
inline constexpr Metric kPolicyKeptTraces{"tailgate_policy_kept_traces_total", kCounter, "policy",
                                          "Traces kept in the name of this policy."};
inline constexpr Metric kPolicyKeptSpans{"tailgate_policy_kept_spans_total", kCounter, "policy",
                                         "Spans kept in the name of this policy."};
inline constexpr Metric kPolicyKeptBytes{"tailgate_policy_kept_bytes_total", kCounter, "policy",
                                         "Span bytes kept in the name of this policy."};
inline constexpr Metric kTracesIncomplete{"tailgate_traces_incomplete_total", kCounter, "decision",
                                          "Traces decided without their root or with parents missing."};
inline constexpr Metric kTracesShed{"tailgate_traces_shed_total", kCounter, "reason",
                                    "Traces not taken in because memory was short."};
inline constexpr Metric kShedRatio{"tailgate_shed_ratio", kGauge, "",
                                   "Share of new traces that are shed, by randomness, since memory is short."};
inline constexpr Metric kShadowKeptTraces{"tailgate_shadow_kept_traces_total", kCounter, "policy",
                                          "Traces a shadow policy would have kept."};
inline constexpr Metric kShadowKeptSpans{"tailgate_shadow_kept_spans_total", kCounter, "policy",
                                         "Spans of traces a shadow policy would have kept."};
inline constexpr Metric kShadowKeptBytes{"tailgate_shadow_kept_bytes_total", kCounter, "policy",
                                         "Bytes of traces a shadow policy would have kept."};
inline constexpr Metric kShadowFlips{
    "tailgate_shadow_flips_total", kCounter, "policy,flip",
    "Traces a shadow policy would have kept and the live ones did not (add), or the other way about (lose)."};
inline constexpr Metric kConditionErrors{"tailgate_condition_errors_total", kCounter, "policy",
                                         "Times a condition of a policy could not be answered."};
inline constexpr Metric kLimitKeys{"tailgate_rate_limit_keys", kGauge, "policy",
                                   "Values of `per` that have a limit of their own."};
inline constexpr Metric kLimitShared{"tailgate_rate_limit_shared_total", kCounter, "policy",
                                     "Traces that shared a limit because there were keys_max values of `per`."};
inline constexpr Metric kLegacyHeadServices{"tailgate_legacy_head_services", kGauge, "",
                                            "Services whose SDKs keep low trace ids and write no th."};
inline constexpr Metric kLegacyHeadTraces{"tailgate_legacy_head_traces_total", kCounter, "",
                                          "Traces of these, judged by a hash of the id and sent without th."};
inline constexpr Metric kTracestateUnwritten{"tailgate_tracestate_unwritten_total", kCounter, "reason",
                                             "Kept spans whose tracestate could not be given the right threshold."};
inline constexpr Metric kKeptRepairs{"tailgate_kept_repairs_total", kCounter, "kind",
                                     "What was repaired in kept spans so that backends take them: texts, values."};
inline constexpr Metric kBufferTraces{"tailgate_buffer_traces", kGauge, "", "Traces held, undecided."};
inline constexpr Metric kBufferSpans{"tailgate_buffer_spans", kGauge, "", "Spans held, undecided."};
inline constexpr Metric kBufferBytes{"tailgate_buffer_bytes", kGauge, "", "Bytes of the spans held, undecided."};
inline constexpr Metric kDecisionLatency{"tailgate_decision_latency_seconds", kHistogram, "",
                                         "From the first span of a trace to its verdict."};
inline constexpr Metric kDecisionCacheEntries{"tailgate_decision_cache_entries", kGauge, "decision",
                                              "Verdicts remembered for late spans."};
inline constexpr Metric kExportSpans{"tailgate_export_spans_total", kCounter, "exporter",
                                     "Spans the backend has accepted."};
inline constexpr Metric kExportBytes{"tailgate_export_bytes_total", kCounter, "exporter",
                                     "OTLP bytes the backend has accepted, before compression."};
inline constexpr Metric kExportRoutedSpans{"tailgate_export_routed_spans_total", kCounter, "exporter",
                                           "Spans routed to this exporter: sent, failed, dropped or queued."};
inline constexpr Metric kExportFailedSpans{"tailgate_export_failed_spans_total", kCounter, "exporter,reason",
                                           "Spans the backend refused for good."};
inline constexpr Metric kExportDroppedSpans{"tailgate_export_dropped_spans_total", kCounter, "exporter,reason",
                                            "Spans dropped before they were sent."};
inline constexpr Metric kExportLostSpans{"tailgate_export_lost_spans_total", kCounter, "exporter,policy,reason",
                                         "Spans failed or dropped, by the policy that had kept them."};
inline constexpr Metric kExportOldestSeconds{"tailgate_export_oldest_seconds", kGauge, "exporter",
                                             "Age of the oldest kept trace that this exporter has not sent yet."};
inline constexpr Metric kExportConcurrencyLimit{"tailgate_export_concurrency_limit", kGauge, "exporter",
                                                "Calls this exporter may have in flight now."};
inline constexpr Metric kExportCircuitOpen{"tailgate_export_circuit_open", kGauge, "exporter",
                                           "1 while the backend counts as down and is only probed."};
inline constexpr Metric kExportAsideSpans{"tailgate_export_set_aside_spans", kGauge, "exporter",
                                          "Spans that wait apart because their batch was divided or keeps failing."};
inline constexpr Metric kExportDividedBatches{"tailgate_export_divided_batches_total", kCounter, "exporter",
                                              "Batches that were refused or kept failing, and were divided."};
inline constexpr Metric kExportRequestBytesMax{
    "tailgate_export_request_bytes_max", kGauge, "exporter",
    "The most OTLP that a batch has: batch.max_size, or less because the backend refused more."};
inline constexpr Metric kExportDurableBytes{"tailgate_export_durable_bytes", kGauge, "exporter",
                                            "Bytes of kept traces that the durable queue holds for this exporter."};
inline constexpr Metric kExportDurableDamaged{
    "tailgate_export_durable_damaged", kGauge, "exporter",
    "1 if the start found the file of the durable queue damaged and set it aside."};
inline constexpr Metric kExportDurableErrors{
    "tailgate_export_durable_errors_total", kCounter, "exporter,operation",
    "Writes and reads of the durable queue that failed; they are tried again."};
inline constexpr Metric kExportDeadLetterSpans{
    "tailgate_export_dead_letter_spans_total", kCounter, "exporter,result",
    "Spans the backend refused for good, written to the dead letters or not."};
inline constexpr Metric kExportFiles{"tailgate_export_files_total", kCounter, "exporter",
                                     "Files that the object store has taken."};
inline constexpr Metric kExportFileBytes{"tailgate_export_file_bytes_total", kCounter, "exporter",
                                         "Bytes of these files, as they are stored."};
inline constexpr Metric kExportCutItems{
    "tailgate_export_cut_items_total", kCounter, "exporter,item",
    "Items left out of spans that this exporter sent, over the limits of what is decoded."};
inline constexpr Metric kExportFailures{"tailgate_export_failures_total", kCounter, "exporter,reason",
                                        "Attempts to send that failed, retried ones included."};
inline constexpr Metric kExportMisdatedSpans{
    "tailgate_export_misdated_spans_total", kCounter, "exporter",
    "Spans sent whose time lies outside time_range, under an index or folder of now."};
inline constexpr Metric kExportStoreBytes{"tailgate_export_store_bytes", kGauge, "exporter",
                                          "Bytes of all files of the store, index and catalogue included."};
inline constexpr Metric kExportStoreTraces{"tailgate_export_store_traces", kGauge, "exporter", "Traces in the store."};
inline constexpr Metric kExportStoreDeleted{"tailgate_export_store_partitions_deleted_total", kCounter, "exporter",
                                            "Partitions that the store deleted since they were the oldest."};
inline constexpr Metric kExportStoreDamaged{"tailgate_export_store_damaged_blocks_total", kCounter, "exporter",
                                            "Damaged places in files of blocks that the start skipped."};
inline constexpr Metric kExportStoreCatalogues{"tailgate_export_store_damaged_catalogues_total", kCounter, "exporter",
                                               "Missing or damaged catalogues that were made again from the blocks."};
inline constexpr Metric kExportFailovers{"tailgate_export_failovers_total", kCounter, "exporter",
                                         "Calls that went on to another server or address because one did not answer."};
inline constexpr Metric kExportQueueBytes{"tailgate_export_queue_bytes", kGauge, "exporter",
                                          "Bytes waiting for this exporter or in flight."};
inline constexpr Metric kExportQueueSpans{"tailgate_export_queue_spans", kGauge, "exporter",
                                          "Spans waiting for this exporter or in flight."};
inline constexpr Metric kExportQueueCapacity{"tailgate_export_queue_capacity_bytes", kGauge, "exporter",
                                             "Bytes that may wait for this exporter: sending_queue.max_bytes."};
inline constexpr Metric kMemoryLimit{"tailgate_memory_limit_bytes", kGauge, "",
                                     "The limit of the whole process: sampling.memory_limit."};
inline constexpr Metric kMemoryBudget{"tailgate_memory_budget_bytes", kGauge, "holder",
                                      "Bytes this holder may take at most."};
inline constexpr Metric kMemoryUsed{"tailgate_memory_used_bytes", kGauge, "holder", "Bytes charged to this holder."};
inline constexpr Metric kConnections{"tailgate_connections", kGauge, "receiver", "Open connections."};
inline constexpr Metric kConnectionsClosed{"tailgate_connections_closed_total", kCounter, "receiver,reason",
                                           "Connections closed by a limit, by which."};
inline constexpr Metric kPageConnections{"tailgate_page_connections", kGauge, "page",
                                         "Open connections to the daemon's own pages."};
inline constexpr Metric kPageConnectionsClosed{"tailgate_page_connections_closed_total", kCounter, "page,reason",
                                               "Connections to the daemon's own pages closed by a limit, by which."};
inline constexpr Metric kQueries{"tailgate_queries_total", kCounter, "result",
                                 "Queries of stored traces, by how they ended."};
inline constexpr Metric kSearchesCut{"tailgate_searches_cut_total", kCounter, "",
                                     "Searches of stored traces that ended by a limit before all was looked at."};
inline constexpr Metric kSearchesDamaged{"tailgate_searches_damaged_total", kCounter, "",
                                         "Searches of stored traces that met damaged blocks or a damaged index."};
inline constexpr Metric kQueriesWaiting{"tailgate_queries_waiting", kGauge, "", "Queries that wait for a thread."};
inline constexpr Metric kJournalBytes{"tailgate_journal_bytes", kGauge, "", "Bytes of all files of the journal."};
inline constexpr Metric kJournalSegments{"tailgate_journal_segments", kGauge, "state",
                                         "Its segments: needed by a restart, retained, unreadable."};
inline constexpr Metric kJournalOldest{"tailgate_journal_oldest_seconds", kGauge, "",
                                       "Age of the oldest segment's last request."};
inline constexpr Metric kJournalRequests{"tailgate_journal_requests_total", kCounter, "result",
                                         "Requests written to the journal, or taken without since it failed."};
inline constexpr Metric kJournalParts{
    "tailgate_journal_parts_total", kCounter, "result",
    "Parts of requests for other members: written, unsure whose (read again later), passed_on."};
inline constexpr Metric kJournalRequestBytes{"tailgate_journal_request_bytes_total", kCounter, "",
                                             "OTLP bytes of the requests written, before compression."};
inline constexpr Metric kJournalWrittenBytes{"tailgate_journal_written_bytes_total", kCounter, "",
                                             "Bytes written to the journal's files."};
inline constexpr Metric kJournalCommit{"tailgate_journal_commit_seconds", kHistogram, "",
                                       "How long a write of the journal took, with its sync."};
inline constexpr Metric kJournalErrors{"tailgate_journal_errors_total", kCounter, "operation",
                                       "Writes and syncs of the journal that failed."};
inline constexpr Metric kJournalFailing{"tailgate_journal_failing", kGauge, "",
                                        "1 while the journal cannot be written: requests are refused, or pass it by."};
inline constexpr Metric kJournalEndsLost{"tailgate_journal_ends_lost_total", kCounter, "",
                                         "Verdicts and deliveries that the disk did not take; a restart repeats them."};
inline constexpr Metric kSpansKeptAfter{"tailgate_spans_kept_after_total", kCounter, "reason",
                                        "Spans kept after the fact; their end was counted when they were dropped."};
inline constexpr Metric kJournalReplayBytes{"tailgate_journal_replay_bytes", kGauge, "",
                                            "Bytes of an earlier process's requests that are not replayed yet."};
inline constexpr Metric kJournalReplayed{"tailgate_journal_replayed_requests_total", kCounter, "result",
                                         "Requests that came out of the journal, or could not."};
inline constexpr Metric kJournalDamaged{"tailgate_journal_damaged_total", kCounter, "",
                                        "Damaged places of the journal that the replay passed over."};
inline constexpr Metric kConfigReloads{"tailgate_config_reloads_total", kCounter, "result",
                                       "Attempts to load changed policies."};
inline constexpr Metric kOwnSpans{"tailgate_own_spans_total", kCounter, "result",
                                  "Spans of the daemon's own traces, queued or dropped."};
inline constexpr Metric kSpanMetricsSeries{"tailgate_span_metrics_series", kGauge, "",
                                           "Series of span metrics, without the one for overflow."};
inline constexpr Metric kSpanMetricsOverflow{"tailgate_span_metrics_overflow_spans_total", kCounter, "",
                                             "Spans counted in the series for overflow: series_max was reached."};
inline constexpr Metric kSpanMetricsExpired{"tailgate_span_metrics_expired_series_total", kCounter, "",
                                            "Series removed since no span of theirs came for series_expiration."};
inline constexpr Metric kSpanMetricsIdNames{"tailgate_span_metrics_id_names_total", kCounter, "",
                                            "Series made for a span name that looks as if it had an id in it."};
inline constexpr Metric kExemplars{"tailgate_span_metrics_exemplars", kGauge, "",
                                   "Exemplars held, each the last span of a kept trace in a bucket."};
inline constexpr Metric kExemplarsSkipped{
    "tailgate_span_metrics_exemplars_skipped_total", kCounter, "reason",
    "Kept traces not looked at for exemplars (rate), and exemplars that made room for newer ones (full)."};
inline constexpr Metric kServiceGraphEdges{"tailgate_service_graph_edges", kGauge, "",
                                           "Edges of the service graph, without the one for overflow."};
inline constexpr Metric kServiceGraphExpired{"tailgate_service_graph_expired_edges_total", kCounter, "",
                                             "Edges removed since no request came for edge_expiration."};
inline constexpr Metric kServiceGraphOverflow{"tailgate_service_graph_overflow_requests_total", kCounter, "",
                                              "Requests counted in the edge for overflow: edges_max was reached."};
inline constexpr Metric kServiceGraphUnlisted{
    "tailgate_service_graph_unlisted_requests_total", kCounter, "",
    "Requests that the dependencies do not have: more than edges_max pairs of "
    "services in half an hour."};
inline constexpr Metric kServiceGraphWaiting{"tailgate_service_graph_waiting_spans", kGauge, "",
                                             "Spans of clients and servers that wait for their other side."};
inline constexpr Metric kServiceGraphUnpaired{"tailgate_service_graph_unpaired_spans_total", kCounter, "reason",
                                              "Spans of clients and servers that made no edge, by why."};
inline constexpr Metric kSamplingPolls{"tailgate_remote_sampling_polls_total", kCounter, "protocol,result",
                                       "Questions of SDKs what to sample, by where the answer came from."};
inline constexpr Metric kAdaptiveServices{"tailgate_adaptive_sampling_services", kGauge, "",
                                          "Services whose probabilities follow the target."};
inline constexpr Metric kAdaptiveOperations{"tailgate_adaptive_sampling_operations", kGauge, "",
                                            "Operations of these that have a probability of their own."};
inline constexpr Metric kAdaptiveRaised{"tailgate_adaptive_sampling_raised_operations", kGauge, "",
                                        "Operations that are raised for errors or slow traces."};
inline constexpr Metric kAdaptiveOverflow{"tailgate_adaptive_sampling_overflow_roots_total", kCounter, "",
                                          "Roots of services or operations over services_max and operations_max."};
inline constexpr Metric kClusterMembers{"tailgate_cluster_members", kGauge, "state",
                                        "Members in force, listed ones that are silent, and awaited ones."};
inline constexpr Metric kClusterDisagree{"tailgate_cluster_views_disagree", kGauge, "",
                                         "Members that answer and have other members in force."};
inline constexpr Metric kClusterSettling{"tailgate_cluster_settling", kGauge, "",
                                         "1 while the homes before a change still have their open traces."};
inline constexpr Metric kClusterViews{"tailgate_cluster_views_total", kCounter, "",
                                      "Changes of the members in force, or of those before."};
inline constexpr Metric kClusterLookups{"tailgate_cluster_lookups_total", kCounter, "result",
                                        "Look-ups of the members in DNS."};
inline constexpr Metric kClusterVerdicts{"tailgate_cluster_verdicts_total", kCounter, "direction",
                                         "Verdicts told to the new homes of traces, and heard from old ones."};
inline constexpr Metric kClusterReturned{"tailgate_cluster_returned_spans_total", kCounter, "",
                                         "Spans that waited for a member that was gone, and were routed anew."};
inline constexpr Metric kClusterLimitShare{"tailgate_cluster_limit_share", kGauge, "policy",
                                           "Part of a rate limit that this member may use, from 0 to 1."};
inline constexpr Metric kClusterLimitMembers{"tailgate_cluster_limit_members", kGauge, "",
                                             "Other members that were heard of late and share their rate limits."};
inline constexpr Metric kKafkaMember{"tailgate_kafka_member", kGauge, "receiver",
                                     "1 while the receiver is a member of its consumer group, or on the way to be."};
inline constexpr Metric kKafkaPaused{"tailgate_kafka_paused", kGauge, "receiver",
                                     "1 while no record is taken, because memory is short."};
inline constexpr Metric kKafkaRecords{"tailgate_kafka_records_total", kCounter, "receiver", "Records taken."};
inline constexpr Metric kKafkaPoison{"tailgate_kafka_poison_records_total", kCounter, "receiver,reason",
                                     "Records that can never be taken, and were passed over."};
inline constexpr Metric kKafkaLettersFailed{"tailgate_kafka_dead_letters_failed_total", kCounter, "receiver",
                                            "Of these, those that the file of dead letters did not take."};
inline constexpr Metric kKafkaRebalances{"tailgate_kafka_rebalances_total", kCounter, "receiver,change",
                                         "Partitions that came to this member, or went."};
inline constexpr Metric kKafkaCommits{"tailgate_kafka_commits_total", kCounter, "receiver,result",
                                      "Commits of offsets."};
inline constexpr Metric kKafkaVerdicts{"tailgate_kafka_verdicts_total", kCounter, "receiver,what",
                                       "Verdicts written to and read from the verdicts topic."};
inline constexpr Metric kKafkaLag{"tailgate_kafka_lag", kGauge, "receiver,partition",
                                  "Records of the partition that are not read."};
inline constexpr Metric kKafkaUndecidedOffset{"tailgate_kafka_undecided_offset", kGauge, "receiver,partition",
                                              "Offset of the first record whose traces are not all settled."};
inline constexpr Metric kKafkaUndecidedAge{"tailgate_kafka_undecided_seconds", kGauge, "receiver,partition",
                                           "Time since that record was read; 0 when there is none."};
inline constexpr Metric kKafkaCommittedOffset{"tailgate_kafka_committed_offset", kGauge, "receiver,partition",
                                              "Offset that was committed last by this member."};
inline constexpr Metric kBuildInfo{"tailgate_build_info", kGauge, "version,commit,compiler", "Always 1."};
// Named as by Prometheus' client libraries.
inline constexpr Metric kProcessCpu{"process_cpu_seconds_total", kCounter, "", "CPU time of the process."};
inline constexpr Metric kProcessResident{"process_resident_memory_bytes", kGauge, "", "Resident memory."};
inline constexpr Metric kProcessVirtual{"process_virtual_memory_bytes", kGauge, "", "Virtual memory."};
inline constexpr Metric kProcessOpenFds{"process_open_fds", kGauge, "", "Open file descriptors."};
inline constexpr Metric kProcessMaxFds{"process_max_fds", kGauge, "", "Most file descriptors it may open."};
inline constexpr Metric kProcessStart{"process_start_time_seconds", kGauge, "", "Its start, in Unix time."};
inline constexpr Metric kProcessThreads{"process_threads", kGauge, "", "Threads of the process."};
}  // namespace metric

inline constexpr std::array kMetrics = {
    metric::kSpansReceived,
    metric::kReceivedBytes,
    metric::kSpansReplayed,
    metric::kSpansHandedOver,
    metric::kSpansForgotten,
    metric::kSpansToMembers,
    metric::kSpansRefused,
    metric::kSpansForwarded,
    metric::kSpansNotSampled,
    metric::kSpansDropped,
    metric::kSpansShed,
    metric::kRequestsRefused,
    metric::kTextsRepaired,
    metric::kRequestsWithoutSpans,
    metric::kPageRequestsRefused,
    metric::kUdpDropped,
    metric::kClientLostBatches,
    metric::kClientLostSpans,
    metric::kLateSpans,
    metric::kLateErrorSpans,
    metric::kTracesDecided,
    metric::kPolicyVotes,
    metric::kPolicyKeptTraces,
    metric::kPolicyKeptSpans,
    metric::kPolicyKeptBytes,
    metric::kLegacyHeadServices,
    metric::kLegacyHeadTraces,
    metric::kTracestateUnwritten,
    metric::kKeptRepairs,
    metric::kTracesIncomplete,
    metric::kTracesShed,
    metric::kShedRatio,
    metric::kShadowKeptTraces,
    metric::kShadowKeptSpans,
    metric::kShadowKeptBytes,
    metric::kShadowFlips,
    metric::kConditionErrors,
    metric::kLimitKeys,
    metric::kLimitShared,
    metric::kBufferTraces,
    metric::kBufferSpans,
    metric::kBufferBytes,
    metric::kDecisionLatency,
    metric::kDecisionCacheEntries,
    metric::kExportSpans,
    metric::kExportBytes,
    metric::kExportRoutedSpans,
    metric::kExportFailedSpans,
    metric::kExportDroppedSpans,
    metric::kExportFailures,
    metric::kExportMisdatedSpans,
    metric::kExportFailovers,
    metric::kExportStoreBytes,
    metric::kExportStoreTraces,
    metric::kExportStoreDeleted,
    metric::kExportStoreDamaged,
    metric::kExportStoreCatalogues,
    metric::kExportLostSpans,
    metric::kExportOldestSeconds,
    metric::kExportConcurrencyLimit,
    metric::kExportCircuitOpen,
    metric::kExportAsideSpans,
    metric::kExportDividedBatches,
    metric::kExportRequestBytesMax,
    metric::kExportDeadLetterSpans,
    metric::kExportDurableBytes,
    metric::kExportDurableDamaged,
    metric::kExportDurableErrors,
    metric::kExportFiles,
    metric::kExportFileBytes,
    metric::kExportCutItems,
    metric::kExportQueueBytes,
    metric::kExportQueueSpans,
    metric::kExportQueueCapacity,
    metric::kMemoryLimit,
    metric::kMemoryBudget,
    metric::kMemoryUsed,
    metric::kConnections,
    metric::kConnectionsClosed,
    metric::kPageConnections,
    metric::kPageConnectionsClosed,
    metric::kQueries,
    metric::kSearchesCut,
    metric::kSearchesDamaged,
    metric::kQueriesWaiting,
    metric::kJournalBytes,
    metric::kJournalSegments,
    metric::kJournalOldest,
    metric::kJournalRequests,
    metric::kJournalParts,
    metric::kJournalRequestBytes,
    metric::kJournalWrittenBytes,
    metric::kJournalCommit,
    metric::kJournalErrors,
    metric::kJournalFailing,
    metric::kJournalEndsLost,
    metric::kSpansKeptAfter,
    metric::kJournalReplayBytes,
    metric::kJournalReplayed,
    metric::kJournalDamaged,
    metric::kConfigReloads,
    metric::kOwnSpans,
    metric::kSpanMetricsSeries,
    metric::kSpanMetricsOverflow,
    metric::kSpanMetricsExpired,
    metric::kSpanMetricsIdNames,
    metric::kExemplars,
    metric::kExemplarsSkipped,
    metric::kServiceGraphEdges,
    metric::kServiceGraphExpired,
    metric::kServiceGraphOverflow,
    metric::kServiceGraphUnlisted,
    metric::kServiceGraphWaiting,
    metric::kServiceGraphUnpaired,
    metric::kSamplingPolls,
    metric::kAdaptiveServices,
    metric::kAdaptiveOperations,
    metric::kAdaptiveRaised,
    metric::kAdaptiveOverflow,
    metric::kClusterMembers,
    metric::kClusterDisagree,
    metric::kClusterSettling,
    metric::kClusterViews,
    metric::kClusterLookups,
    metric::kClusterVerdicts,
    metric::kClusterReturned,
    metric::kClusterLimitShare,
    metric::kClusterLimitMembers,
    metric::kKafkaMember,
    metric::kKafkaPaused,
    metric::kKafkaRecords,
    metric::kKafkaPoison,
    metric::kKafkaLettersFailed,
    metric::kKafkaRebalances,
    metric::kKafkaCommits,
    metric::kKafkaVerdicts,
    metric::kKafkaLag,
    metric::kKafkaUndecidedOffset,
    metric::kKafkaUndecidedAge,
    metric::kKafkaCommittedOffset,
    metric::kBuildInfo,
    metric::kProcessCpu,
    metric::kProcessResident,
    metric::kProcessVirtual,
    metric::kProcessOpenFds,
    metric::kProcessMaxFds,
    metric::kProcessStart,
    metric::kProcessThreads,
};

// A count as the value of a metric.
constexpr double number(auto count) { return static_cast<double>(count); }

// Gathers one scrape and renders it in Prometheus' text format (prometheus-cpp's serializer). One thread; made per
// scrape.
class MetricWriter {
 public:
  MetricWriter();
  ~MetricWriter();
  MetricWriter(const MetricWriter&) = delete;
  MetricWriter& operator=(const MetricWriter&) = delete;

  // `label_values` in the order of metric.labels. A series that is there already grows by `value`.
  void add(const Metric& metric, std::initializer_list<std::string_view> label_values, double value);

  // `counts[i]` observations at or below bounds[i] and above the bound before; the last is for the rest.
  void add_histogram(const Metric& metric, std::span<const double> bounds, std::span<const std::uint64_t> counts,
                     double sum);

  std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace tailgate
