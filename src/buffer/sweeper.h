// Sweeper: the thread that closes what is due. Comes round every 5 to 100 ms, as the store asks.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "buffer/trace_store.h"

namespace tailgate {

class Sweeper {
 public:
  explicit Sweeper(TraceStore& store);
  // Stops and joins the thread; what is open stays open.
  ~Sweeper();
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

 private:
  void run();

  TraceStore& store_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace tailgate
