// SPDX-License-Identifier: Apache-2.0
// PolicyHistory: the policies in force and the last few sets before them, whose votes the ExplainLog still remembers.
// Threads: any; it has its own lock.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>

#include "base/mutex.h"
#include "decide/policy_set.h"

namespace tailgate {

class PolicyHistory {
 public:
  explicit PolicyHistory(PolicySetPtr policies) : current_(std::move(policies)) {}

  PolicySetPtr current() const {
    const MutexLock lock(mutex_);
    return current_;
  }

  void replace(PolicySetPtr policies) {
    const MutexLock lock(mutex_);
    past_.push_back(std::exchange(current_, std::move(policies)));
    if (past_.size() > kPastSets) past_.pop_front();
  }

  // Null when that set is no longer known.
  PolicySetPtr of_epoch(std::uint32_t epoch) const {
    const MutexLock lock(mutex_);
    if (current_->epoch() == epoch) return current_;
    for (const PolicySetPtr& set : past_) {
      if (set->epoch() == epoch) return set;
    }
    return nullptr;
  }

 private:
  static constexpr std::size_t kPastSets = 16;

  mutable Mutex mutex_;
  PolicySetPtr current_ TAILGATE_GUARDED_BY(mutex_);
  std::deque<PolicySetPtr> past_ TAILGATE_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace tailgate
