// How often the conditions of a policy could not be answered. Threads: any; written only where one fails.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace tailgate {

// Of one policy, and of the policy of that name after a reload.
using ConditionErrors = std::shared_ptr<std::atomic<std::uint64_t>>;

class ConditionErrorTable {
 public:
  ConditionErrors of(const std::string& policy) {
    const std::lock_guard lock(mutex_);
    ConditionErrors& errors = by_name_[policy];
    if (errors == nullptr) errors = std::make_shared<std::atomic<std::uint64_t>>(0);
    return errors;
  }
  // Of the policies that have conditions.
  std::vector<std::pair<std::string, std::uint64_t>> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<std::string, std::uint64_t>> out;
    for (const auto& [name, errors] : by_name_) out.emplace_back(name, errors->load(std::memory_order_relaxed));
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, ConditionErrors> by_name_;  // guarded by mutex_
};

}  // namespace tailgate
