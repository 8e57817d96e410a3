// SPDX-License-Identifier: Apache-2.0
#include "net/unix_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tailgate {
namespace {

constexpr std::size_t kPathMax = sizeof(sockaddr_un::sun_path) - 1;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::memcpy(out.sun_path, path.data(), std::min(path.size(), kPathMax));
  return out;
}

int bind_to(int fd, const std::string& path) {
  const sockaddr_un address = address_of(path);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// Removes a socket that nobody listens on. Returns the fault, or "" when the path is free.
std::string clear_stale(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return errno == ENOENT ? "" : std::strerror(errno);
  if (!S_ISSOCK(found.st_mode)) return "there is a file that is not a socket";
  if (const int fd = connect_unix(path); fd >= 0 || errno == EAGAIN) {
    if (fd >= 0) ::close(fd);
    return "another process listens there";
  }
  if (errno != ECONNREFUSED) return std::strerror(errno);
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? "" : std::strerror(errno);
}

}  // namespace

SocketFile::~SocketFile() {
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0 || found.st_dev != bound_.st_dev || found.st_ino != bound_.st_ino) return;
  // File systems reuse the number of an inode at once.
  const bool same = found.st_mtim.tv_sec == bound_.st_mtim.tv_sec && found.st_mtim.tv_nsec == bound_.st_mtim.tv_nsec;
  if (same) ::unlink(path_.c_str());
}

std::string unix_path_fault(std::string_view path) {
  if (!path.starts_with('/') || path.ends_with('/')) return "expected the absolute path of a socket: unix:///PATH";
  if (path.size() > kPathMax) return fmt::format("expected a path of at most {} bytes", kPathMax);
  return path.find('\0') == std::string_view::npos ? "" : "expected a path without a zero byte";
}

int connect_unix(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const sockaddr_un address = address_of(path);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int saved = errno;
  ::close(fd);
  errno = saved;
  return -1;
}

Result<UnixListener> listen_unix(const std::string& path, unsigned mode) {
  const auto failed = [&](const std::string& why) {
    return fail(ErrorKind::kIo, fmt::format("cannot listen on unix://{}: {}", path, why));
  };
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(std::strerror(errno));
  UnixListener out{fd, nullptr};
  const auto close_and = [&](const std::string& why) {
    ::close(fd);
    return failed(why);
  };
  int bound = bind_to(fd, path);
  if (bound != 0 && errno == EADDRINUSE) {
    if (const std::string fault = clear_stale(path); !fault.empty()) return close_and(fault);
    bound = bind_to(fd, path);
  }
  if (bound != 0) return close_and(std::strerror(errno));
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return close_and(std::strerror(errno));
  out.file = std::make_unique<SocketFile>(path, status);
  // Nobody can connect before listen(), so the mode is in force in time.
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd, 1024) != 0) return close_and(std::strerror(errno));
  return out;
}

}  // namespace tailgate
