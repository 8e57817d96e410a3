// SPDX-License-Identifier: Apache-2.0
// PartitionWriter: the partition that takes new parts. The order of a commit: blocks, sync, catalogue. What the
// catalogue or the index lacks, open() makes again from the blocks. One thread; readers use partition().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "blocks/block_file.h"
#include "model/kept_trace.h"
#include "store/catalogue.h"
#include "store/id_filter.h"
#include "store/partition.h"

namespace tailgate {

struct PartitionOptions {
  BlockCodec codec = BlockCodec::kZstd;
  std::uint64_t created_ns = 0;  // of a new one
  std::uint64_t parts_per_posting_file = 4000;
  // What older partitions have of a trace; nothing for one that is new.
  std::function<std::optional<EarlierParts>(const TraceId&)> earlier = {};
};

// What open() found and did.
struct PartitionRecovery {
  BlockRecovery blocks;
  bool catalogue_made_again = false;
};

class PartitionWriter {
 public:
  static Result<std::unique_ptr<PartitionWriter>> open(const std::string& folder, const PartitionOptions& options,
                                                       PartitionRecovery* recovery = nullptr);

  // All of it is synced when this returns without an error. After an error nothing is, or stale() is true.
  Result<void> append(std::span<const KeptTracePtr> traces);
  // The blocks have parts that the catalogue does not: the partition has to be opened anew before the next append.
  bool stale() const { return stale_; }

  // False once somebody has removed or moved its files.
  bool in_place() const { return blocks_->in_place(); }

  // Writes the rest of the index and the filter of its ids. Readers go on; the writer is of no use after it.
  Result<IdFilter> finish();

  const std::shared_ptr<Partition>& partition() const { return partition_; }
  std::uint64_t created_ns() const { return created_ns_; }
  std::uint64_t traces() const { return catalogue_->traces(); }
  bool empty() const { return catalogue_->next_number() == 1; }

 private:
  PartitionWriter(const std::string& folder, const PartitionOptions& options);
  Result<void> open_catalogue(bool& made_again);
  Result<void> replay(const Block& block);
  Result<void> add(const TraceId& id, const PartRecord& part, const PartFacts& facts, const PartPlace& place);
  struct Written {
    PartFacts facts;
    PartPlace place;
  };
  Result<void> write_blocks(std::span<const KeptTracePtr> traces, std::vector<Written>& written);
  Result<void> write_postings();

  const std::string folder_;
  const PartitionOptions options_;
  const std::shared_ptr<RecentPostings> recent_ = std::make_shared<RecentPostings>();
  const std::shared_ptr<Partition> partition_;
  std::unique_ptr<BlockWriter> blocks_;
  std::unique_ptr<Catalogue> catalogue_;
  FactReader facts_;
  std::uint64_t created_ns_ = 0;
  std::string front_;
  bool stale_ = false;
};

// Deletes the catalogue with what belongs to it, and the index.
void remove_derived(const std::string& folder);
std::string filter_path(const std::string& folder);
// Whether all files that the catalogue of a finished partition names can be opened.
bool partition_whole(const std::string& folder);

}  // namespace tailgate
