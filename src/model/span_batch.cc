// SPDX-License-Identifier: Apache-2.0
#include "model/span_batch.h"

#include "base/hash.h"

namespace tailgate {

void SpanBatch::clear() {
  // The table is emptied by what was put in it: a batch of 10 traces must not pay for one of 10,000 before it.
  if (!table_.empty()) {
    if (traces.size() * 8 < table_.size()) {
      const std::size_t mask = table_.size() - 1;
      for (const BatchTrace& trace : traces) {
        for (std::size_t slot = trace.hash & mask; table_[slot] != kNoIndex; slot = (slot + 1) & mask)
          table_[slot] = kNoIndex;
      }
    } else {
      std::fill(table_.begin(), table_.end(), kNoIndex);
    }
  }
  groups.clear();
  spans.clear();
  traces.clear();
  words.clear();
  scratch.clear();
}

std::uint32_t SpanBatch::trace_index(const TraceId& id) {
  if (traces.size() * 2 >= table_.size()) grow_table();
  const std::uint64_t hash = hash_bytes(id.view(), hash_seed);
  const std::size_t mask = table_.size() - 1;
  std::size_t slot = hash & mask;
  for (; table_[slot] != kNoIndex; slot = (slot + 1) & mask) {
    const BatchTrace& trace = traces[table_[slot]];
    if (trace.hash == hash && trace.id == id) return table_[slot];
  }
  const auto index = static_cast<std::uint32_t>(traces.size());
  table_[slot] = index;
  BatchTrace& trace = traces.emplace_back();
  trace.id = id;
  trace.hash = hash;
  words.resize(words.size() + words_per_trace, 0);
  return index;
}

void SpanBatch::grow_table() {
  table_.assign(table_.empty() ? 256 : table_.size() * 2, kNoIndex);
  const std::size_t mask = table_.size() - 1;
  for (std::uint32_t i = 0; i < traces.size(); ++i) {
    std::size_t slot = traces[i].hash & mask;
    while (table_[slot] != kNoIndex) slot = (slot + 1) & mask;
    table_[slot] = i;
  }
}

}  // namespace tailgate
