// SPDX-License-Identifier: Apache-2.0
// Delivery: told when a kept trace is where a restart cannot lose it: every exporter has sent it, given it up for a
// reason that has a name, or has it in a durable queue on disk. A trace that a shutdown drops is not.
//
// A trace leaves in parts, and each part (a KeptTrace) has a share in its delivery. Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace tailgate {

class Delivery {
 public:
  virtual ~Delivery() = default;

  // Before the first of so many parts is gone.
  void expect(std::uint32_t parts) { left_.store(parts, std::memory_order_relaxed); }
  void part_gone() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1 && !lost_.load(std::memory_order_relaxed)) delivered();
  }
  void lost() { lost_.store(true, std::memory_order_relaxed); }
  // A queue that was full dropped a part, and has room for it at other times. Who has the spans still may read them
  // again, and says lost(); for others it is given up. Before part_gone() of this part.
  virtual void pushed_out() {}

 protected:
  virtual void delivered() = 0;
  bool is_lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> left_{1};
  std::atomic<bool> lost_{false};
};

// Of one part; gone with the part, when the last queue lets go of it. A copy has none.
class DeliveryShare {
 public:
  DeliveryShare() = default;
  DeliveryShare(const DeliveryShare&) {}
  DeliveryShare& operator=(const DeliveryShare&) = delete;
  ~DeliveryShare() {
    if (of_ != nullptr && holders_.load(std::memory_order_relaxed) != 0) of_->part_gone();
  }

  void set(std::shared_ptr<Delivery> of) { of_ = std::move(of); }
  // Before the part is pushed anywhere: how many must say on_disk() for the part to be gone sooner.
  void expect(std::uint32_t holders) const { holders_.store(holders, std::memory_order_relaxed); }
  void on_disk() const {
    if (of_ != nullptr && holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) of_->part_gone();
  }
  bool any() const { return of_ != nullptr; }
  void lost() const {
    if (of_ != nullptr) of_->lost();
  }
  void pushed_out() const {
    if (of_ != nullptr) of_->pushed_out();
  }

 private:
  std::shared_ptr<Delivery> of_;
  mutable std::atomic<std::uint32_t> holders_{1};
};

}  // namespace tailgate
