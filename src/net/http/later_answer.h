// SPDX-License-Identifier: Apache-2.0
// LaterAnswer: an answer that another thread makes after Handler::handle has returned, in pieces of any size.
//
//   handle():  auto later = std::make_shared<LaterAnswer>();  give it to a thread;  response.later = later;
//   worker:    later->begin(head);  later->write(bytes);  ...  later->end(trailers);      or  later->answer(whole);
//   session:   takes what is there, and is woken when there is more
//
// At most kHeldMax bytes wait for the peer; write() sleeps until there is room. A peer that takes less than kRateMin
// bytes a second for longer than kPatience loses the rest of its answer, so that peers who read slowly, or not at all,
// cannot keep the few threads that answer from all others; an answer of up to kHeldMax bytes keeps no thread. When the
// peer resets the stream or the connection ends, the answer is cancelled: write() returns false, and the worker ends
// its work. Threads: the worker's side belongs to one thread, the session's side to the I/O thread; cancelled() is for
// any.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "net/http/http.h"

namespace tailgate {

class LaterAnswer {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  static constexpr std::size_t kHeldMax = 256 << 10;
  static constexpr std::size_t kRateMin = 64 << 10;
  static constexpr Duration kPatience = std::chrono::seconds(1);

  // The worker's side.

  // Status, headers and the first bytes of the body; `head.trailers` are ignored.
  void begin(Response head);
  // Returns false when nobody wants the answer any more, or the peer has not made room until `until` or is too slow;
  // then the answer is over.
  bool write(std::string_view bytes, TimePoint until);
  void end(Fields trailers = {});
  void answer(Response whole);
  // The answer cannot be completed: an error 500, or, when it has begun, an end that the peer sees as a failure.
  void give_up();
  // Nobody wants the answer any more, and it had not ended before.
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // The session's side.

  // `wake` makes the session ask again; any thread calls it, also under a lock, but not after cancel().
  void attach(std::function<void()> wake);
  // The head when it has come and was not taken; with the whole body and the trailers if all of it is there.
  struct Head {
    Response response;
    bool whole = false;
  };
  std::optional<Head> take_head();
  enum class State { kMore, kEnd, kFailed };
  struct Piece {
    std::size_t size = 0;
    State state = State::kMore;  // kMore with size 0: wait
  };
  Piece take(char* to, std::size_t size);
  Fields trailers();  // after kEnd
  void cancel();

 private:
  void wake() TAILGATE_REQUIRES(mutex_);
  bool wait_for_room(TimePoint until) TAILGATE_REQUIRES(mutex_);

  std::atomic<bool> cancelled_{false};
  Mutex mutex_;
  CondVar taken_;
  std::function<void()> wake_ TAILGATE_GUARDED_BY(mutex_);
  bool woken_ TAILGATE_GUARDED_BY(mutex_) = false;  // and the session has not asked since
  std::optional<Response> head_ TAILGATE_GUARDED_BY(mutex_);
  bool begun_ TAILGATE_GUARDED_BY(mutex_) = false;
  State state_ TAILGATE_GUARDED_BY(mutex_) = State::kMore;
  std::string held_ TAILGATE_GUARDED_BY(mutex_);
  std::size_t at_ TAILGATE_GUARDED_BY(mutex_) = 0;  // so much of held_ is taken
  Duration patience_ TAILGATE_GUARDED_BY(mutex_) =
      kPatience;  // so long write() may still wait; what is taken adds to it
  Fields trailers_ TAILGATE_GUARDED_BY(mutex_);
};

// The session's hold on a LaterAnswer: cancels it when it goes.
class LaterHold {
 public:
  LaterHold() = default;
  explicit LaterHold(std::shared_ptr<LaterAnswer> answer) : answer_(std::move(answer)) {}
  LaterHold(LaterHold&& other) noexcept : answer_(std::exchange(other.answer_, nullptr)) {}
  LaterHold& operator=(LaterHold&& other) noexcept {
    if (this == &other) return *this;
    reset();
    answer_ = std::exchange(other.answer_, nullptr);
    return *this;
  }
  ~LaterHold() { reset(); }

  void reset() {
    if (answer_ != nullptr) answer_->cancel();
    answer_.reset();
  }
  LaterAnswer* get() const { return answer_.get(); }
  LaterAnswer* operator->() const { return answer_.get(); }
  explicit operator bool() const { return answer_ != nullptr; }

 private:
  std::shared_ptr<LaterAnswer> answer_;
};

}  // namespace tailgate
