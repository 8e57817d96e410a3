#include "buffer/sweeper.h"

#include "base/clock.h"

namespace tailgate {

Sweeper::Sweeper(TraceStore& store, Watch watch)
    : store_(store), watch_(std::move(watch)), thread_([this] { run(); }) {}

Sweeper::~Sweeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Sweeper::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    const TimePoint began = monotonic_now();
    const TimePoint again = store_.sweep(began);
    if (watch_) watch_(began, monotonic_now());
    lock.lock();
    wake_.wait_until(lock, again, [this] { return stop_; });
  }
}

}  // namespace tailgate
