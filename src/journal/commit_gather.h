// SPDX-License-Identifier: Apache-2.0
// Whether a commit of the journal waits for more requests.
//
// A commit wakes the journal's thread and the threads that answer, which costs more CPU time than to write a request of
// 80 KB. When requests come from many senders, a commit that waits two milliseconds for a few more costs much less for
// each. But a sender that waits for each answer before its next request sends nothing meanwhile, and only becomes
// slower. Whether most are of this kind is tried, every two to eight seconds: for 100 ms no commit waits, for 100 ms
// each does. When all senders together sent nearly as many requests in both, commits wait until the next trial, or
// until fewer requests come than in this one. The few that do wait for each answer show themselves in the second half
// of the trial: SenderPace (net/http/sender_pace.h) sees them, and their requests hurry the commit on.
//
// No clock, no thread: whoever commits has both.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace tailgate {

class CommitGather {
 public:
  // When the next commit begins at the earliest, after one that ended at `ended`. `hurry`: the moment that a request
  // among those that wait is to wait until, if it is one of a sender that waits for its answers
  // (net/http/sender_pace.h).
  TimePoint begins(TimePoint ended, TimePoint hurry) const {
    if (!waits_) return ended;
    // In a trial all wait, or else one that is hurried would keep the others' answers so fast that all seem to wait.
    return phase_ == Phase::kWith ? ended + kWait : std::min(ended + kWait, hurry);
  }

  // `requests` of a commit that ended at `now`.
  void committed(std::size_t requests, TimePoint now) {
    requests_ += requests;
    const Duration took = now - since_;
    if (took < kWindow) return;
    const double per_second = static_cast<double>(requests_) / std::chrono::duration<double>(took).count();
    requests_ = 0;
    since_ = now;
    if (phase_ == Phase::kStay) {
      if (--windows_ > 0 && (!waits_ || per_second >= kFewer * with_)) return;
      phase_ = Phase::kWithout;
      waits_ = false;
    } else if (took > 2 * kWindow) {  // a commit hung, which says nothing about senders: once more
    } else if (phase_ == Phase::kWithout) {
      if (per_second < kWorthIt) return stay(false);
      without_ = per_second;
      phase_ = Phase::kWith;
      waits_ = true;
    } else {
      with_ = per_second;
      stay(with_ >= kAsMany * without_);
    }
  }

 private:
  enum class Phase : std::uint8_t { kStay, kWithout, kWith };

  static constexpr Duration kWait = std::chrono::milliseconds(2);
  static constexpr Duration kWindow = std::chrono::milliseconds(100);
  static constexpr int kStayMin = 20, kStayMax = 80;  // windows
  static constexpr double kWorthIt = 1000;            // requests a second: below, it spares too little
  static constexpr double kAsMany = 0.85;             // of those without a wait: they vary without a reason too
  static constexpr double kFewer = 0.7;               // of those of the trial

  void stay(bool waits) {
    stay_ = waits == said_ ? std::min(2 * stay_, kStayMax) : kStayMin;
    windows_ = stay_;
    waits_ = said_ = waits;
    phase_ = Phase::kStay;
  }

  Phase phase_ = Phase::kStay;
  bool waits_ = false, said_ = false;  // now; what the last trial said
  int stay_ = kStayMin, windows_ = 0;  // how many windows there are between trials, and are left
  std::size_t requests_ = 0;           // of the window
  TimePoint since_{};
  double without_ = 0, with_ = 0;  // requests a second, in the last trial
};

}  // namespace tailgate
