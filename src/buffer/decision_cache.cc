// SPDX-License-Identifier: Apache-2.0
#include "buffer/decision_cache.h"

#include <cstring>

#include "base/hash.h"
#include "base/pages.h"

namespace tailgate {

void DecisionCache::Unmap::operator()(Bucket* p) const { unmap_pages(p, bytes); }

DecisionCache::Table DecisionCache::make_table(std::size_t bytes) {
  Table table;
  table.size = bytes / sizeof(Bucket);
  if (table.size != 0) {
    bytes = table.size * sizeof(Bucket);
    table.buckets = {static_cast<Bucket*>(map_pages(bytes)), Unmap{bytes}};
  }
  return table;
}

DecisionCache::DecisionCache(std::size_t bytes_max, std::uint64_t seed)
    : seed_(seed), kept_(make_table(bytes_max / 8)), others_(make_table(bytes_max - bytes_max / 8)) {}

std::uint64_t DecisionCache::fingerprint_of(const TraceId& id) const {
  const std::uint64_t hash = hash_bytes(id.view(), ~seed_);
  return hash != 0 ? hash : 1;
}

void DecisionCache::put(const TraceId& id, const Verdict& verdict) {
  Table& table = verdict.decision == Decision::kSampled ? kept_ : others_;
  if (table.size == 0) return;
  const std::uint64_t bucket_hash = hash_bytes(id.view(), seed_);
  const std::uint64_t fingerprint = fingerprint_of(id);
  Bucket& bucket = bucket_of(table, bucket_hash);
  std::size_t out = 0;  // the place that is overwritten: its own, an empty one or the oldest
  while (out < kWays - 1 && bucket.fingerprints[out] != 0 && bucket.fingerprints[out] != fingerprint) ++out;
  if (bucket.fingerprints[out] == 0) ++table.used;
  std::memmove(bucket.fingerprints + 1, bucket.fingerprints, out * sizeof fingerprint);
  std::memmove(bucket.verdicts + 1, bucket.verdicts, out * sizeof verdict);
  bucket.fingerprints[0] = fingerprint;
  bucket.verdicts[0] = verdict;
}

std::optional<Verdict> DecisionCache::find(const TraceId& id) const {
  const std::uint64_t bucket_hash = hash_bytes(id.view(), seed_);
  const std::uint64_t fingerprint = fingerprint_of(id);
  for (const Table* table : {&kept_, &others_}) {
    if (table->size == 0) continue;
    const Bucket& bucket = bucket_of(*table, bucket_hash);
    for (std::size_t i = 0; i < kWays && bucket.fingerprints[i] != 0; ++i) {
      if (bucket.fingerprints[i] == fingerprint) return bucket.verdicts[i];
    }
  }
  return std::nullopt;
}

void DecisionCache::prefetch(const TraceId& id) const {
  const std::uint64_t bucket_hash = hash_bytes(id.view(), seed_);
  for (const Table* table : {&kept_, &others_}) {
    if (table->size != 0) __builtin_prefetch(&bucket_of(*table, bucket_hash));
  }
}

}  // namespace tailgate
