// SPDX-License-Identifier: Apache-2.0
// KeptTraceMaker: makes KeptTraces out of the spans of a kept trace, in three steps.
//
//   check  reads each span once: leaves out what a backend would reject or repairs it (wire/otlp/repair.h; charged to
//          the queues until the trace is framed), finds the headline and the deciding spans
//   stamp  adds what the daemon writes onto spans (stamp.h)
//   frame  puts the spans under their resources and scopes again, in parts of 2 MiB, charged to the queues
//
// Threads: any, each with its own Scratch, without a shard's lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "buffer/closed_trace.h"
#include "buffer/decision_log.h"
#include "buffer/store/kept_sink.h"
#include "buffer/store/stamp.h"
#include "buffer/trace_buffer.h"
#include "model/kept_trace.h"
#include "telemetry/log.h"
#include "wire/otlp/frame.h"
#include "wire/otlp/repair.h"

namespace tailgate {

struct KeptTraceMakerOptions {
  RecordPolicy record_policy = RecordPolicy::kOff;
  TimePoint origin;
  std::uint64_t wall_at_origin_ns = 0;  // the wall clock at `origin`
};

class KeptTraceMaker {
 public:
  // All of them outlive the maker. It asks `sink` for room only.
  KeptTraceMaker(const KeptTraceMakerOptions& options, ByteBudget& budget, const PolicyTables& tables, KeptSink& sink)
      : options_(options), budget_(budget), tables_(tables), sink_(sink) {}

  struct Scratch {
    std::vector<FrameSpan> spans;  // in: those of the trace
    std::vector<KeptTracePtr> out;
    // Below: the maker's own, kept for their memory.
    std::vector<FrameSpan> part;
    std::vector<ByteView> trace_states;  // of spans
    std::deque<std::string> written;     // bytes that spans point to while a trace is made: repaired ones, stamps
  };

  struct Input {
    const TraceId& id;
    const Verdict& verdict;
    const TraceFacts& facts;
    TimePoint now;
    ClosedTrace* closed = nullptr;  // its deciding spans are filled in; null: late spans
    std::uint64_t now_unix_ns = 0;  // when it closed: now() of its conditions
    std::uint64_t request = 0;      // of late spans, SpanBatch::request; of what is kept after the fact, its copy
    // Not empty: it was not kept then, and is now, for this reason.
    std::string_view kept_after = {};
  };

  // Appends to scratch.out all parts of the trace or, when the result names a reason to shed it, nothing.
  SettledSpans make(const Input& in, Scratch& scratch);

  // Before the first trace: who wants to know when a trace is delivered. Null: nobody.
  void set_decision_log(DecisionLog* log) { log_ = log; }

  // Tracestates of kept spans that got no new threshold.
  std::uint64_t tracestates_unparsable() const { return unparsable_; }
  std::uint64_t tracestates_without_room() const { return no_room_; }
  // What was repaired in kept spans, their resources and scopes.
  Repairs repairs() const { return {repaired_texts_, cut_values_}; }

 private:
  struct Headline;

  SettledSpans make(const Input& in, Scratch& scratch, Charge& repaired, std::shared_ptr<Delivery>& delivery);
  // `repaired` grows by the memory of what was repaired.
  Headline check(const Input& in, Scratch& scratch, Charge& repaired, SettledSpans& result);
  // `first`: the first span that was repaired, empty when only resources and scopes were.
  void report(const Repairs& repairs, ByteView first, const Input& in, const Headline& headline);
  TraceSummary summarize(const Input& in, const Headline& headline) const;
  void stamp(const TraceSummary& summary, const char* root, TimePoint now, Scratch& scratch);
  // `delivery` is handed to the parts, if there are any.
  std::optional<Shed> frame(const TraceSummary& summary, Scratch& scratch, std::shared_ptr<Delivery>& delivery);
  bool grow(Charge& charge, std::size_t bytes, bool by_chance);

  const KeptTraceMakerOptions options_;
  ByteBudget& budget_;
  const PolicyTables& tables_;
  KeptSink& sink_;
  DecisionLog* log_ = nullptr;
  std::atomic<std::uint64_t> unparsable_{0}, no_room_{0}, repaired_texts_{0}, cut_values_{0};
  LogLimiter repair_log_{std::chrono::minutes(1)};
};

}  // namespace tailgate
