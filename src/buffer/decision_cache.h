// SPDX-License-Identifier: Apache-2.0
// DecisionCache: verdicts of traces decided a while ago, so that late spans follow their trace.
//
// A set-associative table of fixed size: an entry has 16 bytes (64-bit seeded fingerprint of the trace id, 8-byte
// Verdict), a bucket has 8 entries and loses its oldest one. A bucket is two cache lines, and a miss reads only the
// first. Kept traces have their own table, because the many that are not kept would push them out. A look-up mistakes a
// new trace for a decided one with a chance of 8 in 2^64. The system provides memory only as it is used.
//
// Threads: the holder of the shard's lock; prefetch() any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "model/ids.h"
#include "model/verdict.h"

namespace tailgate {

class DecisionCache {
 public:
  // `bytes_max` is split 1 : 7 between kept and other traces; 0 turns the cache off.
  DecisionCache(std::size_t bytes_max, std::uint64_t seed);

  void put(const TraceId& id, const Verdict& verdict);
  std::optional<Verdict> find(const TraceId& id) const;
  // Starts to load what find() will read. Needs no lock: the tables stay where they are.
  void prefetch(const TraceId& id) const;
  std::uint64_t entries(bool kept) const { return kept ? kept_.used : others_.used; }

 private:
  static constexpr std::size_t kWays = 8;
  struct Bucket {                       // newest first
    std::uint64_t fingerprints[kWays];  // 0: empty
    Verdict verdicts[kWays];
  };
  static_assert(sizeof(Bucket) == 128);
  struct Unmap {
    std::size_t bytes;
    void operator()(Bucket* p) const;
  };
  struct Table {
    std::unique_ptr<Bucket[], Unmap> buckets;
    std::uint64_t size = 0;  // buckets
    std::uint64_t used = 0;  // entries
  };

  std::uint64_t fingerprint_of(const TraceId& id) const;
  static Table make_table(std::size_t bytes);
  static Bucket& bucket_of(const Table& table, std::uint64_t hash) {
    __extension__ using Wide = unsigned __int128;
    return table.buckets[static_cast<std::size_t>(static_cast<Wide>(hash) * table.size >> 64)];
  }

  std::uint64_t seed_;
  Table kept_;
  Table others_;
};

}  // namespace tailgate
