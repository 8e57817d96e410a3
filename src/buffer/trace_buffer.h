// SPDX-License-Identifier: Apache-2.0
// TraceBuffer: the open traces of one shard, keyed by trace id, and what became of them.
//
// Threads: called under its shard's lock, so it has none of its own. It has no clock either: time is an argument.
// A trace is decided in the same hold of the lock in which it closes, so there is no state "closed but undecided" that
// a span could meet. Deciding reads only facts and bits and takes some hundred nanoseconds. The verdict goes into the
// cache, and the memory of a trace that is not kept is free again. Kept traces are handed out (ClosedTrace), framed
// without the lock, and given back with settle(); until then their spans count as held.
//
// Always true between calls: counters().received = all outcomes + spans_held(); nothing is open beyond decision_wait
// plus a tick of the wheel (and the rest of an interval, JudgedTrace::interval, and what set_waits() adds), as long as
// close_due() is called.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "base/enum_names.h"
#include "base/hash.h"
#include "buffer/chunk_pool.h"
#include "buffer/closed_trace.h"
#include "buffer/deadline_wheel.h"
#include "buffer/decision_cache.h"
#include "buffer/decision_log.h"
#include "buffer/explain_log.h"
#include "buffer/open_trace.h"
#include "buffer/prefix_table.h"
#include "buffer/root_names.h"
#include "buffer/trace_shape.h"
#include "buffer/trace_table.h"
#include "decide/policy_set.h"
#include "model/span_batch.h"
#include "model/verdict.h"

namespace tailgate {

struct BufferLimits {
  Duration decision_wait = std::chrono::seconds(30);
  Duration decision_wait_after_root = Duration::zero();  // zero: the root decides nothing
  std::uint64_t trace_bytes_max = 64 << 20;              // then the trace is decided on the spot
  std::uint32_t trace_spans_max = 100'000;
  std::uint64_t maximum_trace_size_bytes = 0;  // contrib's: larger traces are not sampled, unjudged; 0 is off
  bool drop_on_shutdown = false;               // contrib's: what is open when the daemon ends is not judged
  std::size_t cache_bytes = 0;                 // decision cache of this shard
  std::size_t explain_bytes = 0;               // ExplainLog of this shard
  std::size_t explain_policies = 64;           // whose votes it keeps
  std::size_t explain_words = 2;               // of a ScanPlan that it keeps
  std::uint64_t wall_at_origin_ns = 0;         // the wall clock when the buffer's own clock was at its origin
};

inline constexpr std::size_t kSourcesMax = 64;
enum class Shed : std::uint8_t { kQueueFull, kMalformed, kNoExporter, kOverload };
inline constexpr std::array<std::string_view, 4> kShedReasons = {"queue_full", "malformed", "no_exporter", "overload"};
static_assert(names_end_with(kShedReasons, Shed::kOverload, "overload"));

// Upper bounds in seconds of tailgate_decision_latency_seconds; one more bucket holds the rest.
inline constexpr std::array<double, 12> kLatencyBounds = {0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 45, 60};

// A span's receipt and its end are counted in the same block, under the same lock: the sum is right at every moment.
struct BufferCounters {
  std::array<std::uint64_t, kSourcesMax> received{};  // spans, by source
  std::uint64_t received_bytes = 0;
  std::uint64_t forwarded = 0, not_sampled = 0, dropped = 0;      // spans
  std::array<std::uint64_t, kShedReasons.size()> shed{};          // spans
  std::uint64_t handed_over = 0;                                  // spans
  std::uint64_t forgotten = 0;                                    // spans
  std::array<std::uint64_t, kDecisionNames.size()> incomplete{};  // traces, by Decision
  std::uint64_t shed_traces = 0;                                  // by overload
  std::uint64_t held = 0;                                         // spans
  std::uint64_t held_bytes = 0;
  std::array<std::uint64_t, kDecisionNames.size()> late{};  // spans, by Decision; part of the outcomes above
  std::array<std::array<std::uint64_t, kCloseReasonNames.size()>, kDecisionNames.size()>
      decided{};  // traces, by Decision and CloseReason
  std::uint64_t decided_in_all() const {
    std::uint64_t n = 0;
    for (const auto& by_reason : decided) {
      for (const std::uint64_t traces : by_reason) n += traces;
    }
    return n;
  }
  // Spans with status ERROR that came after their trace was judged and not sampled, by its CloseReason; part of late.
  std::array<std::uint64_t, kCloseReasonNames.size()> late_errors{};
  std::array<std::uint64_t, kLatencyBounds.size() + 1> latency{};
  double latency_sum = 0;
  PolicyTally policies;
};

// What became of kept spans: so many were malformed, the others were forwarded, or all shed for one reason.
struct SettledSpans {
  std::uint32_t malformed = 0;
  std::optional<Shed> shed;
};

// What is known of a trace.
enum class Fate : std::uint8_t { kUnknown, kOpen, kKept, kNotKept };

// Late spans of a trace that was kept: they go out at once, straight from the request.
struct LateSpans {
  std::uint32_t trace = 0;  // index in the batch
  Verdict verdict;
};

struct AddResult {
  std::vector<ClosedTrace> closed;  // traces that hit a limit and are kept
  std::vector<LateSpans> late;      // of kept traces; settle_late() must be called once for each
  std::size_t pool_bytes = 0;       // taken from the pool: at most pool_bytes_bound() of what came
  std::size_t prefix_bytes = 0;     // new in the PrefixTable
  void clear() {
    closed.clear();
    late.clear();
    pool_bytes = prefix_bytes = 0;
  }
};

// Whether a trace that is due waits, since some of its spans may be on their way. Called with the shard's lock held.
using Waits = std::function<bool(const TraceId&)>;

// Starts to load what TraceBuffer::add() looks up for a trace. Threads: any, without the shard's lock. Lives no longer
// than the buffer.
class LookUpPrefetch {
 public:
  LookUpPrefetch(const TraceTable& by_id, const DecisionCache& cache, std::uint64_t seed)
      : by_id_(by_id), cache_(cache), seed_(seed) {}

