// SPDX-License-Identifier: Apache-2.0
#include "export/queue/send_limit.h"

#include <algorithm>

namespace tailgate {
namespace {

constexpr double kAtFirst = 4;
constexpr double kLeast = 2;  // so that one call without an answer does not stop the others
constexpr std::uint32_t kFailuresToOpen = 5, kFirstsToOpen = 2;
// Latency counts as flat up to twice the best and 5 ms, and as grown beyond three times and 50 ms: between the two
// nothing changes, and what a busy machine adds to a call of a millisecond is neither.
constexpr double kFlat = 2, kFlatSlack_s = 0.005, kGrown = 3, kGrownSlack_s = 0.05;
constexpr double kWeight = 0.2;   // of the newest in the average
constexpr double kDrift = 0.002;  // of the best, a call

}  // namespace

SendLimit::SendLimit(std::uint32_t most)
    : most_(std::max<std::uint32_t>(most, 1)), least_(std::min(most_, kLeast)), limit_(std::min(most_, kAtFirst)) {}

bool SendLimit::answered(TimePoint sent, TimePoint now, std::uint32_t in_flight) {
  failures_ = firsts_ = 0;
  const bool closed = open_;
  open_ = false;
  const double latency_s = std::chrono::duration<double>(now - sent).count();
  average_s_ = average_s_ == 0 ? latency_s : average_s_ + kWeight * (latency_s - average_s_);
  best_s_ = best_s_ == 0 ? latency_s : std::min(best_s_ * (1 + kDrift), latency_s);
  if (average_s_ > kGrown * best_s_ + kGrownSlack_s) {
    limit_ = std::max(least_, limit_ - 1 / limit_);
  } else if (in_flight >= limit() && average_s_ <= kFlat * best_s_ + kFlatSlack_s) {
    limit_ = std::min(most_, limit_ + 1 / limit_);
  }
  return closed;
}

void SendLimit::failed(bool first, TimePoint sent, TimePoint now, TimePoint retry_due, bool too_much) {
  ++failures_;
  if (first) ++firsts_;
  if (failures_ >= kFailuresToOpen && firsts_ >= kFirstsToOpen) open_ = true;
  if (open_) probe_due_ = retry_due;
  // Once a round: calls that were sent before say nothing about the smaller number.
  if (!too_much || !first || sent < halved_) return;
  limit_ = std::max(least_, limit_ / 2);
  halved_ = now;
}

}  // namespace tailgate
