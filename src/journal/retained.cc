// SPDX-License-Identifier: Apache-2.0
// Journal: what it knows of its segments for the index of ids.
#include <algorithm>

#include "journal/journal.h"

namespace tailgate {

// The blocks were written last, one behind the other.
void Journal::note_ids(const std::vector<PackedBlock>& blocks, const std::vector<std::vector<std::uint64_t>>& ids) {
  const MutexLock lock(mutex_);
  std::vector<IdEntry>& entries = ids_[segments_.last().number];
  std::uint64_t position = readable_end_;
  for (const PackedBlock& block : blocks) position -= block.bytes.size();
  for (std::size_t i = 0; i != blocks.size(); ++i) {
    for (const std::uint64_t hash : ids[i]) entries.push_back({hash, position});
    position += blocks[i].bytes.size();
  }
}

std::optional<std::uint64_t> Journal::segment_without_ids() const {
  const MutexLock lock(mutex_);
  const std::deque<Segment>& all = segments_.all();
  for (auto at = all.rbegin() + 1; at != all.rend(); ++at) {
    if (at->readable && !at->indexed) return at->number;
  }
  return std::nullopt;
}

std::vector<IdEntry> Journal::ids_of(std::uint64_t segment) const {
  const MutexLock lock(mutex_);
  const auto at = ids_.find(segment);
  return at != ids_.end() ? at->second : std::vector<IdEntry>();
}

void Journal::indexed(std::uint64_t segment, std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  segments_.indexed(segment, bytes);
  ids_.erase(segment);
}

std::optional<std::vector<std::uint64_t>> Journal::positions_of(std::uint64_t segment, std::uint64_t hash) const {
  const MutexLock lock(mutex_);
  const auto at = ids_.find(segment);
  if (at == ids_.end()) return std::nullopt;
  std::vector<std::uint64_t> out;
  for (const IdEntry& entry : at->second) {
    if (entry.hash == hash && (out.empty() || out.back() != entry.position)) out.push_back(entry.position);
  }
  return out;
}

}  // namespace tailgate
