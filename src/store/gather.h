// SPDX-License-Identifier: Apache-2.0
// PartitionView: a partition during one call. TraceGatherer: reads traces with all their parts out of views; it
// remembers the last blocks, since neighbours in time are neighbours on disk. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "store/partition.h"
#include "store/reader.h"

namespace tailgate {

struct PartitionView {
  std::shared_ptr<Partition> partition;
  Partition::Lease db;
};

// Where a trace is in one partition.
struct TracePlace {
  PartitionView* view = nullptr;
  TraceNumber number = 0;
};

class TraceGatherer {
 public:
  // `places` oldest first. False when none of its parts could be read. Notes in `outcome` which blocks are damaged.
  Result<bool> gather(const TraceId& id, const std::vector<TracePlace>& places, StoredTrace& out,
                      SearchOutcome& outcome);

 private:
  struct Cached {
    const Partition* partition = nullptr;
    std::uint64_t position = 0;
    std::unique_ptr<Block> block;
  };
  struct Part {
    std::int64_t content = 0;
    std::uint32_t spans = 0, errors = 0;  // once it could be read
    bool lost = true;                     // it could not
  };
  Result<void> add_part(const TracePlace& place, std::uint64_t block, std::size_t record, StoredTrace& out, Part& into);

  std::array<Cached, 4> cache_;
  std::size_t next_ = 0;
};

// The number of the trace in the partition, if it is there.
Result<std::optional<TraceNumber>> find_trace(Database& db, const TraceId& id);

}  // namespace tailgate
