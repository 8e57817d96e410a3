// Listening sockets in the file system: `unix:///run/tailgate/otlp.sock`.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace tailgate {

// The file of a socket this process has bound; goes with the object, unless somebody put another file in its place.
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

// A file left behind by a process that is gone is replaced; one somebody listens on, or one that is no socket, is an
// error. `mode` holds before the first client can connect. Errors: kIo.
Result<UnixListener> listen_unix(const std::string& path, unsigned mode);

// A connected, non-blocking descriptor; -1 with errno.
int connect_unix(const std::string& path);

// What is wrong with an absolute path as a socket's; "" if nothing.
std::string unix_path_fault(std::string_view path);

}  // namespace tailgate
