// SPDX-License-Identifier: Apache-2.0
// SenderPace: until when the answers of one connection may wait for the sake of other senders' requests.
//
// A peer that sends its next request only when it has the answer to the last one becomes slower when answers wait; one
// that has several requests on their way does not. Which one it is shows in its last requests. No clock: its session,
// to which it belongs, has one.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace tailgate {

class SenderPace {
 public:
  // A request is whole. `alone`: no other one of this connection waits for its answer. Returns until when its answer
  // may wait: for an eighth of the time between two requests, so that a peer that waits for answers becomes slower by
  // an eighth at most. Of other peers: TimePoint::max().
  TimePoint came(bool alone, TimePoint now) {
    const Duration since_last = now - last_;
    last_ = now;
    in_a_row_ = alone ? std::min(in_a_row_ + 1, kSure) : 0;
    return in_a_row_ == kSure ? now + since_last / kPart : TimePoint::max();
  }

 private:
  static constexpr int kSure = 16;  // requests in a row; a peer that does not wait has several on their way sometimes
  static constexpr int kPart = 8;

  TimePoint last_{};
  int in_a_row_ = 0;
};

}  // namespace tailgate
