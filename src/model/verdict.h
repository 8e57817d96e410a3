// SPDX-License-Identifier: Apache-2.0
// What can become of a trace, in words that every room shares. The strings are label values of the metrics.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/enum_names.h"

namespace tailgate {

// Why a trace was closed. The reason stays with its verdict.
enum class CloseReason : std::uint8_t {
  kRoot,      // root seen, then quiet and linked for decision_wait_after_root_received
  kTimeout,   // decision_wait was over
  kSize,      // trace_bytes_max or trace_spans_max reached
  kTooLarge,  // maximum_trace_size_bytes passed: not sampled, unjudged
  kMemory,    // the budget was short
  kShutdown,
};
inline constexpr std::array<std::string_view, 6> kCloseReasonNames = {"root",      "timeout", "size",
                                                                      "too_large", "memory",  "shutdown"};
static_assert(names_end_with(kCloseReasonNames, CloseReason::kShutdown, "shutdown"));

enum class Decision : std::uint8_t {
  kSampled,
  kNotSampled,
  kDropped,  // by a drop policy
};
inline constexpr std::array<std::string_view, 3> kDecisionNames = {"sampled", "not_sampled", "dropped"};
static_assert(names_end_with(kDecisionNames, Decision::kDropped, "dropped"));

// The outcome for one trace. 8 bytes: it is what the decision cache remembers.
struct Verdict {
  Decision decision = Decision::kNotSampled;
  CloseReason reason : 5 = CloseReason::kTimeout;
  bool complete : 1 = false;    // root seen and no parent missing when it was decided
  bool chance : 1 = false;      // kept, but its policies would have answered another id differently
  bool shed : 1 = false;        // not sampled, unjudged: memory was short when it arrived
  std::uint16_t policy = 0;     // NamesTable number of the policy that decided; 0 is "none"
  std::uint16_t route = 0;      // RouteTable number: which exporters get it; 0 is no exporter
  std::uint16_t threshold = 0;  // of a kept trace, ThresholdTable code; 0: kept with certainty

  // The first to go when a queue is full.
  bool by_chance() const { return chance; }
};
static_assert(sizeof(Verdict) == 8);

}  // namespace tailgate
