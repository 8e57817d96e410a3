// SPDX-License-Identifier: Apache-2.0
// TraceTable: the references of a shard's open traces, by trace id. It is built to save cache misses, which were most
// of the cost of opening and closing a trace: a slot is 8 bytes (32 bits of the id's hash, the reference), so a look-up
// usually reads one cache line, and that line can be prefetched. If the bits are equal, the id in the trace decides.
//
// Linear probing. A slot's home follows from the hash bits in it, so growing and closing gaps read only slots.
// Threads: the holder of the shard's lock; prefetch() any.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/pages.h"
#include "buffer/chunk_pool.h"

namespace tailgate {

class TraceTable {
 public:
  TraceTable() { resize(10); }

  // The reference put under `hash` for which `is_it(ref)`; kNoChunk if there is none.
  template <class IsIt>
  ChunkRef find(std::uint64_t hash, IsIt&& is_it) const {
    const auto bits = static_cast<std::uint32_t>(hash);
    for (std::size_t i = home(bits); slots_[i].ref != kNoChunk; i = (i + 1) & mask_) {
      if (slots_[i].bits == bits && is_it(slots_[i].ref)) return slots_[i].ref;
    }
    return kNoChunk;
  }

  void insert(std::uint64_t hash, ChunkRef ref) {
    if ((size_ + 1) * 8 > slots_.size() * 5) resize(log2_ + 1);
    place({static_cast<std::uint32_t>(hash), ref});
    ++size_;
  }

  // `ref` must be there, under this hash.
  void erase(std::uint64_t hash, ChunkRef ref);

  // Starts to load the slots of `hash`. Needs no lock: if the table is replaced meanwhile, the load is only wasted.
  void prefetch(std::uint64_t hash) const {
    const std::uintptr_t place = place_.load(std::memory_order_relaxed);
    const std::uint64_t index = static_cast<std::uint32_t>(hash) >> (32 - (place & 63));
    __builtin_prefetch(reinterpret_cast<const void*>((place & ~std::uintptr_t{63}) + index * sizeof(Slot)), 1);
  }

  std::size_t size() const { return size_; }

  // Calls `f(ref)` for what is in some thousand slots from `from` on. The slot to go on from; 0: these were the last.
  template <class F>
  std::size_t each(std::size_t from, F&& f) const {
    constexpr std::size_t kSlotsAtOnce = 4096;
    const std::size_t end = std::min(slots_.size(), from + kSlotsAtOnce);
    for (std::size_t i = from; i < end; ++i) {
      if (slots_[i].ref != kNoChunk) f(slots_[i].ref);
    }
    return end < slots_.size() ? end : 0;
  }

 private:
  struct Slot {
    std::uint32_t bits = 0;
    ChunkRef ref = kNoChunk;  // kNoChunk: empty
  };

  std::size_t home(std::uint32_t bits) const { return bits >> (32 - log2_); }
  void place(Slot slot) {
    std::size_t i = home(slot.bits);
    while (slots_[i].ref != kNoChunk) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
  void resize(std::uint32_t log2);

  std::vector<Slot, PageAllocator<Slot>> slots_;
  std::size_t mask_ = 0;
  std::size_t size_ = 0;
  std::uint32_t log2_ = 0;                // of slots_.size(); 32 at most
  std::atomic<std::uintptr_t> place_{0};  // for prefetch(): address of slots_, whose low six bits are 0, and log2_
};

}  // namespace tailgate
