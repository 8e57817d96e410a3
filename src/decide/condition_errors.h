// SPDX-License-Identifier: Apache-2.0
// Counts how often the conditions of a policy failed with an error. Threads: any; written only when one fails.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace tailgate {

// Of one policy, and of the policy of that name after a reload.
using ConditionErrors = std::shared_ptr<std::atomic<std::uint64_t>>;

class ConditionErrorTable {
 public:
  ConditionErrors of(const std::string& policy) {
    const MutexLock lock(mutex_);
    ConditionErrors& errors = by_name_[policy];
    if (errors == nullptr) errors = std::make_shared<std::atomic<std::uint64_t>>(0);
    return errors;
  }
  // Of the policies that have conditions.
  std::vector<std::pair<std::string, std::uint64_t>> all() const {
    const MutexLock lock(mutex_);
    std::vector<std::pair<std::string, std::uint64_t>> out;
    for (const auto& [name, errors] : by_name_) out.emplace_back(name, errors->load(std::memory_order_relaxed));
    return out;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, ConditionErrors> by_name_ TAILGATE_GUARDED_BY(mutex_);
};

}  // namespace tailgate
