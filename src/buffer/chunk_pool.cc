// SPDX-License-Identifier: Apache-2.0
#include "buffer/chunk_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/invariant.h"

namespace tailgate {
namespace {

constexpr std::size_t kSlab = 2 << 20;             // a huge page, where the system has them
constexpr std::uint32_t kBatch = 64;               // pieces moved between pool and shard at a time
constexpr std::size_t kLocalBytesMax = 512 << 10;  // free bytes a shard keeps for itself

std::size_t piece_size(bool large) { return large ? kLargeChunk : kChunkUnit; }

void link(char* piece, bool large, ChunkRef next) { std::memcpy(piece + piece_size(large) - 4, &next, 4); }

// The top bit of a link says that the next piece is large (OpenTrace's business): it is not part of the reference.
ChunkRef next_in(const char* piece, bool large) {
  ChunkRef next;
  std::memcpy(&next, piece + piece_size(large) - 4, 4);
  return next & ~kLargeBit;
}

}  // namespace

ChunkPool::ChunkPool(std::size_t bytes_max) : bytes_max_((bytes_max + kSlab - 1) / kSlab * kSlab) {
  // One slab more, so that the base can be aligned for huge pages. PROT_NONE: address space only, no memory is
  // promised.
  void* const region = mmap(nullptr, bytes_max_ + kSlab, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  INVARIANT(region != MAP_FAILED);
  const auto address = reinterpret_cast<std::uintptr_t>(region);
  const std::uintptr_t aligned = (address + kSlab - 1) / kSlab * kSlab;
  if (aligned != address) munmap(region, aligned - address);
  base_ = reinterpret_cast<char*>(aligned);
  const std::size_t rest = kSlab - (aligned - address);
  if (rest != 0) munmap(base_ + bytes_max_, rest);
}

ChunkPool::~ChunkPool() { munmap(base_, bytes_max_); }

// Commits one slab unless `want_ready` bytes are ready already. False: fewer are ready and the region is used up.
bool ChunkPool::commit_slab(std::size_t want_ready) {
  const MutexLock commit_lock(commit_mutex_);
  std::size_t at = 0;
  {
    const MutexLock lock(mutex_);
    if (bytes_committed_ - bytes_carved_ >= want_ready) return true;
    if (bytes_committed_ == bytes_max_) return false;
    at = bytes_committed_;
  }
  char* const slab = base_ + at;
  if (mprotect(slab, kSlab, PROT_READ | PROT_WRITE) != 0) return false;
  madvise(slab, kSlab, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
  madvise(slab, kSlab, MADV_POPULATE_WRITE);  // Linux 5.14; on older ones the first touch faults page by page
#endif
  const MutexLock lock(mutex_);
  bytes_committed_ = at + kSlab;
  return true;
}

bool ChunkPool::take(bool large, std::uint32_t want, std::vector<ChunkChain>& chains) {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      if (take_free(large, want, chains) || carve(large, want, chains)) return true;
    }
    if (!commit_slab(large ? kLargeChunk : kChunkUnit)) return false;
  }
}

// From the free lists.
bool ChunkPool::take_free(bool large, std::uint32_t want, std::vector<ChunkChain>& chains) {
  std::vector<ChunkChain>& free = large ? free_large_ : free_small_;
  std::uint32_t got = 0;
  while (got < want && !free.empty()) {
    ChunkChain& chain = free.back();
    if (chain.count > 4 * want) {
      // A giant trace's chain: cut a batch off its front, so that one shard does not walk away with all of it.
      ChunkChain front{chain.head, chain.head, 1};
      for (; front.count < want; ++front.count) front.tail = next_in(at(front.tail), large);
      chain.head = next_in(at(front.tail), large);
      chain.count -= front.count;
      chains.push_back(front);
      return true;
    }
    chains.push_back(chain);
    got += chain.count;
    free.pop_back();
  }
  return got != 0;
}

// From committed memory that was never used, pieces in a row.
bool ChunkPool::carve(bool large, std::uint32_t want, std::vector<ChunkChain>& chains) {
  const std::size_t size = piece_size(large);
  // Slabs lie side by side and a large piece may lie across two, so nothing is left over at a slab's end.
  const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(want, (bytes_committed_ - bytes_carved_) / size));
  if (count == 0) return false;
  const auto step = static_cast<std::uint32_t>(size / kChunkUnit);
  const auto first = static_cast<ChunkRef>(bytes_carved_ / kChunkUnit);
  for (std::uint32_t i = 0; i < count; ++i) {
    link(at(first + i * step), large, i + 1 < count ? first + (i + 1) * step : kNoChunk);
  }
  chains.push_back({first, first + (count - 1) * step, count});
  bytes_carved_ += count * size;
  return true;
}

