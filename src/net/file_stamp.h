// file_stamp: tells whether a file has changed, by inode, size and times; "" when it is not there. The time of the
// inode is one of them: chmod and chown may make a file readable that was not.
#pragma once

#include <fmt/format.h>
#include <sys/stat.h>

#include <string>

namespace tailgate {

inline std::string file_stamp(const std::string& file) {
  struct stat s {};
  if (file.empty() || ::stat(file.c_str(), &s) != 0) return {};
  return fmt::format("{}.{}.{}.{}.{}.{};", s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_sec,
                     s.st_ctim.tv_nsec);
}

}  // namespace tailgate
