// SPDX-License-Identifier: Apache-2.0
// Partition: the folder of a time of arrival, read. It keeps what readers open, so that a search does not open it
// again. PartitionSource: the partitions that there are now. Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "blocks/block_file.h"
#include "store/postings.h"
#include "store/sqlite.h"

namespace tailgate {

std::string block_path(const std::string& folder);
std::string catalogue_path(const std::string& folder);
std::string posting_path(const std::string& folder, std::uint64_t first_part);
// Bytes of all files in it.
std::uint64_t folder_bytes(const std::string& folder);
// Folders of partitions in the directory of a store, oldest first. Their names are NUMBER-TIME.
Result<std::vector<std::string>> partition_folders(const std::string& directory);

class Partition {
 public:
  // `recent`: the postings of its last parts, of the partition that is being written in this process.
  explicit Partition(std::string folder, std::shared_ptr<RecentPostings> recent = nullptr)
      : folder_(std::move(folder)), recent_(std::move(recent)) {}

  // A connection for one call, with a transaction: all that it reads is of one moment. It goes back at the end.
  class Lease {
   public:
    Lease(Partition& owner, std::unique_ptr<Database> db) : owner_(&owner), db_(std::move(db)) {}
    Lease(Lease&&) = default;
    ~Lease();
    Database& operator*() const { return *db_; }
    Database* operator->() const { return db_.get(); }

   private:
    Partition* owner_;
    std::unique_ptr<Database> db_;
  };
  // kUnavailable: the partition has been deleted meanwhile, and is to be left out. Once it succeeded the blocks are
  // open too, and stay readable.
  Result<Lease> connect();

  Result<std::shared_ptr<const BlockReader>> blocks();
  // Null when it is missing or damaged.
  std::shared_ptr<const PostingFile> posting_file(std::uint64_t first_part);

  const std::string& folder() const { return folder_; }
  const std::shared_ptr<RecentPostings>& recent() const { return recent_; }
  // Closes connections that nobody uses.
  void let_go();

 private:
  const std::string folder_;
  const std::shared_ptr<RecentPostings> recent_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Database>> idle_ TAILGATE_GUARDED_BY(mutex_);
  std::shared_ptr<const BlockReader> blocks_ TAILGATE_GUARDED_BY(mutex_);
  std::map<std::uint64_t, std::shared_ptr<const PostingFile>> postings_ TAILGATE_GUARDED_BY(mutex_);
};

class PartitionSource {
 public:
  PartitionSource() = default;
  virtual ~PartitionSource() = default;
  PartitionSource(const PartitionSource&) = delete;
  PartitionSource& operator=(const PartitionSource&) = delete;
  // Oldest first.
  virtual Result<std::vector<std::shared_ptr<Partition>>> partitions() = 0;
};

}  // namespace tailgate
