// FileLook: files that are read again when they have changed, and are looked at now and then.
//
// A change that cannot be read leaves in force what was read before. It is tried again at each look, since the reason
// may pass without a change of the files, as descriptors that ran out do; and told once. Threads: any.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace tailgate {

// Tells whether a file has changed, by inode, size and times; "" when it is not there. The time of the inode is one of
// them: chmod and chown may make a file readable that was not.
std::string file_stamp(const std::string& file);

class FileLook {
 public:
  // Reads the files and puts them in force, or leaves everything as it is.
  using Read = std::function<Result<void>()>;

  // Of `files` some may be empty: there is none.
  FileLook(std::vector<std::string> files, Duration interval) : files_(std::move(files)), interval_(interval) {}

  // For the first time.
  Result<void> start(const Read& read);
  // Reads them if they have changed and `interval` has gone by since the last look. What came of it, if that is news.
  // Cheap when it is not due.
  std::optional<Result<void>> refresh(TimePoint now, const Read& read);

 private:
  std::string stamp() const;

  const std::vector<std::string> files_;
  const Duration interval_;
  std::mutex mutex_;
  std::string loaded_;     // guarded by mutex_: stamp of what is in force
  std::string failed_;     // guarded by mutex_: of what could not be read, and was told
  TimePoint next_look_{};  // guarded by mutex_
};

}  // namespace tailgate
