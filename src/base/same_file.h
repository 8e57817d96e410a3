// SPDX-License-Identifier: Apache-2.0
// Whether an open file is still the one that its path names. It is not when somebody removed the file, moved it, or put
// another in its place: what is written to it then can be found by nobody.
#pragma once

#include <sys/stat.h>

namespace tailgate {

inline bool is_still_at(int fd, const char* path) {
  struct stat open {
  }, there{};
  return ::fstat(fd, &open) == 0 && ::stat(path, &there) == 0 && there.st_dev == open.st_dev &&
         there.st_ino == open.st_ino;
}

}  // namespace tailgate
