// SPDX-License-Identifier: Apache-2.0
// PartsAway: what of requests is on its way to other members of a cluster, and stays in the journal until it is there.
// A part pins its segment. One that waits for long is written once more, so that a member which is away does not make
// the journal keep everything since.
//
// Threads: any; tick() by one. The journal outlives it, and it outlives the queues that hold the parts.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "journal/journal.h"
#include "model/kept_trace.h"

namespace tailgate {

class PartsAway {
 public:
  explicit PartsAway(Journal& journal) : journal_(journal) {}
  PartsAway(const PartsAway&) = delete;
  PartsAway& operator=(const PartsAway&) = delete;

  // Before `part` is pushed anywhere and before `request`, which holds its bytes, is appended. The texts of `request`
  // outlive this.
  void add(const JournalRequest& request, const std::shared_ptr<KeptTrace>& part, TimePoint now);

  // Writes again what has waited for kWriteAgain, no more than kBytesAtOnce of it.
  void tick(TimePoint now);
  std::size_t size() const;

  static constexpr Duration kWriteAgain = std::chrono::minutes(1);
  static constexpr std::size_t kBytesAtOnce = 4 << 20;

 private:
  class Note;
  struct Part {
    std::weak_ptr<const KeptTrace> bytes;
    JournalRequest as;  // without them
    std::uint64_t segment = 0;
    TimePoint written{};
  };
  void gone(std::uint64_t number, bool there);
  void written_again(std::uint64_t number, std::uint64_t segment, bool safe, TimePoint now);

  Journal& journal_;
  mutable Mutex mutex_;
  std::map<std::uint64_t, Part> parts_ TAILGATE_GUARDED_BY(mutex_);  // by the request's number
};

}  // namespace tailgate
