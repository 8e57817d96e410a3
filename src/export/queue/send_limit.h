// SPDX-License-Identifier: Apache-2.0
// SendLimit: how many calls one backend is given at a time, and whether it is asked at all.
//
// Concurrency follows latency: it grows by one a round while all calls allowed are in flight and latency stays near the
// best seen, shrinks by one a round when latency is far from it, and halves when the backend says that it is too much
// or does not answer in time. A backend that fails five times in a row, and for more than one new batch, is down: the
// circuit opens, and one probe at a time, at the pace of its own backoff, asks whether it is back. The first answer
// closes it. Only a batch's first attempt speaks for the backend: one that has failed before may be what is wrong.
//
// Threads: the queue's; no clock of its own.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace tailgate {

class SendLimit {
 public:
  // `most` calls at a time, at least 1.
  explicit SendLimit(std::uint32_t most);

  // Calls that may be in flight now.
  std::uint32_t limit() const { return open_ ? 1 : static_cast<std::uint32_t>(limit_); }
  bool open() const { return open_; }
  // While open: when the next probe may leave.
  TimePoint probe_due() const { return probe_due_; }

  // A call that was sent at `sent` has been answered, `in_flight` counting it. True: the circuit closed by it.
  bool answered(TimePoint sent, TimePoint now, std::uint32_t in_flight);
  // A call that was sent at `sent` has failed in a way that is tried again, at `retry_due` by its backoff. `first`: it
  // was its batch's first attempt. `too_much`: it timed out, or the backend is over a limit.
  void failed(bool first, TimePoint sent, TimePoint now, TimePoint retry_due, bool too_much);
  // Probes need not wait longer than this; for a drain.
  void probe_at_once(TimePoint now) { probe_due_ = probe_due_ < now ? probe_due_ : now; }

 private:
  const double most_, least_;
  double limit_;
  double best_s_ = 0;     // of the latencies; drifts up, so that a slower backend is learned
  double average_s_ = 0;  // of the last few
  TimePoint halved_{};
  std::uint32_t failures_ = 0;  // in a row
  std::uint32_t firsts_ = 0;    // of them: first attempts
  bool open_ = false;
  TimePoint probe_due_{};
};

}  // namespace tailgate
