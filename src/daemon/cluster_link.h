// SPDX-License-Identifier: Apache-2.0
// ClusterLink: what a cluster needs of the other rooms: exporters to its members, the store's open traces and verdicts,
// the way in for what comes back.
//
// Threads: made, started, and ended by the main thread; collect and status by any. The store, the exporters and the
// pipeline outlive it.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "buffer/store/trace_store.h"
#include "cluster/cluster.h"
#include "head/head_sampling.h"
#include "receive/ingest.h"
#include "telemetry/metrics.h"
#include "web/cluster.h"
#include "web/explain.h"

namespace tailgate {

struct ClusterParts {
  ByteBudget& budget;
  TraceStore& store;
  PolicyTables& tables;
  KeptSink& sink;  // asked for room
  std::vector<std::string> exporters;
  std::function<bool()> all_here;  // no open trace is in the journal only
  HeadSampling* head = nullptr;    // whose target is divided, too
};

class ClusterLink {
 public:
  ClusterLink(ClusterConfig config, const ClusterParts& parts);

  SpanForwarder* forwarder() { return &forwarder_; }
  Cluster& cluster() { return cluster_; }
  const Cluster& cluster() const { return cluster_; }

  // Asks the members. `source`: of spans that come back from queues of members that are gone.
  void start(IngestPipeline& ingest, SourceId source);
  // The members know that nothing is at home here any more, and have the verdicts and what was open. Passes on what
  // still comes.
  void leave(TimePoint deadline);
  // A successor of the same name has what is here: the members know that.
  void go_away(Duration patience) { cluster_.go_away(patience); }
  // From now on verdicts of traces wait for members that are away, and all for the end of a replay. Before it begins,
  // and when it is over. Any thread.
  void put_off_verdicts();
  // Before the pipeline stops: routes anew what came back from queues, and then nothing any more.
  void stop() { cluster_.stop(); }
  // Delivers the queues until `deadline`.
  void begin_drain(TimePoint deadline) { forwarder_.begin_drain(deadline, monotonic_now()); }
  void end_drain() { forwarder_.end_drain(); }

  void collect(MetricWriter& out) const;
  boost::json::object status() const;  // as /cluster answers
  // For pages that answer for all members: asks the others.
  OtherMembers others() { return asking(std::chrono::seconds(2), false); }
  OtherMembers searching(Duration timeout) { return asking(timeout, true); }
  // Also the policy of what an exporter to a member loses.
  static constexpr std::string_view kPolicy = "cluster";

 private:
  std::unique_ptr<ExportRunner> exporter_to(const std::string& name, const std::string& endpoint, Hop hop) const;
  ClusterHooks hooks();
  OtherMembers asking(Duration timeout, bool search);
  void await(const std::vector<Awaited>& awaited);
  std::vector<ToldVerdict> verdicts(const std::function<bool(const TraceId&)>& wanted) const;
  void remember(const std::vector<ToldVerdict>& told) const;
  std::vector<FleetLimit> limits_asked() const;
  void set_shares(const std::vector<FleetLimit>& limits, const std::vector<FleetLimits::Share>& shares,
                  double of_each_key) const;
  // `written`: whether a journal has it, if it must; called by any thread. May be empty.
  bool take(ByteView otlp, const std::function<void(bool)>& written = {});

  const ClusterConfig config_;
  const ClusterParts parts_;
  IngestPipeline* ingest_ = nullptr;
  SourceId source_ = 0;
  Mutex awaited_mutex_;
  std::vector<Awaited> awaited_ TAILGATE_GUARDED_BY(awaited_mutex_);
  Forwarder forwarder_;
  Cluster cluster_;
};

}  // namespace tailgate