void ChunkPool::give(bool large, std::vector<ChunkChain>& chains, std::size_t first) {
  const MutexLock lock(mutex_);
  std::vector<ChunkChain>& free = large ? free_large_ : free_small_;
  free.insert(free.end(), chains.begin() + static_cast<std::ptrdiff_t>(first), chains.end());
  chains.resize(first);
}

std::size_t ChunkPool::bytes_committed() const {
  const MutexLock lock(mutex_);
  return bytes_committed_;
}

void ChunkPool::prepare() {
  for (int slabs = 0; slabs < 2; ++slabs) {  // the caller has traces to close: a slab may take milliseconds
    std::size_t want = 0;
    {
      const MutexLock lock(mutex_);
      if (!free_small_.empty() && !free_large_.empty()) return;
      want = std::clamp<std::size_t>(bytes_carved_ / 32, kSlab, 64 << 20);
      if (bytes_committed_ - bytes_carved_ >= want || bytes_committed_ == bytes_max_) return;
    }
    if (!commit_slab(want)) return;
  }
}

bool LocalChunks::refill(Free& free, bool large) {
  const std::size_t before = free.chains.size();
  if (!pool_.take(large, kBatch, free.chains)) return false;
  for (std::size_t i = before; i < free.chains.size(); ++i) free.pieces += free.chains[i].count;
  return true;
}

ChunkRef LocalChunks::pop(Free& free, bool large) {
  ChunkChain& chain = free.chains.back();
  const ChunkRef piece = chain.head;
  --free.pieces;
  if (--chain.count == 0) {
    free.chains.pop_back();
  } else {
    chain.head = next_in(at(piece), large);
    const char* const soon = at(chain.head);  // the piece after this one is wanted next
    __builtin_prefetch(soon, 1);
    __builtin_prefetch(soon + piece_size(large) - 64, 1);
  }
  return piece;
}

ChunkRef LocalChunks::take(bool large, bool& got_large) {
  if (large && (!large_.chains.empty() || refill(large_, true))) {
    got_large = true;
    return pop(large_, true);
  }
  got_large = false;
  return take_small();
}

ChunkRef LocalChunks::take_small() {
  if (small_.chains.empty() && !refill(small_, false)) {
    // Cut a large piece into small ones.
    constexpr ChunkRef kParts = kLargeChunk / kChunkUnit;
    if (large_.chains.empty() && !refill(large_, true)) return kNoChunk;
    const ChunkRef first = pop(large_, true);
    for (ChunkRef i = 0; i < kParts; ++i) link(at(first + i), false, i + 1 < kParts ? first + i + 1 : kNoChunk);
    small_.chains.push_back({first, first + kParts - 1, kParts});
    small_.pieces += kParts;
  }
  return pop(small_, false);
}

void LocalChunks::give(bool large, const ChunkChain& chain) {
  if (chain.count == 0) return;
  Free& free = large ? large_ : small_;
  free.chains.push_back(chain);
  free.pieces += chain.count;
  if (free.pieces * piece_size(large) <= kLocalBytesMax) return;
  // Keep the newer half, which is likelier to be in cache; less when its chains are those of giant traces.
  std::size_t give_count = 0;
  while (give_count < free.chains.size() / 2 || free.pieces * piece_size(large) > kLocalBytesMax) {
    free.pieces -= free.chains[give_count++].count;
  }
  std::vector<ChunkChain> old(free.chains.begin(), free.chains.begin() + static_cast<std::ptrdiff_t>(give_count));
  free.chains.erase(free.chains.begin(), free.chains.begin() + static_cast<std::ptrdiff_t>(give_count));
  pool_.give(large, old, 0);
}

}  // namespace tailgate
