// SPDX-License-Identifier: Apache-2.0
#include "config/file_watch.h"

#include <fcntl.h>
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

bool FileWatch::changed(TimePoint now) {
  std::vector<Seen> found = look();
  if (found == seen_) {
    settling_ = false;
    return false;
  }
  if (!settling_ || found != last_) {
    if (!settling_) shrunk_ = shrunk_of(seen_, found);
    settling_ = settling_ || !shrunk_.empty();
    last_ = found;
    last_since_ = now;
  }
  if (settling_ && now - last_since_ < kShrunkWait) return false;
  settling_ = false;
  seen_ = std::move(found);
  return true;
}

// The first file that is gone or has become shorter; "" for none. Another file of that name is complete: it was written
// elsewhere and then moved.
std::string FileWatch::shrunk_of(const std::vector<Seen>& before, const std::vector<Seen>& now) {
  const auto found = std::find_if(before.begin(), before.end(), [&](const Seen& was) {
    const auto is = std::find_if(now.begin(), now.end(), [&](const Seen& s) { return s.name == was.name; });
    if (!was.there) return false;
    if (is == now.end() || !is->there) return true;
    return is->file == was.file && is->bytes < was.bytes;
  });
  return found == before.end() ? "" : found->name;
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
    struct statx info {};
    if (::statx(AT_FDCWD, name.c_str(), AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS | STATX_BTIME, &info) == 0) {
      seen.there = true;
      seen.file = {info.stx_dev_major, info.stx_dev_minor, static_cast<std::int64_t>(info.stx_ino),
                   info.stx_btime.tv_sec, info.stx_btime.tv_nsec};
      seen.bytes = info.stx_size;
      seen.modified_s = info.stx_mtime.tv_sec;
      seen.modified_ns = info.stx_mtime.tv_nsec;
    }
    seen.name = std::move(name);
    out.push_back(std::move(seen));
  }
  return out;
}

}  // namespace tailgate