  void operator()(const TraceId& id) const {
    by_id_.prefetch(hash_bytes(id.view(), seed_));
    cache_.prefetch(id);
  }

 private:
  const TraceTable& by_id_;
  const DecisionCache& cache_;
  const std::uint64_t seed_;
};

class TraceBuffer {
 public:
  TraceBuffer(const BufferLimits& limits, ChunkPool& pool, ByteBudget& budget, PolicySetPtr policies,
              PolicyTables& tables, std::uint64_t seed, TimePoint origin);

  // Takes the traces of `batch` whose indices are given, copying their spans. The caller has charged the budget's
  // `traces` with pool_bytes_bound() of them and gives back what result.pool_bytes does not name.
  void add(const SpanBatch& batch, const std::uint32_t* traces, std::size_t count, SourceId source, TimePoint now,
           AddResult& result);

  // Starts to load what close_due() reads first. Worth calling before add(), if close_due() comes after it.
  void look_ahead() const { look_ahead(wheel_.first()); }

  // Closes traces due at or before `now`, at most `max` of them. True: there may be more. Kept ones are appended.
  bool close_due(TimePoint now, std::size_t max, std::vector<ClosedTrace>& closed);

  // Closes up to `max` traces, soonest due first, whether due or not. Returns how many.
  std::size_t close_early(CloseReason reason, TimePoint now, std::size_t max, std::vector<ClosedTrace>& closed);

  // Lets go of up to `max` open traces without a verdict, because a journal has their spans. Returns how many.
  std::size_t hand_over(std::size_t max);

  // Lets go of open traces that have spans of `origin` only, without a verdict: they are read there again. Looks at
  // them as take_open() does. False: there are no more.
  bool forget(std::size_t& from, SpanOrigin origin);
  // No open trace, and none that is closed and not settled, began before this; `now` when there is none. It may be a
  // second too early.
  TimePoint oldest(TimePoint now) const;

