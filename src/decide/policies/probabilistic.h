// SPDX-License-Identifier: Apache-2.0
// Keeping a share of all traces: contrib's hash of the trace id, or the trace's own randomness with use_tracestate.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "decide/policy.h"

namespace tailgate {

// A trace is kept when its hash is at most this.
std::uint64_t probabilistic_threshold(double percentage);

// Chance of a policy or of a part of one.
class Chance {
 public:
  Chance(double percentage, std::string_view salt, bool use_tracestate);
  Ballot ask(const JudgedTrace& trace) const;
  // "chance 0.43, wanted < 0.01"; "" where every trace is kept.
  std::string why(const JudgedTrace& trace) const;

 private:
  double share_;
  bool by_random_;
  std::uint64_t threshold_;  // of the hash, or T
  std::uint64_t salted_;     // the hash after the salt
};

}  // namespace tailgate
