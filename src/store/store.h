// SPDX-License-Identifier: Apache-2.0
// Store: kept traces in a directory, bounded in bytes and age. It has partitions by time of arrival, a folder each; the
// oldest are deleted whole. It has one writer at a time, held by a lock file. docs/exporters/store.md has the files.
//
//   auto store = Store::open({.directory = "/var/lib/tailgate/store"}, now_ns, notices);
//   store->append(traces, now_ns);     // synced when it returns without an error
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
#include "store/counts.h"
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

class LivePartitions;

class Store {
 public:
  // `notices`: what it found that people should know, as sentences.
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options, std::uint64_t now_ns,
                                             std::vector<std::string>& notices);
  ~Store();

  // kUnavailable: somebody has removed or moved the files. The store is of no use then; open it anew.
  Result<void> append(std::span<const KeptTracePtr> traces, std::uint64_t now_ns);
  // Deletes what is too old, and begins another partition when it is time. append() does it too.
  Result<void> keep_bounds(std::uint64_t now_ns);
  // Compares one catalogue of a finished partition that was not looked at since the start with its checksum; one that
  // is damaged is made again from the blocks. Reads the whole file.
  Result<void> check_next(std::vector<std::string>& notices);

  std::shared_ptr<PartitionSource> source() const;
  StoreCounts counts() const;

 private:
  struct Finished {
    std::shared_ptr<Partition> partition;
    IdFilter filter;
    std::uint64_t bytes = 0, traces = 0;
    std::uint64_t created_ns = 0;
    bool checked = false;
  };
  explicit Store(const StoreOptions& options);
  Result<void> append_in_place(std::span<const KeptTracePtr> traces, std::uint64_t now_ns);
  Result<void> open_folders(std::vector<std::string>& notices);
  Result<Finished> open_finished(const std::string& folder, std::vector<std::string>& notices);
  PartitionOptions partition_options(std::uint64_t created_ns);
  Result<std::unique_ptr<PartitionWriter>> open_partition(const std::string& folder, std::uint64_t created_ns,
                                                          std::vector<std::string>& notices);
  Result<void> open_writer(std::uint64_t created_ns, std::vector<std::string>& notices);
  Result<void> check(std::size_t at, std::vector<std::string>& notices);
  Result<void> finish_partition();
  Result<void> remove_oldest();
  std::optional<EarlierParts> earlier(const TraceId& id) const;
  void count();
  void publish();

  const StoreOptions options_;
  DirectoryLock lock_;
  std::vector<Finished> finished_;           // oldest first
  std::string folder_;                       // of the partition that is written to; empty when there is none
  std::unique_ptr<PartitionWriter> writer_;  // null also when its folder could not be opened again
  std::uint64_t next_folder_ = 1;
  std::size_t check_at_ = 0;  // the finished partition that is looked at next
  std::shared_ptr<LivePartitions> live_;
  std::atomic<std::uint64_t> bytes_{0}, traces_{0}, partitions_{0}, deleted_{0}, damaged_{0}, catalogues_{0}, torn_{0};
};

}  // namespace tailgate
