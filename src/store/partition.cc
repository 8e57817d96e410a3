// SPDX-License-Identifier: Apache-2.0
#include "store/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace tailgate {
namespace {

constexpr std::size_t kIdleMax = 4;
constexpr std::size_t kPostingFilesMax = 64;  // that are open

}  // namespace

std::string block_path(const std::string& folder) { return folder + "/traces.blocks"; }
std::string catalogue_path(const std::string& folder) { return folder + "/catalogue.sqlite"; }
std::string posting_path(const std::string& folder, std::uint64_t first_part) {
  return fmt::format("{}/terms-{:010}.index", folder, first_part);
}

std::uint64_t folder_bytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    const std::uintmax_t size = at->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

Result<std::vector<std::string>> partition_folders(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    if (name.size() > 11 && name[10] == '-' && name.find_first_not_of("0123456789") == 10) out.push_back(at->path());
  }
  if (error) return fail(ErrorKind::kIo, fmt::format("cannot read the directory '{}': {}", directory, error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

Partition::Lease::~Lease() {
  if (!db_) return;
  (void)db_->run("ROLLBACK");
  const MutexLock lock(owner_->mutex_);
  if (owner_->idle_.size() < kIdleMax) owner_->idle_.push_back(std::move(db_));
}

Result<Partition::Lease> Partition::connect() {
  std::unique_ptr<Database> db;
  {
    const MutexLock lock(mutex_);
    if (!idle_.empty()) {
      db = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!db) {
    auto opened = Database::open_to_read(catalogue_path(folder_));
    const auto file = blocks();
    if (!opened || !file) {
      std::error_code error;
      if (!std::filesystem::exists(folder_, error)) {
        return fail(ErrorKind::kUnavailable, fmt::format("'{}' has been deleted", folder_));
      }
      return tl::unexpected(opened ? file.error() : opened.error());
    }
    db = std::move(*opened);
  }
  if (auto begun = db->run("BEGIN"); !begun) return tl::unexpected(begun.error());
  return Lease(*this, std::move(db));
}

Result<std::shared_ptr<const BlockReader>> Partition::blocks() {
  const MutexLock lock(mutex_);
  if (!blocks_) {
    auto opened = BlockReader::open(block_path(folder_));
    if (!opened) return tl::unexpected(opened.error());
    blocks_ = std::move(*opened);
  }
  return blocks_;
}

std::shared_ptr<const PostingFile> Partition::posting_file(std::uint64_t first_part) {
  const MutexLock lock(mutex_);
  const auto known = postings_.find(first_part);
  if (known != postings_.end()) return known->second;
  auto opened = PostingFile::open(posting_path(folder_, first_part));
  if (!opened) return nullptr;
  if (postings_.size() >= kPostingFilesMax) postings_.clear();
  return postings_[first_part] = std::move(*opened);
}

void Partition::let_go() {
  const MutexLock lock(mutex_);
  idle_.clear();
}

}  // namespace tailgate
