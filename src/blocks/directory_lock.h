// SPDX-License-Identifier: Apache-2.0
// DirectoryLock: a directory has one writer. The lock is a flock on the file `lock` in it; it ends with the process,
// however that ends.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace tailgate {

class DirectoryLock {
 public:
  DirectoryLock() = default;
  // kRefused when another one has it.
  static Result<DirectoryLock> take(const std::string& directory);
  DirectoryLock(DirectoryLock&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DirectoryLock();

  // False once somebody has removed or moved the directory or its lock: another process may write there now.
  bool in_place() const;

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace tailgate
