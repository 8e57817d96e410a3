// SPDX-License-Identifier: Apache-2.0
// ChunkPool: memory for span bytes, in pieces of two sizes out of one region that is recycled and never given back.
//
//   region  [ slab 2 MiB | slab | ... ]  reserved at start as address space, committed slab by slab as it is needed
//   piece   small 256 B or large 2 KiB; its last 4 bytes hold the reference of the next piece of its chain
//   ref     index of the piece in units of 256 B; 31 bits, so 512 GiB at most
//
// Freed memory moves as whole chains, so freeing a trace costs the same whatever its size, and its bytes are not read
// again. A large piece can be cut into eight small ones; small ones are never joined again. A trace that finds no large
// piece takes small ones, so neither size can starve the other.
//
// Threads: each shard has a LocalChunks under its own lock and takes from / gives to the pool's lock in batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/mutex.h"

namespace tailgate {

using ChunkRef = std::uint32_t;
inline constexpr ChunkRef kNoChunk = UINT32_MAX;
inline constexpr ChunkRef kLargeBit = 1u << 31;   // in a link: the next piece is a large one
inline constexpr std::size_t kChunkUnit = 256;    // bytes; a small piece
inline constexpr std::size_t kLargeChunk = 2048;  // bytes

// Pieces of one size, linked from head to tail.
struct ChunkChain {
  ChunkRef head = kNoChunk;
  ChunkRef tail = kNoChunk;
  std::uint32_t count = 0;
};

class ChunkPool {
 public:
  // Reserves address space for `bytes_max`; commits nothing yet. Aborts the process if the system has no address space.
  explicit ChunkPool(std::size_t bytes_max);
  ~ChunkPool();
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

  char* at(ChunkRef ref) const { return base_ + static_cast<std::size_t>(ref) * kChunkUnit; }

  // Chains of free pieces, about `want` of them or more; false when the region is used up.
  bool take(bool large, std::uint32_t want, std::vector<ChunkChain>& chains);
  void give(bool large, std::vector<ChunkChain>& chains, std::size_t first);

  std::size_t bytes_committed() const;
  std::size_t bytes_max() const { return bytes_max_; }

  // Commits up to two slabs ahead of their use; in all, at most a 32nd of what is in use and 64 MiB. The sweeper calls
  // it, so that its thread pays for the first touch of memory, not the thread of a request.
  void prepare();

 private:
  bool commit_slab(std::size_t want_ready);
  bool take_free(bool large, std::uint32_t want, std::vector<ChunkChain>& chains) TAILGATE_REQUIRES(mutex_);
  bool carve(bool large, std::uint32_t want, std::vector<ChunkChain>& chains) TAILGATE_REQUIRES(mutex_);

  char* base_ = nullptr;
  std::size_t bytes_max_ = 0;
  Mutex commit_mutex_;  // held while a slab is committed, which takes up to milliseconds; before mutex_
  mutable Mutex mutex_;
  std::size_t bytes_committed_ TAILGATE_GUARDED_BY(mutex_) = 0;  // only the holder of both locks changes it
  std::size_t bytes_carved_ TAILGATE_GUARDED_BY(mutex_) = 0;     // of the committed part, handed out at least once
  std::vector<ChunkChain> free_small_ TAILGATE_GUARDED_BY(mutex_);
  std::vector<ChunkChain> free_large_ TAILGATE_GUARDED_BY(mutex_);
};

// The free pieces of one shard, about half a MiB of each size at most. Guarded by the shard's lock.
class LocalChunks {
 public:
  explicit LocalChunks(ChunkPool& pool) : pool_(pool) {}

  // A piece of the size wanted; when there is none, of the other size (`got_large` says which). kNoChunk: all is used.
  ChunkRef take(bool large, bool& got_large);
  ChunkRef take_small();
  void give(bool large, const ChunkChain& chain);

  char* at(ChunkRef ref) const { return pool_.at(ref); }
  std::size_t bytes_free() const { return (small_.pieces * kChunkUnit) + (large_.pieces * kLargeChunk); }

 private:
  struct Free {
    std::vector<ChunkChain> chains;  // the last one is being used up
    std::size_t pieces = 0;
  };
  ChunkRef pop(Free& free, bool large);
  bool refill(Free& free, bool large);

  ChunkPool& pool_;
  Free small_;
  Free large_;
};

}  // namespace tailgate
