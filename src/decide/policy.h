// Policy: one rule of the configuration, compiled. It answers over the facts of a trace and the bits its predicates
// left there, never over spans. Pure but for rate limits, which keep count in a Limiter. Threads: any.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "model/ids.h"
#include "model/threshold.h"
#include "model/trace_facts.h"
#include "model/verdict.h"

namespace tailgate {

// What only a look at the whole trace can tell. Computed when asked, so ask last.
class TraceShape {
 public:
  virtual ~TraceShape() = default;
  virtual std::uint32_t missing_parents() const = 0;  // different span ids named as a parent that have not come
  virtual std::uint32_t depth() const = 0;     // spans on the longest way down from a span without a known parent
  virtual std::uint32_t services() const = 0;  // different values of service.name, an absent one among them
};

struct JudgedTrace {
  const TraceId& id;
  const TraceFacts& facts;
  const std::uint64_t* words;               // predicate bits
  const std::uint64_t* counters = nullptr;  // ScanPlan::add_sum and add_first
  const TraceShape* shape = nullptr;        // null in tests that do not ask
  CloseReason reason = CloseReason::kTimeout;
  std::uint64_t random = 0;  // R, 56 bits
  TimePoint now{};           // of the decision
  // Rate limits that choose by randomness need all candidates of an interval (Limiter). A trace that may wait and was
  // not offered yet (interval 0) is offered now and decided when the interval is over; else the interval it was offered
  // in.
  std::uint32_t interval = 0;
  bool may_wait = true;
  bool again = false;  // asked before: what fails is not counted once more

  bool bit(std::size_t i) const { return (words[i >> 6] >> (i & 63) & 1) != 0; }
  bool waits() const { return may_wait && interval == 0; }  // for the end of an interval, if a limit asks for it
  bool complete() const { return facts.root_seen && (shape == nullptr || shape->missing_parents() == 0); }
};

enum class Vote : std::uint8_t {
  kNotAsked,  // also: asked, and it failed (ottl_condition with error_mode propagate)
  kNotSampled,
  kSampled,
  kDropped,
  kPending,  // ask again when the interval is over
};

struct Ballot {
  Vote vote = Vote::kNotSampled;
  // Sampled: a trace is kept if its R reaches this; kCertain when chance had no part, kUnknownChance when it cannot be
  // said. Not sampled: kUnknownChance if another trace id could have been answered differently, else kCertain.
  std::uint64_t threshold = kCertain;

  bool sampled() const { return vote == Vote::kSampled; }
  bool by_chance() const { return threshold != kCertain; }
};

inline Ballot ballot(bool keep) { return {keep ? Vote::kSampled : Vote::kNotSampled, kCertain}; }
inline Ballot ballot_by_random(std::uint64_t random, std::uint64_t threshold) {
  if (threshold == kNever) return ballot(false);
  return random >= threshold ? Ballot{Vote::kSampled, threshold} : Ballot{Vote::kNotSampled, kUnknownChance};
}

class Policy {
 public:
  virtual ~Policy() = default;
  virtual Ballot evaluate(const JudgedTrace& trace) const = 0;
  // Drop policies are asked first and the first that drops ends it.
  virtual bool drops() const { return false; }
  // Asking changes a count that other traces are judged by.
  virtual bool stateful() const { return false; }
  // The set this policy belongs to goes live.
  virtual void activate() const {}
  // The predicate whose answer made this trace sampled, for people who ask why; -1: none did.
  virtual int deciding_bit(const JudgedTrace&) const { return -1; }
};

using PolicyPtr = std::unique_ptr<const Policy>;

}  // namespace tailgate
