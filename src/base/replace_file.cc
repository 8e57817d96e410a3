// SPDX-License-Identifier: Apache-2.0
#include "base/replace_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace tailgate {

Result<void> replace_file(const std::string& path, std::string_view bytes, const ReplaceFileOptions& options) {
  const std::string fresh = path + ".new";
  const auto failed = [&](const char* what) {
    return fail(ErrorKind::kIo, fmt::format("cannot {} '{}': {}", what, fresh, std::strerror(errno)));
  };
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, options.mode);
  if (fd < 0) return failed("open");
  bool good = true;
  while (good && !bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    if (good) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  good = good && (!options.sync || ::fdatasync(fd) == 0);
  const int error = errno;
  ::close(fd);
  errno = error;
  if (good && std::rename(fresh.c_str(), path.c_str()) == 0) return {};
  const auto result = failed(good ? "rename" : "write");
  ::unlink(fresh.c_str());
  return result;
}

}  // namespace tailgate
