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
  DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DirectoryLock();

 private:
  int fd_ = -1;
};

}  // namespace tailgate
