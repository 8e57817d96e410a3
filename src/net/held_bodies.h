// HeldBodies: the bytes of one endpoint's bodies that are still incomplete when their bytes have been read. A request
// that comes whole in one read is never counted, so what senders hold back cannot keep the others out.
//
// Past `max`, the next body that is held is refused; one at a time may be larger than the room there is, so that large
// requests get through. Under pressure a held body must grow by a quarter in each body_grace or goes: holding costs
// bandwidth. Threads: any; an atomic addition per read of a body that goes on.
#pragma once

#include <atomic>
#include <cstddef>

namespace tailgate {

class HeldBodies {
 public:
  explicit HeldBodies(std::size_t max) : max_(max) {}

  bool pressed() const { return used_.load(std::memory_order_relaxed) > max_ / 2; }

  // One body's part. Belongs to the body's thread; gone with it.
  class Share {
   public:
    Share() = default;
    ~Share() { release(); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // False when there is no room to hold `bytes` in all; then it is as before. Fewer than before is always granted.
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
