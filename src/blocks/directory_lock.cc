// SPDX-License-Identifier: Apache-2.0
#include "blocks/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/same_file.h"

namespace tailgate {

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  DirectoryLock lock;
  lock.path_ = directory + "/lock";
  const std::string& path = lock.path_;
  lock.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock.fd_ < 0) {
    return fail(ErrorKind::kIo,
                fmt::format("cannot open '{}': {}. Give the user of the daemon the right to write there", path,
                            std::strerror(errno)));
  }
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return fail(ErrorKind::kIo, fmt::format("cannot lock '{}': {}", path, std::strerror(errno)));
    }
    return fail(
        ErrorKind::kRefused,
        fmt::format("another process or exporter writes to '{}'. End that one, or set another directory", directory));
  }
  return lock;
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) ::close(fd_);
}

bool DirectoryLock::in_place() const { return is_still_at(fd_, path_.c_str()); }

}  // namespace tailgate
