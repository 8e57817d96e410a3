// SPDX-License-Identifier: Apache-2.0
// Sweeper: the thread that closes what is due. It runs TraceStore::sweep() every 50 to 100 ms, as sweep() asks,
// and every 5 ms while memory is committed.
//
// Threads: one thread makes and destroys it.
#pragma once

#include <functional>
#include <thread>

#include "base/mutex.h"
#include "buffer/store/trace_store.h"

namespace tailgate {

class Sweeper {
 public:
  // `watch`, if given, is called after every round, on the sweeper's thread.
  using Watch = std::function<void(TimePoint began, TimePoint ended)>;
  explicit Sweeper(TraceStore& store, Watch watch = {});
  // Stops and joins the thread; what is open stays open.
  ~Sweeper();
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

 private:
  void run();

  TraceStore& store_;
  const Watch watch_;
  Mutex mutex_;
  CondVar wake_;
  bool stop_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tailgate
