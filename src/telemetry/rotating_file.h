// SPDX-License-Identifier: Apache-2.0
// RotatingFile: a file that is appended to in whole blocks and renamed when it is full.
//
// A file that would pass bytes_max is renamed to NAME-2026-05-04T10-11-12.345.EXT (UTC unless local_time) and a new one
// is begun; the oldest backups over backups_max or older than days_max are removed. A block that fails half way is cut
// off again, so that no line is torn. A file that exists is continued. Each block goes to the file that is at the path
// then: when ours was renamed or removed (logrotate, a person), a new one is begun.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/rotation_options.h"

namespace tailgate {

class RotatingFile {
 public:
  RotatingFile(std::string path, const RotationOptions& options, bool make_directory);
  ~RotatingFile();
  RotatingFile(const RotatingFile&) = delete;
  RotatingFile& operator=(const RotatingFile&) = delete;

  Result<void> open();
  // Writes all of it, or (kIo) nothing.
  Result<void> append(std::string_view block);
  // Lets go of the open file when it is no longer the one at the path, so that its room on the disk is free again. The
  // next block opens a new one.
  void follow_path();

  const std::string& path() const { return text_; }

 private:
  bool reopen();
  void close();
  void rotate();
  void remove_old();

  const std::string text_;
  const std::filesystem::path path_;
  const RotationOptions options_;
  const bool make_directory_;
  int fd_ = -1;
  bool regular_ = false;
  bool rename_reported_ = false;
  std::uint64_t bytes_ = 0;  // in the open file
};

}  // namespace tailgate
