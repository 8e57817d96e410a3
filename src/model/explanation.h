// SPDX-License-Identifier: Apache-2.0
// Explanation: all that is known about what became of one trace, in words and numbers for people. It is built when
// somebody asks, from an open trace or from what the ExplainLog remembers of a decided one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/ids.h"
#include "model/verdict.h"

namespace tailgate {

struct ExplainedVote {
  std::string policy;
  std::string vote;       // sampled, not_sampled, dropped
  std::string span_id;    // hex, of the span that decided; "" when none did or it is not known
  std::string attribute;  // what the policy looked at in that span
  std::string why;        // what it saw and what it wanted; "" when that is not known any more
};

struct Explanation {
  TraceId id;
  bool decided = false;
  // Of the rest only `verdict`, `policy`, `complete`, `threshold` and `exporters` are known: it was decided a while
  // ago, by an earlier process or by another member.
  bool verdict_only = false;
  Verdict verdict;     // when decided
  std::string policy;  // the policy that decided; "" when none did
  std::string shed;    // why no exporter got this kept trace; "" otherwise
  bool complete = false;
  std::uint32_t missing_count = 0;           // parents that spans name but that have not arrived
  std::vector<std::string> missing_parents;  // the first few of them, hex
  std::uint64_t first_seen_unix_ns = 0;
  std::uint64_t decided_unix_ns = 0;
  std::int64_t duration_ns = 0;  // by the senders' clocks
  std::uint32_t spans = 0, errors = 0;
  std::uint32_t late_spans = 0;   // that arrived after the verdict
  std::uint32_t late_errors = 0;  // of these, with status ERROR
  std::uint64_t bytes = 0;
  std::string root_service, root_name;  // cut to some dozens of bytes; "" when no root arrived
  std::uint64_t random = 0;             // 56 bits
  std::uint64_t threshold = 0;          // of a kept trace; kCertain, kUnknownChance
  std::uint64_t shed_threshold = 0;     // that new traces had to pass when this one arrived; 0: none
  std::vector<ExplainedVote> votes;
  std::vector<std::size_t> exporters;  // indices of those it was given to
};

// What to list. Empty fields match everything.
struct ExplainQuery {
  std::string policy = {};              // or a part of one: `rules/slow`
  std::string decision = {};            // of kDecisionNames
  std::string service = {}, root = {};  // patterns (glob.h) of the root's service and name
  std::size_t limit = 100;
};

}  // namespace tailgate
