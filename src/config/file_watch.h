// SPDX-License-Identifier: Apache-2.0
// FileWatch: says whether any of a set of files changed, by name, inode, size and modification time of the file that
// symlinks lead to. So it notices an editor's rename and the `..data` swap of a Kubernetes ConfigMap.
//
// Threads: one at a time. It has no thread and no timer: the daemon calls changed() twice a second. A call costs one
// stat() per file and one directory scan per pattern.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tailgate {

// The files `pattern` (*, ? and [] as in the shell) names, sorted by name. A relative pattern starts at the directory
// of `main_file`. A pattern without such a character is returned as it is, so that opening it reports a missing file.
std::vector<std::string> expand_glob(const std::string& pattern, const std::string& main_file);

class FileWatch {
 public:
  FileWatch() = default;
  // Patterns as in expand_glob, relative to the first of `files`.
  FileWatch(std::vector<std::string> files, std::vector<std::string> patterns);

  // True once for every change since construction or the last call that said so.
  bool changed();

 private:
  struct Seen {
    std::string name;
    bool there = false;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t bytes = 0;
    std::int64_t modified_s = 0;
    std::int64_t modified_ns = 0;
    bool operator==(const Seen&) const = default;
  };
  std::vector<Seen> look() const;

  std::vector<std::string> files_;
  std::vector<std::string> patterns_;
  std::vector<Seen> seen_;
};

}  // namespace tailgate
