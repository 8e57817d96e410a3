// SPDX-License-Identifier: Apache-2.0
// What the daemon says in its log while it runs, each at most once in a while.
#include <string>

#include "base/units.h"
#include "daemon/daemon.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

void warn_of(const RefusalLog::Line& line) {
  log_warn("refused", {{"receiver", line.receiver},
                       {"reason", line.reason},
                       {"peer", line.peer},
                       {"count", line.count},
                       {"last", line.text}});
}

}  // namespace

// On the I/O threads.
void Daemon::log_refused(SourceId by, std::string_view reason, std::string_view peer, std::string_view text) {
  std::string receiver;
  {
    const MutexLock lock(status_mutex_);
    receiver = sources_[by].receiver;
  }
  if (log_enabled(LogLevel::kDebug))
    log_debug("refused one", {{"receiver", receiver}, {"reason", reason}, {"peer", peer}, {"why", text}});
  if (const auto line = refusal_log_.add(receiver, reason, peer, text, monotonic_now())) warn_of(*line);
}

void Daemon::log_refused_of_the_minute(TimePoint now) {
  for (const RefusalLog::Line& line : refusal_log_.due(now)) warn_of(line);
}

void Daemon::log_memory_shortage(TimePoint now) {
  const auto change = memory_shortage_.look(store_->take_early(), now);
  if (!change) return;
  const std::string shortest = format_duration(change->early.shortest_wait);
  if (change->began) {
    log_warn("memory is short: traces are decided early",
             {{"after", shortest},
              {"decision_wait", format_duration(config_.sampling.store.limits.decision_wait)},
              {"memory_limit", format_bytes(config_.sampling.memory_limit)},
              {"do", "raise sampling.memory_limit or lower decision_wait; tailgate check --rate says what is needed"}});
  } else {
    log_warn("memory is enough again: traces are decided in time", {{"decided_early", change->early.traces},
                                                                    {"shortest_wait", shortest},
                                                                    {"lasted", format_duration(change->lasted)}});
  }
}

// Once a minute at most.
void Daemon::log_id_names(TimePoint now) {
  if (signals_ == nullptr || signals_->span_metrics() == nullptr) return;
  if (now - id_names_logged_ < RefusalLog::kEvery) return;
  const std::optional<SpanMetrics::IdNames> names = signals_->span_metrics()->take_id_names();
  if (!names) return;
  id_names_logged_ = now;
  log_warn("span names look as if they had ids in them, and each makes a series of its own",
           {{"names", names->count}, {"last", names->last}, {"do", "put a pattern into span_metrics.span_names"}});
}

}  // namespace tailgate
