// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/parts_away.h"

#include <utility>
#include <vector>

namespace tailgate {

// What a shutdown drops is not there: its segment stays, and the next process sends it.
class PartsAway::Note final : public Delivery {
 public:
  Note(PartsAway& of, std::uint64_t number) : of_(of), number_(number) {}
  ~Note() override { of_.gone(number_, there_); }

 private:
  void delivered() override { there_ = true; }

  PartsAway& of_;
  const std::uint64_t number_;
  std::atomic<bool> there_{false};
};

void PartsAway::add(const JournalRequest& request, const std::shared_ptr<KeptTrace>& part, TimePoint now) {
  Part one{part, request, journal_.pin(now), now};
  one.as.otlp = {};
  one.as.traces = {};
  {
    const MutexLock lock(mutex_);
    parts_.emplace(request.number, std::move(one));
  }
  part->delivery.set(std::make_shared<Note>(*this, request.number));
}

void PartsAway::gone(std::uint64_t number, bool there) {
  std::uint64_t segment = 0;
  {
    const MutexLock lock(mutex_);
    const auto found = parts_.find(number);
    segment = found->second.segment;
    parts_.erase(found);
  }
  if (there) journal_.note_passed_on(number);
  if (there || !journal_.ending()) journal_.unpin(segment);
}

void PartsAway::tick(TimePoint now) {
  if (journal_.takes() != Journal::Takes::kRequests) return;  // it would only wait, once a minute again
  std::vector<std::pair<std::shared_ptr<const KeptTrace>, JournalRequest>> old;  // let go of without the lock
  std::size_t bytes = 0;
  {
    const MutexLock lock(mutex_);
    for (auto& [number, part] : parts_) {
      if (bytes >= kBytesAtOnce) break;
      if (now - part.written < kWriteAgain) continue;
      std::shared_ptr<const KeptTrace> held = part.bytes.lock();
      if (held == nullptr) continue;
      bytes += held->otlp.size();
      part.written = now;  // once, however long the disk takes
      old.emplace_back(std::move(held), part.as);
    }
  }
  for (auto& [part, request] : old) {
    request.otlp = part->otlp;
    journal_.append(request, now, [this, number = request.number, segment = journal_.pin(now), now](bool safe) {
      written_again(number, segment, safe, now);
    });
  }
}

void PartsAway::written_again(std::uint64_t number, std::uint64_t segment, bool safe, TimePoint now) {
  {
    const MutexLock lock(mutex_);
    const auto found = parts_.find(number);
    if (safe && found != parts_.end()) {
      std::swap(found->second.segment, segment);
      found->second.written = now;
    }
  }
  journal_.unpin(segment);
}

std::size_t PartsAway::size() const {
  const MutexLock lock(mutex_);
  return parts_.size();
}

}  // namespace tailgate
