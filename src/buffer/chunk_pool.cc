// SPDX-License-Identifier: Apache-2.0
#include "buffer/chunk_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

#include "base/invariant.h"

namespace tailgate {
namespace {

constexpr std::size_t kSlab = 2 << 20;             // a huge page, where the system has them
constexpr std::size_t kLocalBytesMax = 128 << 10;  // free bytes of one size that a shard keeps for itself
static_assert(LocalChunks::kBytesMax == kLocalBytesMax * kClassUnits.size());
static_assert(class_bytes(kClassUnits.size() - 1) == kChunkMax);

// Pieces moved between pool and shard at a time: 16 KiB, but 4 to 64 of them.
std::size_t batch_of(SizeClass size) { return std::clamp<std::size_t>((16 << 10) / class_bytes(size), 4, 64); }

void move_tail(std::deque<ChunkRef>& from, std::size_t count, std::vector<ChunkRef>& to) {
  const auto first = std::prev(from.end(), static_cast<std::ptrdiff_t>(count));
  to.insert(to.end(), first, from.end());
  from.erase(first, from.end());
}

struct Cut {
  Chunk first;  // of the class wanted, or up to two units larger
  std::array<Chunk, kChunkMax / kChunkMin> rest;
  std::size_t rests = 0;
};

// Cuts a piece into one for `size` and a rest.
Cut cut(Chunk piece, SizeClass size) {
  constexpr std::size_t kLeast = kClassUnits[0];
  const std::size_t units = kClassUnits[piece.size];
  if (units < kClassUnits[size] + kLeast) return {piece, {}, 0};
  Cut out{{piece.ref, size}, {}, 0};
  ChunkRef at = piece.ref + kClassUnits[size];
  for (std::size_t left = units - kClassUnits[size]; left != 0;) {
    const bool again = left == kClassUnits[size] || left >= kClassUnits[size] + kLeast;
    const SizeClass part = again ? size : class_for(left * kChunkUnit);
    out.rest[out.rests++] = {at, part};
    at += kClassUnits[part];
    left -= kClassUnits[part];
  }
  return out;
}

}  // namespace

ChunkPool::ChunkPool(std::size_t bytes_max)
    : bytes_max_(std::min((bytes_max + kSlab - 1) / kSlab * kSlab, kNoChunk * kChunkUnit / kSlab * kSlab)) {
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

bool ChunkPool::take(SizeClass& size, std::size_t want, std::vector<ChunkRef>& refs) {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      if (take_free(size, want, refs)) return true;
      // The pool takes pieces of other sizes before fresh memory, unless they are few: a few are always left over.
      if (bytes_free_ >= std::max(bytes_carved_ / 16, kSlab) && take_other(size, want, refs)) return true;
      if (carve(size, want, refs)) return true;
    }
    if (commit_slab(class_bytes(size))) continue;
    const MutexLock lock(mutex_);
    return take_free(size, want, refs) || take_other(size, want, refs) || carve_rest(size, refs);
  }
}

// From the free list of this class.
bool ChunkPool::take_free(SizeClass size, std::size_t want, std::vector<ChunkRef>& refs) {
  FreeList& free = free_[size];
  const std::size_t count = std::min(want, free.size());
  if (count == 0) return false;
  move_tail(free, count, refs);
  bytes_free_ -= count * class_bytes(size);
  return true;
}

// From the free lists of other classes: a larger piece is cut; without one, smaller pieces.
bool ChunkPool::take_other(SizeClass& size, std::size_t want, std::vector<ChunkRef>& refs) {
  for (std::size_t larger = size + 1u; larger < free_.size(); ++larger) {
    if (free_[larger].empty()) continue;
    const Chunk piece{free_[larger].back(), static_cast<SizeClass>(larger)};
    free_[larger].pop_back();
    const Cut parts = cut(piece, size);
    for (std::size_t i = 0; i < parts.rests; ++i) free_[parts.rest[i].size].push_back(parts.rest[i].ref);
    const Chunk part = parts.first;
    bytes_free_ -= class_bytes(part.size);
    refs.push_back(part.ref);
    size = part.size;
    return true;
  }
  for (SizeClass smaller = size; smaller-- != 0;) {
    if (!take_free(smaller, want, refs)) continue;
    size = smaller;
    return true;
  }
  return false;
}

