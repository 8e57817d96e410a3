// SPDX-License-Identifier: Apache-2.0
// Daemon: how it comes into a cluster, and how it ends, in one or not.
#include <algorithm>

#include "daemon/daemon.h"

namespace tailgate {

void Daemon::start_cluster() {
  SourceId source = 0;
  {
    const MutexLock lock(status_mutex_);
    sources_.push_back({"cluster", "otlp_proto"});  // before all receivers
    source = static_cast<SourceId>(sources_.size() - 1);
    if (journal_link_ != nullptr) journal_link_->add_source(source, sources_.back());
  }
  refusals_.begin(source);
  cluster_->start(*ingest_, source);
}

void Daemon::drain() {
  const TimePoint began = monotonic_now();
  const TimePoint deadline = began + config_.shutdown_timeout;
  serving_ = false;
  // A successor of the same name takes over what is in the journal, if all of it is. In the middle of a replay more of
  // a trace may be there than here, so nothing could be handed to others.
  const bool replays = replay_ != nullptr && !replay_->done();
  const bool has_successor =
      replays || (journal_ != nullptr && config_.hand_over && !journal_->misses_since(began - open_longest()));
  if (cluster_ != nullptr && has_successor) cluster_->go_away(config_.shutdown_timeout / 4);
  if (cluster_ != nullptr && !has_successor) cluster_->leave(began + config_.shutdown_timeout / 2);
  for (const auto& receiver : parts_.receivers) receiver->drain();
  // Requests in flight get a part of the time. Later requests are refused with 503, so that senders go elsewhere.
  for (const auto& receiver : parts_.receivers)
    receiver->stop(std::min<Duration>(config_.shutdown_timeout / 4, std::chrono::seconds(5)));
  log_refused_of_the_minute(monotonic_now() + RefusalLog::kEvery);  // the rest
  if (cluster_ != nullptr) cluster_->stop();
  ingest_->stop();
  if (keep_jobs_ != nullptr) keep_jobs_->stop();
  if (replay_ != nullptr) replay_->stop();
  sweeper_.reset();
  if (hands_over()) {
    store_->hand_over();
  } else {
    store_->close_all(CloseReason::kShutdown, monotonic_now());
  }
  if (journal_ != nullptr) journal_->begin_ending();
  if (cluster_ != nullptr) cluster_->begin_drain(deadline);
  parts_.exporters->drain(deadline, monotonic_now());
  for (const auto& receiver : parts_.receivers) receiver->finish();
  if (cluster_ != nullptr) cluster_->end_drain();
  if (head_ != nullptr) tick_head(head_->save());
  if (journal_ != nullptr) journal_->stop();
}

}  // namespace tailgate
