// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/shedding.h"

#include <algorithm>

namespace tailgate {
namespace {

constexpr Duration kAdaptEvery = std::chrono::milliseconds(200);

}  // namespace

Shedding::Shedding(Duration min_wait, TimePoint origin) : min_wait_(min_wait), next_adapt_(origin + kAdaptEvery) {}

void Shedding::closed_early(std::size_t traces, Duration wait) {
  const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
  early_wait_ms_ = ms;
  std::int64_t shortest = shortest_ms_;
  while (ms < shortest && !shortest_ms_.compare_exchange_weak(shortest, ms)) {
  }
  early_traces_ += traces;  // last: a reader that sees these traces also sees their wait
}

EarlyDecisions Shedding::take_early() {
  const std::uint64_t traces = early_traces_.exchange(0);
  if (traces == 0) return {};  // any wait that is set belongs to traces that are about to be counted
  const std::int64_t shortest = shortest_ms_.exchange(kNoWait);
  return {traces, shortest == kNoWait ? Duration::max() : std::chrono::milliseconds(shortest)};
}

void Shedding::adapt(TimePoint now) {
  if (now < next_adapt_) return;
  next_adapt_ = now + kAdaptEvery;
  const std::int64_t wait_ms = early_wait_ms_.exchange(-1);
  if (min_wait_ == Duration::zero()) return;
  if (wait_ms < 0) {
    taken_share_ = std::min(1.0, taken_share_ * 1.05 + 0.005);
  } else {
    const double ratio = static_cast<double>(wait_ms) * 1e6 / static_cast<double>(min_wait_.count());
    taken_share_ = std::clamp(taken_share_ * std::clamp(ratio, 0.8, 1.05), 1.0 / 256, 1.0);
  }
  step_ = static_cast<std::uint8_t>(std::min(255.0, (1 - taken_share_) * 256));
}

}  // namespace tailgate