  // Takes open traces that are `wanted` out, undecided, for whoever gives them to another daemon. Their pieces stay
  // until each is given to settle_handed() or put_back(). Looks at those from place `from` on, in an order of its own,
  // and at some thousands at most, and moves `from` on. False: there are no more.
  bool take_open(std::size_t& from, const std::function<bool(const TraceId&)>& wanted, std::vector<ClosedTrace>& taken);
  void settle_handed(const ClosedTrace& taken);
  // It is open again.
  void put_back(const ClosedTrace& taken);
  // Open here, or decided and remembered.
  bool knows(const TraceId& id) const;

  // The end of a closed trace: counts its spans and frees its memory.
  void settle(const ClosedTrace& closed, const SettledSpans& settled);
  // The same for LateSpans, whose facts are given.
  void settle_late(const TraceFacts& late, const SettledSpans& settled);

  // New traces with a randomness below this many 256ths are shed: not taken in, and their later spans neither.
  void set_shed_step(std::uint8_t step) { shed_step_ = step; }
  // How long the trace that was closed early last had been open.
  Duration last_early_wait() const { return std::chrono::milliseconds(last_early_wait_ms_); }

  // Of an open or remembered trace; names are left to the caller, who knows the tables and the sets.
  struct Remembered {
    ExplainRecord record;
    std::string service, name;
    std::vector<Vote> votes;
    std::vector<std::uint64_t> words;  // of the plan; none if they are not known
    std::optional<ExplainDetail> detail;
    std::optional<ExplainValues> values;
    bool open = false;
    bool verdict_only = false;  // the decision cache has it, and the log does not
  };
  std::optional<Remembered> explain(const TraceId& id);
  // The record of `age` (0: the newest); empty when there is none.
  const ExplainRecord* recent(std::uint64_t age) const { return explain_.recent(age); }
  const ExplainRecord* recent(std::uint64_t age, std::uint64_t written) const { return explain_.recent(age, written); }
  std::uint64_t records_written() const { return explain_.written(); }
  Remembered remembered(const ExplainRecord& record) const;
  std::uint64_t wall_latest_ns() const { return wall_ns(latest_ms_); }  // at the latest call
  std::uint64_t wall_ns(std::uint32_t ms) const;  // of the buffer's milliseconds, which wrap: the latest such moment

  // Before the first span. Null: none.
  void set_decision_log(DecisionLog* log) { log_ = log; }
  // Moves what was decided since the last call to the end of `out`; empty without a log.
  void take_decided(std::vector<DecidedTrace>& out) {
    out.insert(out.end(), decided_.begin(), decided_.end());
    decided_.clear();
  }
  // From now on traces that are known there get that verdict and are not judged. Null: none.
  void set_foregone(const Foregone* foregone) { foregone_ = foregone; }
  // From now on close_due() asks it about what is due, and about what waits once a second again. Null: nothing waits.
  void set_waits(std::shared_ptr<const Waits> waits) { waits_ = std::move(waits); }
  // A trace that was due before the last close_due() may be open, for it waits, or did.
  bool puts_off() const { return puts_off_; }
  Fate fate(const TraceId& id) const;
  // Spans of this trace are late from now on.
  void remember(const TraceId& id, const Verdict& verdict) { cache_.put(id, verdict); }

  void set_policies(PolicySetPtr policies) { policies_ = std::move(policies); }
  // Once a second: frees prefixes that no trace can refer to. Returns their bytes.
  std::size_t tidy(TimePoint now);

  LookUpPrefetch prefetcher() const { return {by_id_, cache_, seed_}; }

  // The prefix stays good, without the lock, until the closed trace that names it is settled.
  const Prefix& prefix(std::uint32_t id) const { return prefixes_.at(id); }

  const BufferCounters& counters() const { return counters_; }
  std::size_t traces_held() const { return by_id_.size(); }
  std::size_t prefix_bytes() const { return prefixes_.bytes(); }
  std::uint64_t cache_entries(bool kept) const { return cache_.entries(kept); }
  // Of the wheel's next list; negative when it is overdue, Duration::max() when nothing is open.
  Duration until_due(TimePoint now) const;

