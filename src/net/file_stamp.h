// file_stamp: tells whether a file has changed, by inode, size and time; "" when it is not there.
#pragma once

#include <fmt/format.h>
#include <sys/stat.h>

#include <string>

namespace tailgate {

inline std::string file_stamp(const std::string& file) {
  struct stat s {};
  if (file.empty() || ::stat(file.c_str(), &s) != 0) return {};
  return fmt::format("{}.{}.{}.{};", s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}

}  // namespace tailgate
