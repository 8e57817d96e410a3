// SPDX-License-Identifier: Apache-2.0
#include "export/exporter.h"

#include <utility>

#include "base/clock.h"

namespace tailgate {

void BlockingExporter::send(BatchPtr batch) { done_.push_back({batch->id, write(*batch)}); }

void BlockingExporter::wait(Duration timeout, std::vector<Completion>& done) {
  if (done_.empty()) {
    rest();
    const TimePoint until = monotonic_now() + timeout;
    const MutexLock lock(mutex_);
    while (!woken_ && awake_.wait_until(mutex_, until)) {
    }
    woken_ = false;
    return;
  }
  for (Completion& c : done_) done.push_back(std::move(c));
  done_.clear();
}

void BlockingExporter::wake() {
  {
    const MutexLock lock(mutex_);
    woken_ = true;
  }
  awake_.notify_one();
}

}  // namespace tailgate
