// SPDX-License-Identifier: Apache-2.0
// HeldBodies: counts the memory of one endpoint's incomplete bodies, as the budget is charged for it. A request that
// arrives whole in one read is never counted, so senders that hold bodies back cannot lock the others out.
//
// Past `max` the next incomplete body is refused. One body at a time may be larger than the room, so that large
// requests get through. Under pressure a held body must grow by a quarter in each body_grace, or it is refused: holding
// costs the sender bandwidth. Threads: any; one atomic addition per read of an incomplete body.
#pragma once

#include <atomic>
#include <cstddef>

namespace tailgate {

class HeldBodies {
 public:
  explicit HeldBodies(std::size_t max) : max_(max) {}

  bool pressed() const { return used_.load(std::memory_order_relaxed) > max_ / 2; }

  // One body's part. Belongs to the body's thread; the destructor gives it back.
  class Share {
   public:
    Share() = default;
    ~Share() { release(); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Holds `bytes` in all. Returns false and changes nothing when there is no room; fewer than before always succeeds.
    bool hold(HeldBodies& bodies, std::size_t bytes) {
      bodies_ = &bodies;
      if (large_) return true;
      if (bytes <= bytes_) {
        bodies.used_.fetch_sub(bytes_ - bytes, std::memory_order_relaxed);
        bytes_ = bytes;
        return true;
      }
      const std::size_t more = bytes - bytes_;
      if (bodies.used_.fetch_add(more, std::memory_order_relaxed) + more <= bodies.max_) {
        bytes_ = bytes;
        return true;
      }
      bodies.used_.fetch_sub(more, std::memory_order_relaxed);
      if (bodies.large_.exchange(true, std::memory_order_relaxed)) return false;
      bodies.used_.fetch_sub(bytes_, std::memory_order_relaxed);
      bytes_ = 0;
      large_ = true;
      return true;
    }
    bool pressed() const { return large_ || (bodies_ != nullptr && bytes_ != 0 && bodies_->pressed()); }
    void release() {
      if (bytes_ != 0) bodies_->used_.fetch_sub(bytes_, std::memory_order_relaxed);
      if (large_) bodies_->large_.store(false, std::memory_order_relaxed);
      bytes_ = 0;
      large_ = false;
    }

   private:
    HeldBodies* bodies_ = nullptr;
    std::size_t bytes_ = 0;
    bool large_ = false;
  };

 private:
  const std::size_t max_;
  std::atomic<std::size_t> used_{0};
  std::atomic<bool> large_{false};
};

}  // namespace tailgate
