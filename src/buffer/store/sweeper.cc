// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/sweeper.h"

#include "base/clock.h"

namespace tailgate {

Sweeper::Sweeper(TraceStore& store, Watch watch)
    : store_(store), watch_(std::move(watch)), thread_([this] { run(); }) {}

Sweeper::~Sweeper() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Sweeper::run() {
  for (;;) {
    const TimePoint began = monotonic_now();
    const TimePoint again = store_.sweep(began);
    if (watch_) watch_(began, monotonic_now());
    const MutexLock lock(mutex_);
    while (!stop_ && wake_.wait_until(mutex_, again)) {
    }
    if (stop_) return;
  }
}

}  // namespace tailgate