 private:
  OpenTrace& trace(ChunkRef ref) const { return *reinterpret_cast<OpenTrace*>(pool_.at(ref)); }
  void append(OpenTrace& trace, const SpanBatch& batch, const BatchTrace& part, std::uint32_t generation);
  void prefetch_header(ChunkRef ref) const;
  void look_ahead(ChunkRef ref) const;
  std::uint64_t hash_of(const TraceId& id) const { return hash_bytes(id.view(), seed_); }
  std::uint32_t due_ms(const OpenTrace& trace) const;
  bool is_due(OpenTrace& trace, std::uint32_t now_ms, CloseReason& reason);
  bool waits(const OpenTrace& trace) const;
  void put_off(std::uint32_t until_ms);
  enum class Wait : std::uint8_t { kMay, kMayNot };
  // False: it waits for the end of an interval (JudgedTrace::interval), which only Wait::kMay allows.
  bool close(ChunkRef ref, CloseReason reason, std::uint32_t now_ms, Wait wait, std::vector<ClosedTrace>& closed);
  std::optional<Verdict> judge(OpenTrace& trace, CloseReason reason, Wait wait, const TraceShape& shape);
  std::uint64_t random_of(const TraceId& id, const std::uint64_t* counters) const;  // the trace's R
  bool has_legacy_head(const OpenTrace& trace, const std::uint64_t* counters) const;
  std::uint32_t count_services(const OpenTrace& trace);
  void note_deciding(const OpenTrace& open, const TraceShape& shape, ClosedTrace& kept) const;
  void remember(const OpenTrace& open, const Verdict& verdict, std::uint32_t now_ms, const OpenTraceShape& shape);
  void note_missing(const OpenTrace& open, ExplainRecord& record);
  void note_values(const OpenTrace& open, ExplainRecord& record);
  void ask_again(const OpenTrace& trace);
  bool sheds(const SpanBatch& batch, const BatchTrace& part, std::uint32_t index, std::uint32_t now_ms);
  void count_late(const Verdict& verdict, const BatchTrace& part, std::uint32_t index, AddResult& result);
  void release(ChunkRef ref);
  // The shard's time never goes back: a request read the clock before it was scanned, others were quicker.
  std::uint32_t advance(TimePoint now);
  std::uint32_t to_ms(TimePoint t) const {
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(t - origin_).count());
  }

  BufferLimits limits_;
  std::uint32_t wait_ms_, after_root_ms_;
  std::uint64_t wall_at_origin_ns_;
  ChunkPool& pool_;
  ByteBudget& budget_;
  PolicySetPtr policies_;
  PolicyTables& tables_;
  TimePoint origin_;
  std::uint32_t latest_ms_ = 0;
  TimePoint latest_;
  LocalChunks chunks_;
  const std::uint64_t seed_;
  TraceTable by_id_;
  DeadlineWheel wheel_;
  DecisionCache cache_;
  ExplainLog explain_;
  RootNames roots_;
  PrefixTable prefixes_;
  BufferCounters counters_;
  DecisionLog* log_ = nullptr;
  const Foregone* foregone_ = nullptr;
  std::shared_ptr<const Waits> waits_;
  bool puts_off_ = false;
  std::uint32_t put_off_ms_ = 0;  // with puts_off_: when the last of what waits is asked about again
  std::vector<DecidedTrace> decided_;
  // scratch, kept for its memory
  std::vector<std::uint32_t> prefix_of_group_;
  std::uint8_t shed_step_ = 0;
  std::uint32_t last_early_wait_ms_ = 0;
  LinkScan links_;
  std::vector<Ballot> ballots_;  // of the trace judged last, as are words_of_judged_ and random_
  const std::uint64_t* words_of_judged_ = nullptr;
  std::uint64_t random_ = 0;
  bool legacy_head_ = false;  // so random_ is a hash, and no threshold can be told
  std::string payload_;
  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> resource_words_;
  std::vector<ByteView> attributes_, resource_attributes_;
  std::uint32_t looks_second_ = 0, looks_ = 0;  // of note_values(), in this second
};

}  // namespace tailgate
