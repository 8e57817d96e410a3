// SPDX-License-Identifier: Apache-2.0
// OfflineJudge: the policies over whole files instead of a stream, for `tailgate decide` and for tests that hold
// engines against each other. Scanner and PolicySet are the daemon's; every trace stays open until the end of the
// input, and time is what the spans say: a trace is judged at its last end, `Now()` is the last end in the request a
// span came in.
//
// Threads: one. Memory: the input, and some 60 bytes a span.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "buffer/trace_buffer.h"
#include "decide/policy_set.h"
#include "wire/otlp/scan.h"

namespace tailgate {

struct OfflineVote {
  std::uint16_t policy = 0;  // NamesTable number
  Vote vote = Vote::kNotSampled;
  std::uint64_t threshold = kCertain;  // as in Ballot
  std::optional<SpanId> span;          // the first whose predicate made it vote so, where one did
  std::string attribute;               // that the predicate looked at; "" for none
  std::string why;                     // Policy::why
};

struct OfflineTrace {
  TraceId id;
  TraceFacts facts;
  Verdict verdict;                 // of a trace that is too_large: not sampled, without votes
  std::vector<OfflineVote> votes;  // of the policies that were asked, in the order they were
};

class OfflineJudge {
 public:
  // Of `limits` those that bound or complete a trace name the close reason; waits do not pass.
  OfflineJudge(PolicySetPtr policies, const BufferLimits& limits);

  // Takes a TracesData or ExportTraceServiceRequest. When the result is not ok nothing of it is taken; spans with bad
  // ids never are.
  ScanResult add(std::string otlp);

  // Judges everything, in the order of last ends, so that rate limits see time go by. Gives the traces in the order of
  // their first span, and is to be called once. After `stop`, which is asked before each trace, has said yes, those not
  // yet judged are left out.
  std::vector<OfflineTrace> finish(const std::function<bool()>& stop = {});

 private:
  struct Group {
    ByteView resource, scope;
    std::uint64_t now_unix_ns;
  };
  struct Span {
    ByteView bytes;
    std::uint32_t group;
    SpanLink link;
  };
  struct Trace {
    TraceId id;
    TraceFacts facts;
    std::vector<std::uint64_t> words;
    std::vector<Span> spans;  // in the order they came
  };
  struct IdHash {
    std::size_t operator()(const TraceId& id) const;
  };
  class Shape;
  class Seen;

  void take(SpanBatch& batch);
  CloseReason reason_of(const Trace& trace, const TraceShape& shape) const;
  bool judge(const Trace& trace, std::uint32_t interval, OfflineTrace& out);
  void explain(const JudgedTrace& judged, const Trace& trace, std::vector<OfflineVote>& votes) const;
  static TimePoint end_of(const Trace& trace);

  PolicySetPtr policies_;
  BufferLimits limits_;
  std::deque<std::string> requests_;              // what the views point into
  std::vector<std::deque<std::string>> scratch_;  // and where they could not
  std::vector<Group> groups_;
  std::vector<Trace> traces_;  // in the order of their first span
  std::unordered_map<TraceId, std::uint32_t, IdHash> by_id_;
  SpanBatch batch_;
  LinkScan links_;
  PolicyTally tally_;
  std::vector<Ballot> ballots_;
};

}  // namespace tailgate
