// SPDX-License-Identifier: Apache-2.0
// ExplainLog: what became of the last traces of a shard, kept ones and others, so that "why was this dropped?" has an
// answer.
//
//   ring     records of one size; the oldest is overwritten. They are written in order, so the processor prefetches the
//            two or so cache lines that a record takes
//   index    buckets of 16 record numbers, by hash of the id. A look-up reads one cache line, a record writes one. A
//            number whose record has another id is stale; the oldest number of a bucket is overwritten
//   details  a smaller ring for what few records have: which span decided, which parents are missing
//   values   another, for what some of the last records have: values of attributes
//
// Threads: the holder of the shard's lock. The system provides memory only as it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/pages.h"
#include "buffer/explain_values.h"
#include "decide/policy.h"
#include "model/ids.h"
#include "model/verdict.h"

namespace tailgate {

struct ExplainRecord {
  static constexpr std::size_t kNameBytes = 68;

  TraceId id;
  std::uint64_t random = 0;
  std::int64_t duration_ns = 0;
  std::uint64_t bytes = 0;
  std::uint32_t first_ms = 0, closed_ms = 0;  // the buffer's clock
  std::uint32_t spans = 0, errors = 0, late_spans = 0;
  std::uint32_t late_errors = 0;  // of late_spans, those with status ERROR
  std::uint32_t missing = 0;
  std::uint32_t epoch = 0;   // of the set whose policies the votes are
  std::uint32_t detail = 0;  // number of its Detail + 1; 0: none
  Verdict verdict;
  std::uint8_t shed = 0;  // Shed + 1; 0: none
  std::uint8_t shed_step = 0;
  std::uint8_t service_size = 0, name_size = 0;
  std::uint16_t votes = 0;  // how many follow the record, 2 bits each
  std::uint8_t words = 0;   // and of the trace's ScanPlan; 0: there were more than there is room for
  bool root_seen = false;
  std::uint16_t services = 0, depth = 0;  // TraceShape's, where policies asked for them; at most 65,535
  std::uint32_t values = 0;               // number of its ExplainValues + 1; 0: none
  char names[kNameBytes];                 // service, then name

  ByteView service() const { return {names, service_size}; }
  ByteView name() const { return {names + service_size, name_size}; }
  void set_root(ByteView service, ByteView name);
};
static_assert(sizeof(ExplainRecord) == 168);

struct ExplainDetail {
  static constexpr std::size_t kVotes = 4, kMissing = 4;
  struct Vote {
    std::uint64_t span_id = 0;  // as its 8 bytes stand
    std::uint32_t bit = 0;      // predicate, in the plan of the record's epoch
    std::uint32_t policy = 0;   // by its place in the set
  };
  std::uint32_t record = 0;  // number of the one it belongs to + 1
  std::uint8_t vote_count = 0, missing_count = 0;
  Vote votes[kVotes];
  std::uint64_t missing[kMissing] = {};
};

class ExplainLog {
 public:
  // `bytes_max` 0 turns it off. Votes of at most `policies_max` policies are kept, and at most `words_max` words of
  // what their predicates answered.
  ExplainLog(std::size_t bytes_max, std::size_t policies_max, std::size_t words_max, std::uint64_t seed);

  bool on() const { return capacity_ != 0; }
  // Remembers a decision, over an older one of the same trace.
  ExplainRecord& put(const TraceId& id, const std::vector<Ballot>& ballots);
  // Starts to load what put(id) will write.
  void prefetch(const TraceId& id) const {
    if (!on()) return;
    __builtin_prefetch(bucket(id), 1);
    __builtin_prefetch(&at(static_cast<std::size_t>(next_ % capacity_)), 1);
  }
  ExplainRecord* find(const TraceId& id);
  const ExplainRecord* find(const TraceId& id) const { return const_cast<ExplainLog*>(this)->find(id); }
  // The details of a record, made if it has none. The reference is good until the next call.
  ExplainDetail& detail(ExplainRecord& record);
  const ExplainDetail* find_detail(const ExplainRecord& record) const;
  // The same for its values. Those of the oldest make room.
  ExplainValues& new_values(ExplainRecord& record);
  const ExplainValues* find_values(const ExplainRecord& record) const;
  Vote vote(const ExplainRecord& record, std::size_t policy) const;
  // What the policies judged by, so that they can say later what they saw. Too many words are left out whole.
  void put_words(ExplainRecord& record, const std::uint64_t* words, std::size_t count);
  const std::uint64_t* words(const ExplainRecord& record) const {
    return reinterpret_cast<const std::uint64_t*>(reinterpret_cast<const char*>(&record + 1) + vote_bytes_);
  }

  std::uint64_t written() const { return next_; }
  // The record written `age` records ago (0: the last), if it is still there. With `written` given: ago at that time,
  // so that a list can be read in parts while more is written.
  const ExplainRecord* recent(std::uint64_t age) const;
  const ExplainRecord* recent(std::uint64_t age, std::uint64_t written) const { return recent(age + next_ - written); }
  std::size_t size() const { return next_ < capacity_ ? static_cast<std::size_t>(next_) : capacity_; }

 private:
  static constexpr std::size_t kWays = 16;

  ExplainRecord& at(std::size_t i) const { return *reinterpret_cast<ExplainRecord*>(ring_.data() + i * record_bytes_); }
  std::size_t number_of(const ExplainRecord& record) const {
    return static_cast<std::size_t>(reinterpret_cast<const char*>(&record) - ring_.data()) / record_bytes_;
  }
  std::uint32_t* bucket(const TraceId& id) const;

  std::uint64_t seed_;
  std::size_t vote_bytes_ = 0, words_max_ = 0, record_bytes_ = 0;
  std::size_t capacity_ = 0;
  std::uint64_t next_ = 0;  // records written so far
  std::uint64_t next_detail_ = 0, next_values_ = 0;
  PageArray<char> ring_;
  PageArray<std::uint32_t> index_;  // record number + 1; 0 is empty
  std::size_t buckets_ = 0;
  PageArray<ExplainDetail> details_;
  PageArray<ExplainValues> values_;
};

}  // namespace tailgate
