// SPDX-License-Identifier: Apache-2.0
// Epochs: whether all messages that were sent before some moment are acknowledged, in whatever order that happens.
// Pure. Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <numeric>

namespace tailgate {

class Epochs {
 public:
  // The epoch of a message that is sent now; it is named again when the message is acknowledged.
  std::uint64_t send() {
    ++open_.back();
    return first_ + open_.size() - 1;
  }
  void acknowledge(std::uint64_t epoch) {
    --open_[epoch - first_];
    while (open_.size() > 1 && open_.front() == 0) {
      open_.pop_front();
      ++first_;
    }
  }
  // Ends the current epoch and returns it.
  std::uint64_t end() {
    open_.push_back(0);
    const std::uint64_t ended = first_ + open_.size() - 2;
    while (open_.size() > 1 && open_.front() == 0) {
      open_.pop_front();
      ++first_;
    }
    return ended;
  }
  // All messages of `epoch` and of those before it are acknowledged.
  bool acknowledged(std::uint64_t epoch) const { return epoch < first_; }
  std::uint64_t open() const { return std::accumulate(open_.begin(), open_.end(), std::uint64_t{0}); }

 private:
  std::deque<std::uint64_t> open_ = {0};  // messages that are not acknowledged, by epoch
  std::uint64_t first_ = 0;               // epoch of the first of them
};

}  // namespace tailgate
