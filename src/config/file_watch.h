// SPDX-License-Identifier: Apache-2.0
// FileWatch: says whether any of a set of files changed, by name, inode, size and modification time of the file that
// symlinks lead to. So it notices an editor's rename and the `..data` swap of a Kubernetes ConfigMap.
//
// A file that has become shorter, or is gone, may be in the middle of being written: an editor truncates it and then
// writes. Such a change counts once nothing has changed for kShrunkWait.
//
// Threads: one at a time. It has no thread and no timer: the daemon calls changed() twice a second. A call costs one
// stat() per file and one directory scan per pattern.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace tailgate {

inline constexpr Duration kShrunkWait = std::chrono::seconds(3);

// The files `pattern` (*, ? and [] as in the shell) names, sorted by name. A relative pattern starts at the directory
// of `main_file`. A pattern without such a character is returned as it is, so that opening it reports a missing file.
std::vector<std::string> expand_glob(const std::string& pattern, const std::string& main_file);

class FileWatch {
 public:
  FileWatch() = default;
  // Patterns as in expand_glob, relative to the first of `files`.
  FileWatch(std::vector<std::string> files, std::vector<std::string> patterns);

  // True once for every change since construction or the last call that said so.
  bool changed(TimePoint now);
  // The last changed() has seen a change that does not count yet.
  bool settling() const { return settling_; }
  // The file that became shorter, while settling.
  const std::string& shrunk() const { return shrunk_; }
  // A file is shorter than when changed() last looked, or gone: what was read since may be a part of it.
  bool shrank() const { return !shrunk_of(seen_, look()).empty(); }

 private:
  struct Seen {
    std::string name;
    bool there = false;
    // Device, inode and, since inodes are used again, when it was made; zero where the file system does not know.
    std::array<std::int64_t, 5> file{};
    std::uint64_t bytes = 0;
    std::int64_t modified_s = 0;
    std::int64_t modified_ns = 0;
    bool operator==(const Seen&) const = default;
  };
  std::vector<Seen> look() const;
  static std::string shrunk_of(const std::vector<Seen>& before, const std::vector<Seen>& now);

  std::vector<std::string> files_;
  std::vector<std::string> patterns_;
  std::vector<Seen> seen_;
  std::vector<Seen> last_;  // while settling
  TimePoint last_since_{};
  bool settling_ = false;
  std::string shrunk_;
};

}  // namespace tailgate
