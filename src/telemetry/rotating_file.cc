// SPDX-License-Identifier: Apache-2.0
#include "telemetry/rotating_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>
#include <vector>

#include "base/clock.h"
#include "base/same_file.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kStampSize = std::string_view("2026-05-04T10-11-12.345").size();

std::string stamp(std::uint64_t wall_ns, bool local) {
  const auto seconds = static_cast<std::time_t>(wall_ns / 1'000'000'000);
  std::tm t{};
  local ? ::localtime_r(&seconds, &t) : ::gmtime_r(&seconds, &t);
  return fmt::format("{:04}-{:02}-{:02}T{:02}-{:02}-{:02}.{:03}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                     t.tm_min, t.tm_sec, wall_ns / 1'000'000 % 1000);
}

// A process that was killed may have left half a line; our first line must not be appended to it.
bool ends_with_newline(const fs::path& path, std::uint64_t size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;  // the file may be written but not read, so we cannot tell
  char last = '\n';
  const ssize_t n = ::pread(fd, &last, 1, static_cast<off_t>(size - 1));
  ::close(fd);
  return n != 1 || last == '\n';
}

}  // namespace

RotatingFile::RotatingFile(std::string path, const RotationOptions& options, bool make_directory)
    : text_(std::move(path)), path_(text_), options_(options), make_directory_(make_directory) {}

RotatingFile::~RotatingFile() { close(); }

Result<void> RotatingFile::open() {
  if (!reopen()) return fail(ErrorKind::kIo, fmt::format("{}: cannot open: {}", text_, std::strerror(errno)));
  return {};
}

Result<void> RotatingFile::append(std::string_view block) {
  const auto failed = [&] { return fail(ErrorKind::kIo, fmt::format("{}: {}", text_, std::strerror(errno))); };
  follow_path();
  if (options_.bytes_max != 0 && bytes_ > 0 && bytes_ + block.size() > options_.bytes_max) rotate();
  if (fd_ < 0 && !reopen()) return failed();
  std::string_view rest = block;
  while (!rest.empty()) {
    const ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Result<void> result = failed();
      if (regular_ && ::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) close();
      return result;
    }
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  bytes_ += block.size();
  return {};
}

void RotatingFile::follow_path() {
  if (fd_ < 0) return;
  struct stat open {};
  if (::fstat(fd_, &open) != 0) return;
  if (is_still_at(fd_, path_.c_str())) {
    if (regular_) bytes_ = static_cast<std::uint64_t>(open.st_size);  // somebody may have truncated it
    return;
  }
  log_info("file was moved or removed, a new one is begun", {{"path", text_}});
  close();
}

bool RotatingFile::reopen() {
  if (make_directory_ && path_.has_parent_path()) {
    std::error_code ignored;  // opening the file says what is wrong
    fs::create_directories(path_.parent_path(), ignored);
  }
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd_ < 0) return false;
  struct stat info {};
  regular_ = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  bytes_ = regular_ ? static_cast<std::uint64_t>(info.st_size) : 0;
  if (bytes_ != 0 && !ends_with_newline(path_, bytes_)) {
    if (::write(fd_, "\n", 1) != 1) {
      close();
      return false;
    }
    ++bytes_;
  }
  return true;
}

void RotatingFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

// When renaming fails the file simply grows on, and the next batch tries again.
void RotatingFile::rotate() {
  if (!regular_) return;
  const std::string name =
      path_.stem().string() + "-" + stamp(wall_now_ns(), options_.local_time) + path_.extension().string();
  std::error_code error;
  const fs::path backup = path_.parent_path() / name;
  if (fs::exists(backup, error)) return;  // twice in a millisecond
  fs::rename(path_, backup, error);
  if (error) {
    if (!rename_reported_) log_warn("file not rotated", {{"path", text_}, {"detail", error.message()}});
    rename_reported_ = true;
    return;
  }
  rename_reported_ = false;
  close();
  remove_old();
}

// Backups sort by name as by age, since the stamp is all that differs.
void RotatingFile::remove_old() {
  const std::string before = path_.stem().string() + "-";
  const std::string after = path_.extension().string();
  const fs::path directory = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  std::vector<fs::path> backups;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.size() == before.size() + kStampSize + after.size() && name.starts_with(before) && name.ends_with(after) &&
        name[before.size() + 10] == 'T') {
      backups.push_back(it->path());
    }
  }
  std::sort(backups.rbegin(), backups.rend());  // newest first
  const std::uint64_t age_ns = static_cast<std::uint64_t>(options_.days_max) * 86'400'000'000'000ULL;
  const std::string oldest = options_.days_max > 0 ? stamp(wall_now_ns() - age_ns, options_.local_time) : "";
  for (std::size_t i = 0; i < backups.size(); ++i) {
    const bool too_many = options_.backups_max > 0 && i >= static_cast<std::size_t>(options_.backups_max);
    const bool too_old = backups[i].filename().string().substr(before.size(), kStampSize) < oldest;
    if (too_many || too_old) fs::remove(backups[i], error);
  }
}

}  // namespace tailgate
