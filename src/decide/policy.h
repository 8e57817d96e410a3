// SPDX-License-Identifier: Apache-2.0
// Policy: one rule of the configuration, compiled. It answers from the facts of a trace and the bits that its
// predicates set there, and never reads spans. Policies are pure, except that rate limits count in a Limiter. Threads:
// any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "decide/judged_trace.h"
#include "model/threshold.h"

namespace tailgate {

enum class Vote : std::uint8_t {
  kNotAsked,  // also: asked, and it failed (ottl_condition with error_mode propagate)
  kNotSampled,
  kSampled,
  kDropped,
  kPending,  // ask again when the interval is over
};

struct Ballot {
  Ballot(Vote v = Vote::kNotSampled, std::uint64_t t = kCertain) : vote(v), threshold(t) {}

  Vote vote;
  std::uint16_t part = 0;  // NamesTable number of the part of the policy that kept the trace; 0: it has none by name
  // Sampled: a trace is kept if its R reaches this; kCertain when chance had no part, kUnknownChance when it cannot be
  // said. Not sampled: kUnknownChance if another trace id could have been answered differently, else kCertain.
  std::uint64_t threshold;

  bool sampled() const { return vote == Vote::kSampled; }
  bool by_chance() const { return threshold != kCertain; }
};

inline Ballot ballot(bool keep) { return {keep ? Vote::kSampled : Vote::kNotSampled, kCertain}; }
inline Ballot ballot_by_random(std::uint64_t random, std::uint64_t threshold) {
  if (threshold == kNever) return ballot(false);
  return random >= threshold ? Ballot{Vote::kSampled, threshold} : Ballot{Vote::kNotSampled, kUnknownChance};
}

// What spans and resources say about an attribute, where that is still known.
class SeenValues {
 public:
  virtual ~SeenValues() = default;
  // In words: the value in the span of which the predicate `bit` is true; where it is true of none, the first few
  // values there are, or "on no span". "": not known.
  virtual std::string value(std::size_t bit, std::string_view attribute) const = 0;
};

// A vote that somebody asks about.
struct AskedVote {
  const JudgedTrace& trace;  // as it was judged
  Vote vote;
  const SeenValues* seen = nullptr;

  AskedVote with(Vote other) const { return {trace, other, seen}; }
  std::string value(std::size_t bit, std::string_view attribute) const {
    return seen != nullptr ? seen->value(bit, attribute) : "";
  }
};

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
  // What this policy saw of a trace that it gave this vote, and what it wanted: "duration 48 us, wanted > 1000 ms". It
  // is put together when somebody asks, long after the vote, so nothing is counted or taken from a limit.
  virtual std::string why(const AskedVote& asked) const = 0;
};

using PolicyPtr = std::unique_ptr<const Policy>;

}  // namespace tailgate