// From committed memory that was never used, pieces in a row.
bool ChunkPool::carve(SizeClass size, std::size_t want, std::vector<ChunkRef>& refs) {
  // Slabs lie side by side and a piece may lie across two, so nothing is left over at a slab's end.
  const std::size_t bytes = class_bytes(size);
  const std::size_t count = std::min(want, (bytes_committed_ - bytes_carved_) / bytes);
  auto at = static_cast<ChunkRef>(bytes_carved_ / kChunkUnit);
  // The last of `refs` is taken first, so the highest address goes in first and the lowest is used first.
  for (std::size_t i = count; i-- != 0;) refs.push_back(at + static_cast<ChunkRef>(i) * kClassUnits[size]);
  bytes_carved_ += count * bytes;
  return count != 0;
}

// The end of the region, too short for a piece of class `size`.
bool ChunkPool::carve_rest(SizeClass& size, std::vector<ChunkRef>& refs) {
  if (bytes_committed_ - bytes_carved_ < kChunkMin) return false;
  size = class_for(bytes_committed_ - bytes_carved_);
  return carve(size, 1, refs);
}

void ChunkPool::give(SizeClass size, std::vector<ChunkRef>& refs, std::size_t count) {
  const auto end = refs.begin() + static_cast<std::ptrdiff_t>(count);
  {
    const MutexLock lock(mutex_);
    free_[size].insert(free_[size].end(), refs.begin(), end);
    bytes_free_ += count * class_bytes(size);
  }
  refs.erase(refs.begin(), end);
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
      want = std::clamp<std::size_t>(bytes_carved_ / 32, kSlab, 64 << 20);
      if (bytes_free_ >= want || bytes_committed_ - bytes_carved_ >= want || bytes_committed_ == bytes_max_) return;
    }
    if (!commit_slab(want)) return;
  }
}

Chunk LocalChunks::pop(SizeClass size) {
  std::vector<ChunkRef>& free = free_[size];
  const ChunkRef ref = free.back();
  free.pop_back();
  if (!free.empty()) {
    const char* const soon = at(free.back());  // wanted next
    __builtin_prefetch(soon, 1);
    __builtin_prefetch(soon + kChunkUnit, 1);
  }
  return {ref, size};
}

Chunk LocalChunks::take(SizeClass size) {
  std::vector<ChunkRef>& free = free_[size];
  if (!free.empty()) return pop(size);
  if (substitutes_.empty()) {
    substitute_class_ = size;
    if (!pool_.take(substitute_class_, batch_of(size), substitutes_)) return take_other(size);
    if (substitute_class_ == size) {
      free.swap(substitutes_);
      return pop(size);
    }
  }
  const Chunk substitute{substitutes_.back(), substitute_class_};
  substitutes_.pop_back();
  return cut_here(substitute, size);
}

// Cuts a piece of this shard, unless it is small enough.
Chunk LocalChunks::cut_here(Chunk piece, SizeClass size) {
  if (piece.size <= size) return piece;
  const Cut parts = cut(piece, size);
  for (std::size_t i = 0; i < parts.rests; ++i) give(parts.rest[i]);  // no more than a shard may keep
  return parts.first;
}

// Nothing is left in the pool: what this shard has of other classes.
Chunk LocalChunks::take_other(SizeClass size) {
  for (SizeClass smaller = size; smaller-- != 0;) {
    if (!free_[smaller].empty()) return pop(smaller);
  }
  for (std::size_t larger = size + 1u; larger < free_.size(); ++larger) {
    if (free_[larger].empty()) continue;
    return cut_here(pop(static_cast<SizeClass>(larger)), size);
  }
  return {};
}

void LocalChunks::give(Chunk chunk) {
  std::vector<ChunkRef>& free = free_[chunk.size];
  free.push_back(chunk.ref);
  // Gives the older half away: the newer one is likelier to be in cache.
  if (free.size() * class_bytes(chunk.size) > kLocalBytesMax) pool_.give(chunk.size, free, free.size() / 2);
}

std::size_t LocalChunks::bytes_free() const {
  std::size_t bytes = substitutes_.size() * class_bytes(substitute_class_);
  for (std::size_t size = 0; size < free_.size(); ++size) {
    bytes += free_[size].size() * class_bytes(size);
  }
  return bytes;
}

}  // namespace tailgate
