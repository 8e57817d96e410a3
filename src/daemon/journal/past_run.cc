// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/past_run.h"

#include <algorithm>
#include <atomic>

#include "base/hash.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::int64_t kSweepEveryNs = 100'000'000;  // of arrival, as the sweeper does
constexpr std::uint64_t kTellEvery = 256;            // blocks
constexpr std::size_t kMemoryMin = 256 << 10;
constexpr std::uint64_t kBefore = 10'000'000'000;  // requests wait so long to be written, at most

// Kept traces of a run are known by their verdicts; their spans go nowhere.
class Nowhere final : public KeptSink {
 public:
  void push(KeptTracePtr) override {}
  bool make_room(std::size_t, bool) override { return false; }
};

class Verdicts final : public DecisionLog {
 public:
  explicit Verdicts(const TakeDecided& take) : DecisionLog(orders_), take_(take) {}
  void decided(std::span<const DecidedTrace> traces) override { take_(traces); }
  void swept(TimePoint) override {}
  std::shared_ptr<Delivery> delivery(const Kept&) override { return nullptr; }

 private:
  std::atomic<std::uint64_t> orders_{1};
  const TakeDecided& take_;
};

class Run {
 public:
  Run(const PastRunOptions& options, std::uint64_t began_unix_ns, const PolicySetPtr& policies, PolicyTables& tables,
      const TakeDecided& decided)
      : options_(options),
        origin_ns_(earlier(std::max(options.from_unix_ns, began_unix_ns))),
        policies_(policies),
        budget_(caps(options.memory)),
        verdicts_(decided) {
    TraceStoreOptions with = options.store;
    with.pool_bytes = options.memory;
    with.prefix_bytes = options.memory / 8;
    with.limits.explain_bytes = 0;
    with.limits.wall_at_origin_ns = origin_ns_;
    with.overload_min_wait = Duration::zero();
    with.record_policy = RecordPolicy::kOff;
    store_ = std::make_unique<TraceStore>(with, budget_, policies, tables, sink_, random_seed(), time_of(origin_ns_));
    store_->set_decision_log(&verdicts_);
  }

  void take(const JournalRequest& request) {
    const std::uint64_t at = request.arrival_unix_ns;
    if (at < options_.from_unix_ns || at > options_.to_unix_ns || at < origin_ns_) return;
    if (out_.first_unix_ns == 0) out_.first_unix_ns = at;
    out_.last_unix_ns = std::max(out_.last_unix_ns, at);
    out_.bytes += request.otlp.size();
    if (options_.taken) options_.taken(request);
    if (static_cast<std::int64_t>(at - swept_ns_) >= kSweepEveryNs) {
      store_->sweep(time_of(at));
      swept_ns_ = at;
    }
    batch_.clear();
    batch_.hash_seed = store_->hash_seed();
    batch_.now_unix_ns = at;
    const auto deliver = [&](SpanBatch& slice) {
      if (options_.slim) make_slim(slice);
      return store_->accept(slice, 0, time_of(at));
    };
    const ScanResult scan = scan_request(request.otlp, policies_->plan(), batch_, deliver);
    const bool good = scan.ok && deliver(batch_);
    ++(good ? out_.requests : out_.not_taken);
  }

  PastRunOutcome finish(std::uint64_t damaged, bool cut) {
    store_->sweep(time_of(out_.last_unix_ns) + options_.store.limits.decision_wait + std::chrono::seconds(2));
    store_->close_all(CloseReason::kShutdown, time_of(out_.last_unix_ns) + options_.store.limits.decision_wait);
    out_.damaged = damaged;
    out_.cut = cut;
    out_.totals = store_->report().snapshot();
    for (const auto& by_reason : out_.totals.totals.decided)
      out_.judged_early += by_reason[static_cast<std::size_t>(CloseReason::kMemory)];
    return out_;
  }
  std::uint64_t bytes() const { return out_.bytes; }

 private:
  static std::uint64_t earlier(std::uint64_t unix_ns) { return unix_ns - std::min(unix_ns, kBefore); }
  static ByteBudget::Caps caps(std::size_t memory) { return {memory, memory, memory, memory, 0}; }
  // The run's own clock is the wall clock of then.
  static TimePoint time_of(std::uint64_t unix_ns) { return TimePoint(Duration(static_cast<std::int64_t>(unix_ns))); }

  static void make_slim(SpanBatch& slice) {
    for (BatchTrace& trace : slice.traces) trace.facts.bytes = 0;
    for (BatchSpan& span : slice.spans) span.size = 0;
  }

  const PastRunOptions& options_;
  const std::uint64_t origin_ns_;  // the buffer's milliseconds count from here, and wrap after 49 days
  const PolicySetPtr policies_;
  ByteBudget budget_;
  Nowhere sink_;
  Verdicts verdicts_;
  std::unique_ptr<TraceStore> store_;
  SpanBatch batch_;
  std::uint64_t swept_ns_ = 0;
  PastRunOutcome out_;
};

}  // namespace

std::size_t take_memory(Charge& charge, std::size_t wanted) {
  for (; wanted >= kMemoryMin; wanted /= 2) {
    if (charge.try_grow(wanted, 8)) return wanted;
  }
  return 0;
}

Result<PastRunOutcome> run_past(const PastRunOptions& options, const PolicySetPtr& policies, PolicyTables& tables,
                                const TakeDecided& decided) {
  Journal::Extent extent = options.extent();
  // Those that were made after the time in question have nothing of it. Of files that cannot be read nobody knows when.
  const std::uint64_t until = options.to_unix_ns + std::min(UINT64_MAX - options.to_unix_ns, kBefore);
  while (!extent.segments.empty() && Journal::made_at(options.directory, extent.segments.back()) > until) {
    extent.segments.pop_back();
    extent.last_end = UINT64_MAX;
  }
  const auto is_read = [&](std::uint64_t segment) { return Journal::made_at(options.directory, segment) != 0; };
  extent.segments.erase(extent.segments.begin(), std::find_if(extent.segments.begin(), extent.segments.end(), is_read));
  if (extent.segments.empty()) return PastRunOutcome();
  const std::uint64_t from = Journal::segment_at(options.directory, extent, options.from_unix_ns);
  const auto first = std::lower_bound(extent.segments.begin(), extent.segments.end(), from);
  const auto segments = static_cast<double>(extent.segments.end() - first);
  JournalCursor cursor(
      options.directory, [&] { return extent; }, from);
  Run run(options, Journal::made_at(options.directory, from), policies, tables, decided);
  bool cut = false;
  for (std::uint64_t blocks = 0;; ++blocks) {
    cut = run.bytes() >= options.bytes_max || (options.cancelled && options.cancelled());
    if (cut) break;
    const Result<bool> more = cursor.next([&](const JournalRequest& request, std::uint64_t) { run.take(request); });
    if (!more && !cursor.skip()) break;
    if (more && !*more) break;
    if (options.tell && blocks % kTellEvery == 0) {
      const auto at = std::lower_bound(first, extent.segments.end(), cursor.segment());
      options.tell(static_cast<double>(at - first) / segments, run.bytes());
    }
  }
  return run.finish(cursor.damaged(), cut);
}

}  // namespace tailgate
