// SPDX-License-Identifier: Apache-2.0
// ChunkPool: memory for span bytes, in pieces of nine sizes out of one region that is recycled and never given back.
//
//   region  [ slab 2 MiB | slab | ... ]  reserved at start as address space, committed slab by slab as it is needed
//   piece   192 to 512 B in steps of 64 B, then 1, 2 and 4 KiB; it begins a cache line, and all of it is its owner's
//   ref     index of the piece in units of 64 B; 32 bits, so 256 GiB at most. Its owner knows the size class
//
// References to free pieces stand in lists outside of them, so neither taking nor freeing a piece reads it. A large
// piece can be cut into small ones; small ones are never joined again. Who finds no piece of the size wanted, and none
// to cut, gets a smaller one. Every piece can hold the header of a trace, so no size starves another. Once a sixteenth
// of the memory used so far is free, pieces of other sizes are used before fresh memory: a change of the traffic does
// not make the region grow.
//
// Threads: each shard has a LocalChunks under its own lock and takes from / gives to the pool's lock in batches.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/mutex.h"

namespace tailgate {

using ChunkRef = std::uint32_t;
inline constexpr ChunkRef kNoChunk = UINT32_MAX;
inline constexpr std::size_t kChunkUnit = 64;  // bytes
inline constexpr std::size_t kChunkMin = 192;
inline constexpr std::size_t kChunkMax = 4096;

using SizeClass = std::uint8_t;
inline constexpr std::array<std::uint8_t, 9> kClassUnits = {3, 4, 5, 6, 7, 8, 16, 32, 64};
constexpr std::size_t class_bytes(std::size_t size) { return kClassUnits[size] * kChunkUnit; }
// The class of the first piece to take for `bytes` bytes: the largest that is not larger than they, rounded up to a
// unit, and after which nothing or enough for another piece is left.
constexpr SizeClass class_for(std::size_t bytes) {
  constexpr std::size_t kLeast = kClassUnits[0];
  const std::size_t units = std::max(kLeast, (bytes + kChunkUnit - 1) / kChunkUnit);
  const auto within = [](std::size_t n) -> std::size_t {
    return n <= 8 ? n - kLeast : n < 16 ? 5 : n < 32 ? 6 : n < 64 ? 7 : 8;
  };
  const std::size_t size = within(units);
  const std::size_t rest = units - kClassUnits[size];
  return static_cast<SizeClass>(rest == 0 || rest >= kLeast ? size : within(units - kLeast));
}

struct Chunk {
  ChunkRef ref = kNoChunk;
  SizeClass size = 0;
};

class ChunkPool {
 public:
  // Reserves address space for `bytes_max`; commits nothing yet. Aborts the process if the system has no address space.
  explicit ChunkPool(std::size_t bytes_max);
  ~ChunkPool();
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

  char* at(ChunkRef ref) const { return base_ + static_cast<std::size_t>(ref) * kChunkUnit; }

  // Appends up to `want` free pieces of class `size` and at least one. If there are none, of another class, to which
  // `size` is then set; false when the region is used up.
  bool take(SizeClass& size, std::size_t want, std::vector<ChunkRef>& refs);
  // Takes the first `count` of `refs` back, which are of class `size`, and erases them there.
  void give(SizeClass size, std::vector<ChunkRef>& refs, std::size_t count);

  std::size_t bytes_committed() const;
  std::size_t bytes_max() const { return bytes_max_; }

  // Commits up to two slabs ahead of their use; in all, at most a 32nd of what is in use and 64 MiB. The sweeper calls
  // it, so that its thread pays for the first touch of memory, not the thread of a request.
  void prepare();

 private:
  using FreeList = std::deque<ChunkRef>;

  bool commit_slab(std::size_t want_ready);
  bool take_free(SizeClass size, std::size_t want, std::vector<ChunkRef>& refs) TAILGATE_REQUIRES(mutex_);
  bool take_other(SizeClass& size, std::size_t want, std::vector<ChunkRef>& refs) TAILGATE_REQUIRES(mutex_);
  bool carve(SizeClass size, std::size_t want, std::vector<ChunkRef>& refs) TAILGATE_REQUIRES(mutex_);
  bool carve_rest(SizeClass& size, std::vector<ChunkRef>& refs) TAILGATE_REQUIRES(mutex_);

  char* base_ = nullptr;
  std::size_t bytes_max_ = 0;
  Mutex commit_mutex_;  // held while a slab is committed, which takes up to milliseconds; before mutex_
  mutable Mutex mutex_;
  std::size_t bytes_committed_ TAILGATE_GUARDED_BY(mutex_) = 0;  // only the holder of both locks changes it
  std::size_t bytes_carved_ TAILGATE_GUARDED_BY(mutex_) = 0;     // of the committed part, handed out at least once
  std::size_t bytes_free_ TAILGATE_GUARDED_BY(mutex_) = 0;       // of the carved part, in the lists below
  std::array<FreeList, kClassUnits.size()> free_ TAILGATE_GUARDED_BY(mutex_);
};

// The free pieces of one shard, at most 128 KiB of each size. Guarded by the shard's lock.
class LocalChunks {
 public:
  static constexpr std::size_t kBytesMax = kClassUnits.size() * (128 << 10);

  explicit LocalChunks(ChunkPool& pool) : pool_(pool) {}

  // A piece of class `size`; when there is none, of another class. Its ref is kNoChunk when all memory is used.
  Chunk take(SizeClass size);
  void give(Chunk chunk);

  char* at(ChunkRef ref) const { return pool_.at(ref); }
  const ChunkPool& pool() const { return pool_; }
  std::size_t bytes_free() const;

 private:
  Chunk pop(SizeClass size);
  Chunk take_other(SizeClass size);
  Chunk cut_here(Chunk piece, SizeClass size);

  ChunkPool& pool_;
  std::array<std::vector<ChunkRef>, kClassUnits.size()> free_;
  // What the pool gave when it had none of the size wanted: for whoever wants a size that is not here next.
  std::vector<ChunkRef> substitutes_;
  SizeClass substitute_class_ = 0;
};

}  // namespace tailgate
