// SPDX-License-Identifier: Apache-2.0
// The TraceShape of an open trace: what its links and prefixes say about it as a whole. Threads: the holder of the
// shard's lock.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "buffer/chunk_pool.h"
#include "buffer/open_trace.h"
#include "decide/policy.h"

namespace tailgate {

// Scratch of a shard, kept for its memory.
class LinkScan {
 public:
  std::vector<SpanLink> links;  // of the trace in hand

  // How many parents are named that have not come. Ids are compared by 32-bit hashes (SpanLink). About 6 ns a span.
  std::uint32_t missing_parents();
  // After missing_parents(): has a span with this id come?
  bool has(std::uint32_t id) const { return table_[find(id)].present; }
  // Spans on the longest way down; a circle of parents counts as often as it has spans.
  std::uint32_t depth();

 private:
  void index();
  std::size_t find(std::uint32_t id) const;  // slot of the id, or of the empty place where it belongs

  struct Slot {
    std::uint32_t id = 0;     // 0: empty
    std::uint32_t index = 0;  // in links
    bool present = false;     // false: only named as a parent
  };
  std::vector<Slot> table_;  // open addressing, a power of two, at most half full
  std::size_t mask_ = 0;
};

class OpenTraceShape final : public TraceShape {
 public:
  // `count_services` counts different service names when asked.
  OpenTraceShape(const ChunkPool& pool, const OpenTrace& trace, LinkScan& scan,
                 std::function<std::uint32_t()> count_services)
      : pool_(pool), trace_(trace), scan_(scan), count_services_(std::move(count_services)) {}

  std::uint32_t missing_parents() const override;
  std::uint32_t depth() const override;
  std::uint32_t services() const override;
  // What they answered when they were asked; 0: they were not.
  std::uint32_t depth_asked() const { return depth_; }
  std::uint32_t services_asked() const { return services_; }

 private:
  void read() const;

  const ChunkPool& pool_;
  const OpenTrace& trace_;
  LinkScan& scan_;
  std::function<std::uint32_t()> count_services_;
  mutable bool read_ = false;
  mutable std::uint32_t missing_ = UINT32_MAX;
  mutable std::uint32_t depth_ = 0, services_ = 0;  // 0: not asked; a trace has one of each at least
};

}  // namespace tailgate
