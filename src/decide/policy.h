// Policy: one rule of the configuration, compiled. It answers over the facts of a trace and the bits its predicates left
// there, never over spans. Pure: the same trace, the same ballot. Threads: any.
#pragma once

#include <cstdint>
#include <memory>

#include "model/ids.h"
#include "model/trace_facts.h"

namespace tailgate {

struct JudgedTrace {
  const TraceId& id;
  const TraceFacts& facts;
  const std::uint64_t* words;  // predicate bits

  bool bit(std::size_t i) const { return (words[i >> 6] >> (i & 63) & 1) != 0; }
};

enum class Vote : std::uint8_t { kNotSampled, kSampled, kDropped };

struct Ballot {
  Vote vote = Vote::kNotSampled;
  bool by_chance = false;  // another trace id would have been answered differently
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual Ballot evaluate(const JudgedTrace& trace) const = 0;
  // Drop policies are asked first and the first that drops ends it.
  virtual bool drops() const { return false; }
};

using PolicyPtr = std::unique_ptr<const Policy>;

}  // namespace tailgate
