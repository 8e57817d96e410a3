// SPDX-License-Identifier: Apache-2.0
// RefusalLog: which lines the log gets about what is refused. The first refusal of a peer for a reason is a line at
// once; what follows within a minute is one line with a count, so that a flood of refusals is no flood of lines.
//
// The memory is bounded: past kPeersMax peers and reasons, further peers share an entry for each reason, kOthers. An
// entry goes after a minute without a refusal. Threads: any; a lock for each refusal. It has no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace tailgate {

class RefusalLog {
 public:
  static constexpr std::size_t kPeersMax = 64;
  static constexpr std::size_t kTextMax = 256;  // bytes
  static constexpr Duration kEvery = std::chrono::minutes(1);
  static constexpr std::string_view kOthers = "other";

  struct Line {
    std::string receiver, reason, peer;
    std::string text;         // of the last refusal, for people
    std::uint64_t count = 0;  // since the line before
  };

  // Counts a refusal, and returns the line that is due for it. `receiver` and `reason` are of fixed sets; a stranger
  // may have chosen the others.
  std::optional<Line> add(std::string_view receiver, std::string_view reason, std::string_view peer,
                          std::string_view text, TimePoint now);

  // The lines that are due because their minute is over. Called now and then.
  std::vector<Line> due(TimePoint now);

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // receiver, reason, peer
  struct Entry {
    TimePoint last_line;
    std::uint64_t count = 0;
    std::string text;
  };
  static Line line_of(const Key& key, Entry& entry, TimePoint now);

  Mutex mutex_;
  std::map<Key, Entry> entries_ TAILGATE_GUARDED_BY(mutex_);
  std::size_t peers_ TAILGATE_GUARDED_BY(mutex_) = 0;  // entries but for kOthers
};

}  // namespace tailgate
