// SPDX-License-Identifier: Apache-2.0
// ByteBudget: the one account of memory for the process. Every room that keeps bytes from senders charges them here.
//
//   memory_limit = baseline of the process + budget;   budget = requests + traces + queues + caches + connections
//
// Each holder has a cap of its own, so that a flood of one kind leaves room for the others (a hung backend's queue
// cannot stop ingest, open traces cannot starve the queue). Threads: any; charges are relaxed atomics, made per request
// or per block of memory, never per span. A failed charge changes nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/enum_names.h"

namespace tailgate {

enum class Holder : std::uint8_t { kRequests, kTraces, kQueues, kCaches, kConnections };
inline constexpr std::array<std::string_view, 5> kHolderNames = {"requests", "traces", "queues", "caches",
                                                                 "connections"};
static_assert(names_end_with(kHolderNames, Holder::kConnections, "connections"));

class ByteBudget {
 public:
  using Caps = std::array<std::size_t, kHolderNames.size()>;  // bytes, indexed by Holder

  explicit ByteBudget(const Caps& caps) : caps_(caps) {}

  // True and charged, or false and unchanged when the holder would come closer to its cap than `leave`.
  bool try_charge(Holder holder, std::size_t bytes, std::size_t leave = 0) {
    auto& used = used_[index(holder)];
    const std::size_t before = used.fetch_add(bytes, std::memory_order_relaxed);
    if (before + bytes + leave <= caps_[index(holder)]) return true;
    used.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }

  // For bytes that exist already: they are counted even when that passes the cap.
  void charge(Holder holder, std::size_t bytes) { used_[index(holder)].fetch_add(bytes, std::memory_order_relaxed); }
  void release(Holder holder, std::size_t bytes) { used_[index(holder)].fetch_sub(bytes, std::memory_order_relaxed); }

  std::size_t used(Holder holder) const { return used_[index(holder)].load(std::memory_order_relaxed); }
  std::size_t cap(Holder holder) const { return caps_[index(holder)]; }

 private:
  static std::size_t index(Holder holder) { return static_cast<std::size_t>(holder); }

  Caps caps_;
  std::array<std::atomic<std::size_t>, kHolderNames.size()> used_{};
};

// A charge that is given back when it goes out of scope. Grows in steps; belongs to one thread at a time.
class Charge {
 public:
  Charge() = default;
  Charge(ByteBudget& budget, Holder holder) : budget_(&budget), holder_(holder) {}
  Charge(Charge&& other) noexcept : budget_(other.budget_), holder_(other.holder_), bytes_(other.bytes_) {
    other.bytes_ = 0;
  }
  Charge& operator=(Charge&& other) noexcept {
    if (this != &other) {
      release();
      budget_ = other.budget_;
      holder_ = other.holder_;
      bytes_ = other.bytes_;
      other.bytes_ = 0;
    }
    return *this;
  }
  ~Charge() { release(); }

  // `reserve_parts`: the part of the cap, as 1/n, that is left for others; 0: none.
  bool try_grow(std::size_t bytes, std::size_t reserve_parts = 0) {
    if (budget_ != nullptr) {
      const std::size_t leave = reserve_parts != 0 ? budget_->cap(holder_) / reserve_parts : 0;
      if (!budget_->try_charge(holder_, bytes, leave)) return false;
    }
    bytes_ += bytes;
    return true;
  }
  void grow(std::size_t bytes) {
    if (budget_ != nullptr) budget_->charge(holder_, bytes);
    bytes_ += bytes;
  }
  // Gives back what is more than `bytes`.
  void shrink_to(std::size_t bytes) {
    if (bytes >= bytes_) return;
    if (budget_ != nullptr) budget_->release(holder_, bytes_ - bytes);
    bytes_ = bytes;
  }
  void release() { shrink_to(0); }
  std::size_t bytes() const { return bytes_; }
  // An empty charge to the same account.
  Charge another() const { return budget_ != nullptr ? Charge(*budget_, holder_) : Charge(); }

 private:
  ByteBudget* budget_ = nullptr;
  Holder holder_ = Holder::kRequests;
  std::size_t bytes_ = 0;
};

}  // namespace tailgate
