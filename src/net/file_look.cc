// SPDX-License-Identifier: Apache-2.0
#include "net/file_look.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <utility>

namespace tailgate {

std::string file_stamp(const std::string& file) {
  struct stat s {};
  if (file.empty() || ::stat(file.c_str(), &s) != 0) return {};
  return fmt::format("{}.{}.{}.{}.{}.{};", s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_sec,
                     s.st_ctim.tv_nsec);
}

std::string FileLook::stamp() const {
  std::string out;
  for (const std::string& file : files_) out += file_stamp(file) + "|";
  return out;
}

Result<void> FileLook::start(const Read& read) {
  std::string seen = stamp();
  Result<void> done = read();
  const MutexLock lock(mutex_);
  if (done) loaded_ = std::move(seen);
  return done;
}

std::optional<Result<void>> FileLook::refresh(TimePoint now, const Read& read) {
  {
    const MutexLock lock(mutex_);
    if (now < next_look_) return std::nullopt;
    next_look_ = now + interval_;
  }
  const std::string seen = stamp();
  {
    const MutexLock lock(mutex_);
    if (seen == loaded_) {
      failed_.clear();
      return std::nullopt;
    }
  }
  Result<void> done = read();
  const MutexLock lock(mutex_);
  if (done) {
    loaded_ = seen;
    failed_.clear();
  } else if (std::exchange(failed_, seen) == seen) {
    return std::nullopt;
  }
  return done;
}

}  // namespace tailgate
