#include "buffer/decision_cache.h"

#include <cstdlib>
#include <cstring>

#include "base/hash.h"
#include "base/invariant.h"

namespace tailgate {

void DecisionCache::Free::operator()(Entry* p) const { std::free(p); }

DecisionCache::Table DecisionCache::make_table(std::size_t bytes) {
  Table table;
  table.buckets = bytes / (kWays * sizeof(Entry));
  if (table.buckets != 0) {
    table.entries.reset(static_cast<Entry*>(std::calloc(table.buckets * kWays, sizeof(Entry))));
    INVARIANT(table.entries != nullptr);
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
  if (table.buckets == 0) return;
  const std::uint64_t bucket_hash = hash_bytes(id.view(), seed_);
  const std::uint64_t fingerprint = fingerprint_of(id);
  Entry* const bucket = bucket_of(table, bucket_hash);
  std::size_t out = 0;  // the place that is overwritten: its own, an empty one or the oldest
  while (out < kWays - 1 && bucket[out].fingerprint != 0 && bucket[out].fingerprint != fingerprint) ++out;
  if (bucket[out].fingerprint == 0) ++table.used;
  std::memmove(bucket + 1, bucket, out * sizeof(Entry));
  bucket[0] = {fingerprint, verdict};
}

std::optional<Verdict> DecisionCache::find(const TraceId& id) const {
  const std::uint64_t bucket_hash = hash_bytes(id.view(), seed_);
  const std::uint64_t fingerprint = fingerprint_of(id);
  for (const Table* table : {&kept_, &others_}) {
    if (table->buckets == 0) continue;
    const Entry* const bucket = bucket_of(*table, bucket_hash);
    for (std::size_t i = 0; i < kWays && bucket[i].fingerprint != 0; ++i) {
      if (bucket[i].fingerprint == fingerprint) return bucket[i].verdict;
    }
  }
  return std::nullopt;
}

}  // namespace tailgate
