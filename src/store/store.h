// SPDX-License-Identifier: Apache-2.0
// Store: kept traces in a directory, bounded in bytes and age. It has partitions by time of arrival, a folder each; the
// oldest are deleted whole. It has one writer at a time, held by a lock file. docs/exporters/store.md has the files.
//
//   auto store = Store::open({.directory = "/var/lib/tailgate/store"}, wall_now_ns());
//   store->append(traces, wall_now_ns());     // synced when it returns without an error
//
// Threads: one; source() and counts() any. Failures say what to do: kIo, kRefused (in use, a newer version).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "blocks/directory_lock.h"
#include "store/partition_writer.h"

namespace tailgate {

inline constexpr std::uint64_t kPartitionShare = 16;  // of the store's bytes and age, which a partition has at most

struct StoreOptions {
  std::string directory;
  std::uint64_t bytes_max = std::uint64_t{10} << 30;
  std::uint64_t age_max_ns = std::uint64_t{168} * 3600 * 1'000'000'000;
  BlockCodec codec = BlockCodec::kZstd;
  std::uint64_t parts_per_posting_file = 4000;
};

struct StoreCounts {
  std::uint64_t bytes = 0;               // of all files
  std::uint64_t partitions = 0;          // that there are
  std::uint64_t partitions_deleted = 0;  // since the start, likewise the others
  std::uint64_t damaged_blocks = 0;      // places in the files of blocks that the start skipped
  std::uint64_t torn_bytes = 0;          // that the start cut off
};

class LivePartitions;

class Store {
 public:
  // `notices`: what it found that people should know, as sentences.
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options, std::uint64_t now_ns,
                                             std::vector<std::string>& notices);
  ~Store();

  Result<void> append(std::span<const KeptTracePtr> traces, std::uint64_t now_ns);
  // Deletes what is too old, and begins another partition when it is time. append() does it too.
  Result<void> keep_bounds(std::uint64_t now_ns);

  std::shared_ptr<PartitionSource> source() const;
  StoreCounts counts() const;

 private:
  struct Finished {
    std::shared_ptr<Partition> partition;
    IdFilter filter;
    std::uint64_t bytes = 0;
    std::uint64_t created_ns = 0;
  };
  explicit Store(const StoreOptions& options);
  Result<void> open_folders(std::vector<std::string>& notices);
  Result<Finished> open_finished(const std::string& folder, std::vector<std::string>& notices);
  PartitionOptions partition_options(std::uint64_t created_ns);
  Result<std::unique_ptr<PartitionWriter>> open_writer(const std::string& folder, std::uint64_t created_ns,
                                                       std::vector<std::string>& notices);
  Result<void> finish_partition();
  Result<void> remove_oldest();
  std::optional<EarlierParts> earlier(const TraceId& id) const;
  void publish();

  const StoreOptions options_;
  DirectoryLock lock_;
  std::vector<Finished> finished_;  // oldest first
  std::unique_ptr<PartitionWriter> writer_;
  std::uint64_t next_folder_ = 1;
  std::shared_ptr<LivePartitions> live_;
  std::atomic<std::uint64_t> bytes_{0}, partitions_{0}, deleted_{0}, damaged_{0}, torn_{0};
};

}  // namespace tailgate
