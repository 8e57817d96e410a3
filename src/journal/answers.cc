// SPDX-License-Identifier: Apache-2.0
// Journal: what whoever waits for a commit is told, at its end or when it takes too long.
#include <utility>

#include "base/units.h"
#include "journal/journal.h"

namespace tailgate {

bool Journal::passes(const Answer& answer) const {
  return !answer.alone && options_.on_failure == JournalFailure::kMemory;
}

void Journal::tell(std::vector<Answer>& answers, bool written, TimePoint now) {
  for (Answer& answer : answers) {
    if (answer.told) continue;
    const bool passed = !written && passes(answer);
    if (passed) answer.whose == Whose::kOwn ? count_passed(now) : note_missing(now);
    if (!answer.done) continue;
    try {
      answer.done(written || passed);
    } catch (const std::exception& e) {  // such as std::bad_alloc: this sender hears nothing and tries again
      if (const auto held = answers_log_.pass(now))
        log_error("an answer was not made", {{"why", e.what()}, {"held_back", *held}});
    }
  }
}

// What waits is written when the disk comes back, whatever its senders were told: those that send again come twice.
void Journal::watch(TimePoint now) {
  std::vector<Answer> late;
  bool first = false;
  {
    const MutexLock lock(mutex_);
    const Duration most = options_.write_timeout;
    if (most == Duration::zero() || writing_since_ == TimePoint::max() || now - writing_since_ < most) return;
    const auto take = [&](Answer& answer) {
      if (answer.told) return;
      late.push_back({std::exchange(answer.done, nullptr), answer.alone, answer.whose});
      answer.told = true;
    };
    for (Answer& answer : writing_) take(answer);
    for (Pending& p : pending_) {
      if (now - p.now >= most) take(p.answer);
    }
    first = !std::exchange(hangs_, true);
    if (first) {
      ++stats_.timeouts;
      stats_.failure = "a write takes longer than journal.write_timeout";
    }
    state_ = options_.on_failure == JournalFailure::kRefuse ? Takes::kNothing : Takes::kPassBy;
  }
  if (first) {
    log_error(options_.on_failure == JournalFailure::kRefuse
                  ? "the disk takes too long: requests are refused until it has taken what was written"
                  : "the disk takes too long: requests are in memory only until it has taken what was written",
              {{"directory", options_.directory}, {"journal.write_timeout", format_duration(options_.write_timeout)}});
  }
  tell(late, false, now);
}

}  // namespace tailgate
