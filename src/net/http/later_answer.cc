// SPDX-License-Identifier: Apache-2.0
#include "net/http/later_answer.h"

#include <algorithm>
#include <cstring>

namespace tailgate {

// One wake is enough until the session has asked.
void LaterAnswer::wake() {
  if (woken_ || !wake_) return;
  woken_ = true;
  wake_();
}

void LaterAnswer::begin(Response head) {
  const MutexLock lock(mutex_);
  if (begun_ || state_ != State::kMore || cancelled()) return;
  begun_ = true;
  held_ = std::move(head.body);
  head.body.clear();
  head.trailers.clear();
  head_ = std::move(head);
  wake();
}

bool LaterAnswer::wait_for_room(TimePoint until) {
  while (!cancelled() && held_.size() - at_ >= kHeldMax) {
    const TimePoint began = monotonic_now();
    if (patience_ <= Duration::zero() || began >= until) return false;
    (void)taken_.wait_until(mutex_, std::min(until, began + patience_));
    patience_ -= monotonic_now() - began;
  }
  return true;
}

bool LaterAnswer::write(std::string_view bytes, TimePoint until) {
  const MutexLock lock(mutex_);
  while (!bytes.empty()) {
    if (!wait_for_room(until)) {
      state_ = State::kFailed;
      wake();
      return false;
    }
    if (cancelled() || state_ != State::kMore) return false;
    if (at_ != 0 && at_ >= held_.size() / 2) {
      held_.erase(0, at_);
      at_ = 0;
    }
    const std::size_t n = std::min(bytes.size(), kHeldMax - (held_.size() - at_));
    held_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    wake();
  }
  return !cancelled();
}

void LaterAnswer::end(Fields trailers) {
  const MutexLock lock(mutex_);
  if (state_ != State::kMore) return;
  trailers_ = std::move(trailers);
  state_ = State::kEnd;
  wake();
}

void LaterAnswer::answer(Response whole) {
  Fields trailers = std::move(whole.trailers);
  begin(std::move(whole));
  end(std::move(trailers));
}

void LaterAnswer::give_up() {
  const MutexLock lock(mutex_);
  if (state_ != State::kMore) return;
  state_ = State::kFailed;
  if (!begun_) {
    begun_ = true;
    head_ = plain_response(500, "the answer could not be made");
    held_ = std::move(head_->body);
    head_->body.clear();
    state_ = State::kEnd;
  }
  wake();
}

void LaterAnswer::attach(std::function<void()> wake) {
  const MutexLock lock(mutex_);
  wake_ = std::move(wake);
  if (begun_) this->wake();
}

std::optional<LaterAnswer::Head> LaterAnswer::take_head() {
  const MutexLock lock(mutex_);
  woken_ = false;
  if (!head_) return std::nullopt;
  Head head{.response = std::move(*head_), .whole = state_ == State::kEnd};
  head_.reset();
  if (!head.whole) return head;
  head.response.body = std::move(held_);
  held_.clear();
  head.response.trailers = std::move(trailers_);
  return head;
}

LaterAnswer::Piece LaterAnswer::take(char* to, std::size_t size) {
  const MutexLock lock(mutex_);
  woken_ = false;
  const std::size_t n = std::min(size, held_.size() - at_);
  if (n != 0) std::memcpy(to, held_.data() + at_, n);
  at_ += n;
  if (at_ == held_.size()) {
    held_.clear();
    at_ = 0;
  }
  patience_ =
      std::min<Duration>(kPatience, patience_ + Duration(std::chrono::seconds(1)) * static_cast<std::int64_t>(n) /
                                                    static_cast<std::int64_t>(kRateMin));
  if (n != 0) taken_.notify_one();
  return {n, held_.empty() ? state_ : State::kMore};
}

LaterAnswer::Fields LaterAnswer::trailers() {
  const MutexLock lock(mutex_);
  return std::move(trailers_);
}

void LaterAnswer::cancel() {
  const MutexLock lock(mutex_);
  if (state_ == State::kMore) cancelled_.store(true, std::memory_order_relaxed);
  wake_ = nullptr;
  held_.clear();
  at_ = 0;
  taken_.notify_one();
}

}  // namespace tailgate
