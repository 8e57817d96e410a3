// SPDX-License-Identifier: Apache-2.0
// Candidates: the traces of a partition that may meet what a search needs, by its index. Pure but for the files.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/trace_needs.h"
#include "store/partition.h"

namespace tailgate {

// TraceNeeds::all as hashes. An alternative that every trace has makes the whole list empty of meaning: it is left out.
class NeededTerms {
 public:
  explicit NeededTerms(const TraceNeeds& needs);
  const std::vector<std::vector<TermHash>>& lists() const { return lists_; }

 private:
  std::vector<std::vector<TermHash>> lists_;
};

// Of each list the traces that may have one of its terms, sorted; nothing: all of them may.
using CandidateLists = std::vector<std::optional<std::vector<TraceNumber>>>;

// Looks into the postings in memory at once and later, with a connection, into those on disk, so that a posting that
// moves from one to the other is not missed.
CandidateLists recent_candidates(const Partition& partition, const NeededTerms& needed);
// Files without a trace in this time are left out: the lists are right for the traces that overlap it in this
// partition. Paths of those that are missing or damaged go into `damaged_files`; their traces are all candidates.
struct CandidateTime {
  std::uint64_t from_ns = 0, to_ns = std::numeric_limits<std::uint64_t>::max();
};
Result<void> add_stored_candidates(Partition& partition, Database& db, const NeededTerms& needed,
                                   const CandidateTime& time, CandidateLists& lists,
                                   std::set<std::string>& damaged_files);

// What is in all lists; nothing: every trace.
std::optional<std::vector<TraceNumber>> in_all(const CandidateLists& lists);

}  // namespace tailgate
