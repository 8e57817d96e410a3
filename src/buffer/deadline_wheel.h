// SPDX-License-Identifier: Apache-2.0
// DeadlineWheel: open traces by the moment they are next looked at, exact to 2 ms and never early. It is a ring of
// 16,384 lists of 2 ms each (32 s). A trace that is due later waits in the last list and is inserted again from there.
// The links lie in the traces themselves, so insert and remove are O(1) and allocate nothing. Times are the buffer's
// milliseconds, which wrap. Threads: the holder of the shard's lock.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "buffer/open_trace.h"

namespace tailgate {

class DeadlineWheel {
 public:
  explicit DeadlineWheel(ChunkPool& pool);

  void insert(ChunkRef ref, std::uint32_t due_ms);
  void remove(ChunkRef ref);

  // A trace whose moment, rounded up to a tick, has come, or one that waited in the last list; kNoChunk if there is
  // none. It stays in the wheel: the caller removes it, and inserts it again if it is not due.
  ChunkRef next_due(std::uint32_t now_ms);

  // The trace that would be looked at next, however far away; kNoChunk when there is none.
  ChunkRef first() const;

  bool empty() const { return count_ == 0; }
  std::uint32_t next_ms() const;  // start of the first non-empty list; only when not empty

 private:
  static constexpr std::uint32_t kTickMs = 2;
  static constexpr std::uint32_t kSlots = 16384;
  static constexpr std::uint32_t kTicks = UINT32_MAX / kTickMs + 1;  // of the wrapping clock
  static constexpr std::uint32_t kNowhere = UINT32_MAX;

  OpenTrace& trace(ChunkRef ref) const { return *reinterpret_cast<OpenTrace*>(pool_.at(ref)); }
  std::uint32_t distance_to_first() const;  // in ticks from cursor_ to the first non-empty list, or kNowhere

  ChunkPool& pool_;
  std::vector<ChunkRef> heads_;
  std::array<std::uint64_t, kSlots / 64> used_{};  // bit: the slot is not empty
  std::uint32_t cursor_ = 0;                       // tick that is being looked at
  std::size_t count_ = 0;
};

}  // namespace tailgate
