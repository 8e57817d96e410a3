#include "export/exporter.h"

#include <utility>

namespace tailgate {

void BlockingExporter::send(BatchPtr batch) { done_.push_back({batch->id, write(*batch)}); }

void BlockingExporter::wait(Duration timeout, std::vector<Completion>& done) {
  if (done_.empty()) {
    std::unique_lock lock(mutex_);
    awake_.wait_for(lock, timeout, [&] { return woken_; });
    woken_ = false;
    return;
  }
  for (Completion& c : done_) done.push_back(std::move(c));
  done_.clear();
}

void BlockingExporter::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  awake_.notify_one();
}

}  // namespace tailgate
