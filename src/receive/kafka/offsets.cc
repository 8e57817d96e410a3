// SPDX-License-Identifier: Apache-2.0
#include "receive/kafka/offsets.h"

#include <algorithm>

namespace tailgate {
namespace {

constexpr Duration kRun = std::chrono::milliseconds(100);

}  // namespace

void OffsetTracker::handed(std::int64_t last, TimePoint now, std::optional<std::int64_t> first) {
  if (!runs_.empty() && now < runs_.back().since + kRun) {
    runs_.back().last = last;
    runs_.back().until = std::max(runs_.back().until, now);
  } else {
    runs_.push_back({next_.value_or(first.value_or(last)), last, now, now});
  }
  next_ = last + 1;
}

void OffsetTracker::settle(TimePoint before) {
  if (frozen_from_) before = std::min(before, *frozen_from_);
  while (!runs_.empty() && runs_.front().until < before) {
    committable_ = runs_.front().last + 1;
    runs_.pop_front();
  }
}

void OffsetTracker::freeze(TimePoint from) { frozen_from_ = frozen_from_ ? std::min(*frozen_from_, from) : from; }

std::optional<OffsetTracker::Undecided> OffsetTracker::undecided() const {
  if (runs_.empty()) return std::nullopt;
  return Undecided{runs_.front().first, runs_.front().since};
}

}  // namespace tailgate
