// SPDX-License-Identifier: Apache-2.0
// What policies say of one trace that came in one request.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "decide/judged_trace.h"
#include "model/threshold.h"
#include "support/otlp_builder.h"
#include "support/policies.h"

namespace tailgate::test {

inline Verdict judge(const Policies& policies, const std::string& bytes, const TraceShape* shape = nullptr,
                     CloseReason reason = CloseReason::kTimeout) {
  INFO((policies.errors.empty() ? "" : policies.errors[0]));
  REQUIRE(policies.errors.empty());
  const Scanned scanned(bytes, policies.set->plan());
  REQUIRE(scanned.result.ok);
  REQUIRE(scanned.batch.traces.size() == 1);
  PolicyTally tally;
  const BatchTrace& trace = scanned.batch.traces[0];
  const std::uint64_t* const words = scanned.batch.words_of(0);
  JudgedTrace judged{trace.id, trace.facts, words, words + policies.set->plan().bit_words()};
  judged.shape = shape;
  judged.reason = reason;
  judged.random = randomness_of(trace.id);
  judged.now = TimePoint(std::chrono::seconds(100));
  std::vector<Ballot> ballots;
  return policies.set->decide(judged, tally, ballots).value();
}

inline bool keeps(const std::string& policy, const std::vector<SpanSpec>& spans) {
  return judge(Policies("[" + policy + "]"), request(spans)).decision == Decision::kSampled;
}

}  // namespace tailgate::test
