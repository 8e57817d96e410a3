// SPDX-License-Identifier: Apache-2.0
// Mutex, MutexLock, CondVar: std::mutex and std::condition_variable with the annotations that clang's thread-safety
// analysis needs; the ones of libstdc++ have none. They cost what those cost.
//
//   Mutex mutex_;
//   int count_ TAILGATE_GUARDED_BY(mutex_) = 0;
//   ...
//   const MutexLock lock(mutex_);
//   while (count_ == 0) changed_.wait(mutex_);   // a loop, not a predicate: the analysis does not look into lambdas
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/thread_annotations.h"

namespace tailgate {

class TAILGATE_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() TAILGATE_ACQUIRE() { mutex_.lock(); }
  void unlock() TAILGATE_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class TAILGATE_SCOPED_LOCK MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) TAILGATE_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() TAILGATE_RELEASE() { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

// Each wait gives the mutex back while it sleeps and holds it again when it returns. A wait may return without a
// notify.
class CondVar {
 public:
  void notify_one() { changed_.notify_one(); }
  void notify_all() { changed_.notify_all(); }

  void wait(Mutex& mutex) TAILGATE_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    changed_.wait(lock);
    lock.release();
  }

  // False when `until` has passed.
  template <class Clock, class Duration>
  bool wait_until(Mutex& mutex, std::chrono::time_point<Clock, Duration> until) TAILGATE_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = changed_.wait_until(lock, until) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }

 private:
  std::condition_variable changed_;
};

}  // namespace tailgate
