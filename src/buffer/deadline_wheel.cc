// SPDX-License-Identifier: Apache-2.0
#include "buffer/deadline_wheel.h"

#include <algorithm>
#include <bit>

namespace tailgate {

// Milliseconds wrap at 2^32, and 2^32 / kTickMs is a multiple of kSlots, so the ring wraps with them.

DeadlineWheel::DeadlineWheel(ChunkPool& pool) : pool_(pool), heads_(kSlots, kNoChunk) {}

void DeadlineWheel::insert(ChunkRef ref, std::uint32_t due_ms) {
  OpenTrace& t = trace(ref);
  t.due_ms = due_ms;
  // The distance from the cursor in ticks; a moment in the past counts as now.
  std::uint32_t ahead = (due_ms / kTickMs + (due_ms % kTickMs != 0) - cursor_) & (kTicks - 1);
  if (ahead >= kTicks / 2) ahead = 0;
  if (ahead >= kSlots) ahead = kSlots - 1;
  const std::uint32_t slot = (cursor_ + ahead) % kSlots;
  t.wheel_slot = static_cast<std::uint16_t>(slot);
  t.wheel_prev = kNoChunk;
  t.wheel_next = heads_[slot];
  if (t.wheel_next != kNoChunk) trace(t.wheel_next).wheel_prev = ref;
  heads_[slot] = ref;
  used_[slot / 64] |= 1ULL << slot % 64;
  ++count_;
}

void DeadlineWheel::remove(ChunkRef ref) {
  OpenTrace& t = trace(ref);
  if (t.wheel_prev != kNoChunk) {
    trace(t.wheel_prev).wheel_next = t.wheel_next;
  } else {
    heads_[t.wheel_slot] = t.wheel_next;
    if (t.wheel_next == kNoChunk) used_[t.wheel_slot / 64] &= ~(1ULL << t.wheel_slot % 64);
  }
  if (t.wheel_next != kNoChunk) trace(t.wheel_next).wheel_prev = t.wheel_prev;
  --count_;
}

std::uint32_t DeadlineWheel::distance_to_first() const {
  if (count_ == 0) return kNowhere;
  const std::uint32_t start = cursor_ % kSlots;
  for (std::uint32_t i = 0; i <= kSlots / 64; ++i) {
    const std::uint32_t word = (start / 64 + i) % (kSlots / 64);
    std::uint64_t bits = used_[word];
    if (i == 0) bits &= ~0ULL << start % 64;
    if (i == kSlots / 64) bits &= ~(~0ULL << start % 64);
    if (bits == 0) continue;
    const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
    return (slot - start) % kSlots;
  }
  return kNowhere;
}

ChunkRef DeadlineWheel::next_due(std::uint32_t now_ms) {
  const std::uint32_t ahead = (now_ms / kTickMs - cursor_) & (kTicks - 1);
  if (ahead >= kTicks / 2) return kNoChunk;  // a clock behind the cursor: nothing to do
  const std::uint32_t first = distance_to_first();
  cursor_ = (cursor_ + std::min(first, ahead)) & (kTicks - 1);
  if (first > ahead) return kNoChunk;
  return heads_[cursor_ % kSlots];
}

ChunkRef DeadlineWheel::first() const {
  if (count_ == 0) return kNoChunk;
  return heads_[(cursor_ + distance_to_first()) % kSlots];
}

std::uint32_t DeadlineWheel::next_ms() const { return (cursor_ + distance_to_first()) * kTickMs; }

}  // namespace tailgate
