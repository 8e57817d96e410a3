// SPDX-License-Identifier: Apache-2.0
#include "buffer/trace_table.h"

#include "base/invariant.h"

namespace tailgate {

void TraceTable::erase(std::uint64_t hash, ChunkRef ref) {
  std::size_t gap = home(static_cast<std::uint32_t>(hash));
  while (slots_[gap].ref != ref) {
    INVARIANT(slots_[gap].ref != kNoChunk);
    gap = (gap + 1) & mask_;
  }
  // Slots behind the gap move into it unless their home lies behind it: none may stand between a slot and its home.
  for (std::size_t i = (gap + 1) & mask_; slots_[i].ref != kNoChunk; i = (i + 1) & mask_) {
    const std::size_t from_home = (i - home(slots_[i].bits)) & mask_;
    if (from_home < ((i - gap) & mask_)) continue;
    slots_[gap] = slots_[i];
    gap = i;
  }
  slots_[gap] = Slot{};
  --size_;
}

void TraceTable::resize(std::uint32_t log2) {
  INVARIANT(log2 <= 32);
  std::vector<Slot, PageAllocator<Slot>> old(std::size_t{1} << log2);
  slots_.swap(old);
  log2_ = log2;
  mask_ = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.ref != kNoChunk) place(slot);
  }
  const auto address = reinterpret_cast<std::uintptr_t>(slots_.data());
  INVARIANT(address % 64 == 0);
  place_.store(address | log2_, std::memory_order_relaxed);
}

}  // namespace tailgate
