// SPDX-License-Identifier: Apache-2.0
#include "config/file_watch.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace tailgate {

std::vector<std::string> expand_glob(const std::string& pattern, const std::string& main_file) {
  std::string full = pattern;
  const std::size_t slash = main_file.rfind('/');
  if (!pattern.starts_with('/') && slash != std::string::npos) full = main_file.substr(0, slash + 1) + pattern;
  if (pattern.find_first_of("*?[") == std::string::npos) return {full};
  std::vector<std::string> out;
  glob_t found{};
  if (::glob(full.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) out.emplace_back(found.gl_pathv[i]);
  }
  ::globfree(&found);
  std::sort(out.begin(), out.end());  // by bytes: the same order whatever the locale
  return out;
}

FileWatch::FileWatch(std::vector<std::string> files, std::vector<std::string> patterns)
    : files_(std::move(files)), patterns_(std::move(patterns)), seen_(look()) {}

bool FileWatch::changed() {
  std::vector<Seen> now = look();
  if (now == seen_) return false;
  seen_ = std::move(now);
  return true;
}

std::vector<FileWatch::Seen> FileWatch::look() const {
  std::vector<std::string> names = files_;
  const std::string main_file = files_.empty() ? "" : files_.front();
  for (const std::string& pattern : patterns_) {
    for (std::string& name : expand_glob(pattern, main_file)) names.push_back(std::move(name));
  }
  std::vector<Seen> out;
  for (std::string& name : names) {
    Seen seen;
    struct stat info {};
    if (::stat(name.c_str(), &info) == 0) {
      seen.there = true;
      seen.device = static_cast<std::uint64_t>(info.st_dev);
      seen.inode = static_cast<std::uint64_t>(info.st_ino);
      seen.bytes = static_cast<std::uint64_t>(info.st_size);
      seen.modified_s = info.st_mtim.tv_sec;
      seen.modified_ns = info.st_mtim.tv_nsec;
    }
    seen.name = std::move(name);
    out.push_back(std::move(seen));
  }
  return out;
}

}  // namespace tailgate
