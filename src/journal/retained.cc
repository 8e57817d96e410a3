// SPDX-License-Identifier: Apache-2.0
// Journal: which of its segments stay, and what it knows of them for the index of ids.
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/units.h"
#include "journal/journal.h"

namespace tailgate {

bool Journal::begun() const {
  const MutexLock lock(mutex_);
  return !segments_.empty();
}

std::uint64_t Journal::settled() const {
  const MutexLock lock(mutex_);
  return segments_.settled();
}

Journal::Extent Journal::extent() const {
  Extent out;
  const MutexLock lock(mutex_);
  for (const SegmentList::Ends& e : segments_.ends()) out.ends.push_back(e.number);
  for (const Segment& s : segments_.all()) out.segments.push_back(s.number);
  out.last_end = readable_end_;
  return out;
}

Journal::Stats Journal::stats() const {
  const MutexLock lock(mutex_);
  Stats out = stats_;
  out.bytes = segments_.bytes();
  out.ends_bytes = segments_.ends_bytes();
  out.segments = segments_.size();
  for (const Segment& s : segments_.all()) {
    out.unsettled += s.number >= segments_.settled();
    out.unreadable += !s.readable;
    if (s.readable && out.oldest_unix_ns == 0) out.oldest_unix_ns = s.end_unix_ns;
  }
  out.passed = passed_.load(std::memory_order_relaxed);
  out.takes = takes();
  return out;
}

// Deletes what is too old, and more where room is short; fails when there is not enough even then.
Result<void> Journal::make_room(std::uint64_t coming, TimePoint now, std::uint64_t now_unix_ns) {
  if (options_.disk_free_min != 0 && now - disk_asked_ >= kTryAgain) {
    disk_asked_ = now;
    struct statvfs s = {};
    disk_free_ = ::statvfs(options_.directory.c_str(), &s) == 0 ? std::uint64_t{s.f_bavail} * s.f_frsize : UINT64_MAX;
  }
  for (;;) {
    std::uint64_t number = 0, bytes = 0, held = 0;
    bool is_short = false, ends = false;
    {
      const MutexLock lock(mutex_);
      held = segments_.bytes();
      is_short = held + coming > options_.bytes_max || disk_free_ < options_.disk_free_min + coming;
      const Segment* const oldest = segments_.deletable();
      const auto retain = static_cast<std::uint64_t>(options_.retain.count());
      ends = segments_.ends_deletable() && (is_short || segments_.ends_bytes() > options_.ends_bytes);
      if (ends) {
        number = segments_.ends().front().number;
        bytes = segments_.ends().front().bytes;
        segments_.drop_first_ends();
      } else {
        if (oldest == nullptr) break;
        if (!is_short && oldest->end_unix_ns + retain > now_unix_ns) return {};
        number = oldest->number;
        bytes = oldest->bytes - oldest->ends_bytes;
        ids_.erase(number);
        segments_.drop(number);
      }
    }
    if (!ends) ::unlink(ids_path(options_.directory, number).c_str());
    ::unlink((ends ? ends_path(options_.directory, number) : requests_path(options_.directory, number)).c_str());
    if (disk_free_ != UINT64_MAX) disk_free_ += bytes;
  }
  const MutexLock lock(mutex_);
  const std::uint64_t held = segments_.bytes();
  if (held + coming > options_.bytes_max) {
    return fail(ErrorKind::kRefused,
                fmt::format("it has {} of {} (journal.max_bytes), and all of it is still needed: traces in it are not "
                            "decided, or not at every exporter",
                            format_bytes(held), format_bytes(options_.bytes_max)));
  }
  if (disk_free_ < options_.disk_free_min + coming) {
    return fail(ErrorKind::kRefused, fmt::format("the disk has {} left, less than {} (journal.disk_free_min)",
                                                 format_bytes(disk_free_), format_bytes(options_.disk_free_min)));
  }
  return {};
}

// The blocks were written last, one behind the other. Ids without room are read from the file, later.
void Journal::note_ids(const std::vector<PackedBlock>& blocks, const std::vector<std::vector<std::uint64_t>>& ids) {
  const MutexLock lock(mutex_);
  const std::uint64_t segment = segments_.last().number;
  if (segment == ids_left_) return;
  IdList& entries =
      ids_.try_emplace(segment, budget_ != nullptr ? Charge(*budget_, Holder::kRequests) : Charge()).first->second;
  std::uint64_t position = readable_end_;
  for (const PackedBlock& block : blocks) position -= block.bytes.size();
  for (std::size_t i = 0; i != blocks.size(); ++i) {
    for (const std::uint64_t hash : ids[i]) {
      if (entries.add({hash, position})) continue;
      ids_left_ = segment;
      ids_.erase(segment);
      return;
    }
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

std::optional<IdList::View> Journal::ids_of(std::uint64_t segment) const {
  const MutexLock lock(mutex_);
  const auto at = ids_.find(segment);
  return at != ids_.end() ? std::optional(at->second.view()) : std::nullopt;
}

bool Journal::indexed(std::uint64_t segment, std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  ids_.erase(segment);
  return segments_.indexed(segment, bytes);
}

std::optional<std::vector<std::uint64_t>> Journal::positions_of(std::uint64_t segment, std::uint64_t hash) const {
  const std::optional<IdList::View> ids = ids_of(segment);
  if (!ids) return std::nullopt;
  std::vector<std::uint64_t> out;
  ids->each([&](const IdEntry& entry) {
    if (entry.hash == hash && (out.empty() || out.back() != entry.position)) out.push_back(entry.position);
  });
  return out;
}

}  // namespace tailgate
