// SPDX-License-Identifier: Apache-2.0
// FileLook: looks at files now and then, and reads them again when they have changed.
//
// When a change cannot be read, what was read before stays in force. Each look tries again, because the reason may pass
// without a change of the files (descriptors that ran out, for example). The failure is reported once. Threads: any.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"

namespace tailgate {

// A text that changes when the file does: inode, size and times; "" when there is no such file. The inode's own time is
// included, because chmod and chown can make a file readable.
std::string file_stamp(const std::string& file);

class FileLook {
 public:
  // Reads the files and puts them in force, or leaves everything as it is.
  using Read = std::function<Result<void>()>;

  // Empty names in `files` are ignored.
  FileLook(std::vector<std::string> files, Duration interval) : files_(std::move(files)), interval_(interval) {}

  // Reads the files for the first time.
  Result<void> start(const Read& read);
  // Reads the files if they have changed and `interval` has passed since the last look. Returns the outcome if it is
  // news. Cheap when no look is due.
  std::optional<Result<void>> refresh(TimePoint now, const Read& read);

 private:
  std::string stamp() const;

  const std::vector<std::string> files_;
  const Duration interval_;
  Mutex mutex_;
  std::string loaded_ TAILGATE_GUARDED_BY(mutex_);  // the stamp of what is in force
  std::string failed_ TAILGATE_GUARDED_BY(mutex_);  // the stamp of a failure that was reported
  TimePoint next_look_ TAILGATE_GUARDED_BY(mutex_){};
};

}  // namespace tailgate
