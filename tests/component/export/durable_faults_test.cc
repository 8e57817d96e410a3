// Faults at each write of the durable queue's log. The system calls that LMDB writes with are defined here, in front of
// libc's, and fail when told to.
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "component/export/export_fixture.h"
#include "export/kept_log.h"

namespace {

enum class Fault { kFullDisk, kIoError, kHalfWritten };
int fail_at = -1;  // the number of the call that fails; -1: none
int fail_for = 1;  // how many do, from there on
int calls = 0;
Fault fault = Fault::kFullDisk;

bool fails() {
  if (fail_at < 0) return false;
  const int n = calls++;
  return n >= fail_at && n < fail_at + fail_for;
}

ssize_t failed() {
  errno = fault == Fault::kIoError ? EIO : ENOSPC;
  return -1;
}

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  if (fails()) {
    if (fault != Fault::kHalfWritten) return failed();
    size /= 2;
  }
  return syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t write(int fd, const void* data, size_t size) {
  if (fails()) {
    if (fault != Fault::kHalfWritten) return failed();
    size /= 2;
  }
  return syscall(SYS_write, fd, data, size);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  if (fails()) {
    if (fault != Fault::kHalfWritten) return failed();
    count = 1;
  }
  return syscall(SYS_writev, fd, parts, count);
}

int fdatasync(int fd) {
  if (fails() && fault != Fault::kHalfWritten) return static_cast<int>(failed());
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

}  // extern "C"

using namespace tailgate;

namespace {

using Records = std::map<std::uint64_t, std::string>;

Records opened(KeptLog& log) {
  Records found;
  const auto each = [&](std::uint64_t n, ByteView record, const std::vector<std::uint64_t>&) { found[n] = record; };
  REQUIRE(log.open(each));
  return found;
}

}  // namespace

TEST_CASE("whichever write fails, a commit is there or not there, and the next one works", "[export]") {
  fault = GENERATE(Fault::kFullDisk, Fault::kIoError, Fault::kHalfWritten);
  fail_for = GENERATE(1, 3);
  int failures = 0, n = 0;
  for (bool reached = true; reached; ++n) {
    REQUIRE(n < 1000);
    CAPTURE(static_cast<int>(fault), fail_for, n);
    TempDir dir;
    Records want;
    {
      const auto log = make_kept_log(dir.at("q"), 4 << 20);
      CHECK(opened(*log).empty());
      KeptLog::Writes first;
      for (std::uint64_t i = 1; i <= 20; ++i) {
        want[i] = std::string(1000 * i, static_cast<char>('a' + i));
        first.puts.emplace_back(i, want[i]);
      }
      REQUIRE(log->commit(first));

      KeptLog::Writes second;
      for (std::uint64_t i = 21; i <= 30; ++i) second.puts.emplace_back(i, std::string(5000, 'z'));
      for (std::uint64_t i = 1; i <= 10; ++i) second.removes.push_back(i);
      calls = 0;
      fail_at = n;
      const Result<void> result = log->commit(second);
      reached = calls > n;
      fail_at = -1;
      failures += result ? 0 : 1;
      for (std::uint64_t i = 11; i <= 20; ++i) REQUIRE(log->read(i) == want[i]);
      if (!result) {
        for (std::uint64_t i = 1; i <= 10; ++i) REQUIRE(log->read(i) == want[i]);
        CHECK_FALSE(log->read(21));
        REQUIRE(log->commit(second));
      }
      for (const auto& [number, record] : second.puts) want[number] = record;
      for (const std::uint64_t number : second.removes) want.erase(number);
    }
    const auto log = make_kept_log(dir.at("q"), 4 << 20);
    REQUIRE(opened(*log) == want);
  }
  CAPTURE(static_cast<int>(fault), fail_for, n, calls);
  CHECK(failures >= 2);  // the pages, and the root of them
}
