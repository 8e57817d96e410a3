// SPDX-License-Identifier: Apache-2.0
#include "telemetry/refusal_log.h"

#include <utility>

namespace tailgate {

RefusalLog::Line RefusalLog::line_of(const Key& key, Entry& entry, TimePoint now) {
  entry.last_line = now;
  const auto& [receiver, reason, peer] = key;
  return {receiver, reason, peer, entry.text, std::exchange(entry.count, 0)};
}

std::optional<RefusalLog::Line> RefusalLog::add(std::string_view receiver, std::string_view reason,
                                                std::string_view peer, std::string_view text, TimePoint now) {
  Key key(receiver, reason, peer);
  const MutexLock lock(mutex_);
  auto at = entries_.find(key);
  if (at == entries_.end() && peers_ >= kPeersMax) {
    std::get<2>(key) = kOthers;
    at = entries_.find(key);
  }
  const bool is_new = at == entries_.end();
  if (is_new) {
    if (std::get<2>(key) != kOthers) ++peers_;
    at = entries_.emplace(std::move(key), Entry{}).first;
  }
  Entry& entry = at->second;
  ++entry.count;
  entry.text = text.substr(0, kTextMax);
  if (!is_new && now - entry.last_line < kEvery) return std::nullopt;
  return line_of(at->first, entry, now);
}

std::vector<RefusalLog::Line> RefusalLog::due(TimePoint now) {
  std::vector<Line> out;
  const MutexLock lock(mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    Entry& entry = at->second;
    if (now - entry.last_line < kEvery) {
      ++at;
    } else if (entry.count != 0) {
      out.push_back(line_of(at->first, entry, now));
      ++at;
    } else {
      if (std::get<2>(at->first) != kOthers) --peers_;
      at = entries_.erase(at);
    }
  }
  return out;
}

}  // namespace tailgate
