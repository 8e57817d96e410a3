// SPDX-License-Identifier: Apache-2.0
// Listening sockets in the file system: `unix:///run/tailgate/otlp.sock`.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace tailgate {

// The file of a socket that this process has bound. The destructor removes it, unless another file has taken its place.
class SocketFile {
 public:
  SocketFile(std::string path, const struct stat& bound) : path_(std::move(path)), bound_(bound) {}
  ~SocketFile();
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

 private:
  const std::string path_;
  const struct stat bound_;
};

struct UnixListener {
  int descriptor = -1;  // non-blocking, close-on-exec; whoever takes it closes it
  std::unique_ptr<SocketFile> file;
};

// Replaces the file of a process that has ended. A file that somebody listens on, and one that is not a socket, are
// errors. `mode` is in force before the first client can connect. Errors: kIo.
Result<UnixListener> listen_unix(const std::string& path, unsigned mode);

// Returns a connected, non-blocking descriptor, or -1 with errno.
int connect_unix(const std::string& path);

// Says what is wrong with the absolute path of a socket; "" when it is fine.
std::string unix_path_fault(std::string_view path);

}  // namespace tailgate
