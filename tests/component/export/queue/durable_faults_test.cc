// SPDX-License-Identifier: Apache-2.0
// Faults at each write of the durable queue's log. The system calls that LMDB writes with are defined here, in front of
// libc's, and fail when told to.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "component/export/export_fixture.h"
#include "export/queue/durable_store.h"
#include "export/queue/kept_log.h"

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

// A disk on which a file can be this long, so far it reaches, and writing to it costs no time; 0: the real one.
off_t disk_bytes = 0;
off_t disk_taken = 0;

bool takes(off_t end) {
  if (disk_bytes == 0) return true;
  if (end > disk_bytes) return false;
  disk_taken = std::max(disk_taken, end);
  return true;
}

int map_fails_at = -1, maps = 0;  // as fail_at and calls, of mapping files

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
  if (!takes(at + static_cast<off_t>(size))) return failed();
  return syscall(SYS_pwrite64, fd, data, size, at);
}

int fallocate(int fd, int mode, off_t at, off_t size) {
  if (!takes(at + size)) {
    errno = ENOSPC;
    return -1;
  }
  return disk_bytes != 0 ? 0 : static_cast<int>(syscall(SYS_fallocate, fd, mode, at, size));
}

ssize_t write(int fd, const void* data, size_t size) {
  if (fails()) {
    if (fault != Fault::kHalfWritten) return failed();
    size /= 2;
  }
  if (const off_t at = lseek(fd, 0, SEEK_CUR); at >= 0 && !takes(at + static_cast<off_t>(size))) return failed();
  return syscall(SYS_write, fd, data, size);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  if (fails()) {
    if (fault != Fault::kHalfWritten) return failed();
    count = 1;
  }
  off_t end = lseek(fd, 0, SEEK_CUR);
  for (int i = 0; i < count && end >= 0; ++i) end += static_cast<off_t>(parts[i].iov_len);
  if (end >= 0 && !takes(end)) return failed();
  return syscall(SYS_writev, fd, parts, count);
}

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t from) noexcept {
  if (fd >= 0 && map_fails_at >= 0) {
    const int n = maps++;
    if (n >= map_fails_at && n < map_fails_at + fail_for) {
      errno = ENOMEM;
      return MAP_FAILED;
    }
  }
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, fd, from));
}

int fdatasync(int fd) {
  if (fails() && fault != Fault::kHalfWritten) return static_cast<int>(failed());
  if (disk_bytes != 0) return 0;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

}  // extern "C"

using namespace tailgate;

namespace {

using Records = std::map<std::uint64_t, std::string>;

Records opened(KeptLog& log) {
  Records found;
  const auto each = [&](std::uint64_t n, ByteView record, const std::vector<std::uint64_t>&) { found[n] = record; };
  const Result<KeptLog::Damage> damage = log.open(each);
  REQUIRE(damage);
  CHECK(damage->cause.empty());
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

// As in DurableStore: puts until the disk is full, then removals alone, in pieces. On a disk that is full to its last
// byte: somebody else takes what the file has not.
TEST_CASE("a full disk never keeps a record from being removed, whatever is written when there is room again",
          "[export]") {
  struct Shape {
    std::size_t bytes_min, bytes_max, puts, removes;
  };
  const Shape shape = GENERATE(Shape{200, 5000, 100, 256}, Shape{200, 2000, 300, 1}, Shape{1000, 100'000, 20, 40},
                               Shape{500'000, 900'000, 1, 3}, Shape{300, 300, 1000, 2560});
  CAPTURE(shape.bytes_min, shape.bytes_max, shape.puts, shape.removes);
  TempDir dir;
  fault = Fault::kFullDisk;
  disk_bytes = 24 << 20;
  disk_taken = 0;
  const auto log = make_kept_log(dir.at("q"), 256 << 20);
  CHECK(opened(*log).empty());
  std::uint64_t oldest = 1, next = 1, random = 1;
  int refused = 0;
  for (int cycle = 0; cycle < 40; ++cycle) {
    CAPTURE(cycle, oldest, next);
    for (bool written = true; written;) {
      KeptLog::Writes more;
      for (std::size_t i = 0; i < shape.puts; ++i) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        const std::size_t span = shape.bytes_max - shape.bytes_min + 1;
        more.puts.emplace_back(next + i, std::string(shape.bytes_min + (random >> 33) % span, 'x'));
      }
      written = log->commit(more).has_value();
      if (written) next += shape.puts;
    }
    ++refused;
    disk_bytes = disk_taken;
    const std::uint64_t end = std::min(next, oldest + shape.removes);
    while (oldest < end) {
      KeptLog::Writes back;
      for (std::size_t i = 0; i < kGiveBackMax && oldest < end; ++i) back.removes.push_back(oldest++);
      const Result<void> removed = log->commit(back);
      if (!removed) FAIL(removed.error().text);
    }
  }
  CHECK(refused == 40);
  CHECK(next > oldest);
  for (std::uint64_t n = oldest; n < next; ++n) REQUIRE(log->read(n));
  CHECK_FALSE(log->read(oldest - 1));
  disk_bytes = 0;
}

// There the map of the file is made smaller and larger again, and room inside it usable by a commit of its own.
TEST_CASE("whichever map or write fails on a full disk, the log can be read and written again", "[export]") {
  const bool of_maps = GENERATE(true, false);
  fail_for = GENERATE(1, 3);
  int failures = 0, n = 0;
  for (bool reached = true; reached; n += of_maps ? 1 : 3) {
    REQUIRE(n < 1000);
    CAPTURE(of_maps, fail_for, n);
    TempDir dir;
    fault = Fault::kFullDisk;
    disk_bytes = 16 << 20;
    disk_taken = 0;
    Records want;
    std::uint64_t oldest = 1, next = 1;
    const auto more = [&] {
      KeptLog::Writes out;
      for (std::uint64_t i = 0; i < 10; ++i) out.puts.emplace_back(next + i, std::string(30'000, 'x'));
      return out;
    };
    const auto took = [&](const KeptLog::Writes& writes) {
      for (const auto& [number, record] : writes.puts) want[number] = record;
      for (const std::uint64_t number : writes.removes) want.erase(number);
      next += writes.puts.size();
      oldest += writes.removes.size();
    };
    {
      const auto log = make_kept_log(dir.at("q"), 64 << 20);
      CHECK(opened(*log).empty());
      for (KeptLog::Writes writes = more(); log->commit(writes); writes = more()) took(writes);
      disk_bytes = disk_taken;
      fault = Fault::kIoError;
      calls = maps = 0;
      (of_maps ? map_fails_at : fail_at) = n;
      for (int round = 0; round < 12; ++round) {
        KeptLog::Writes writes;
        if (round < 4 || round % 4 == 0) {
          for (std::uint64_t i = 0; i < 50; ++i) writes.removes.push_back(oldest + i);
        } else {
          writes = more();
        }
        Result<void> done = log->commit(writes);
        for (int again = 0; !done && again <= fail_for && done.error().text.find("No space") == std::string::npos;
             ++again) {
          ++failures;
          const Result<std::string> read = log->read(oldest);
          if (read) CHECK(*read == want[oldest]);
          if (!read) CHECK(read.error().kind == ErrorKind::kIo);
          done = log->commit(writes);
        }
        if (done) took(writes);
        if (!done) CHECK(done.error().text.find("No space") != std::string::npos);
      }
      reached = (of_maps ? maps : calls) > n;
      map_fails_at = fail_at = -1;
      for (const auto& [number, record] : want) REQUIRE(log->read(number) == record);
    }
    const auto log = make_kept_log(dir.at("q"), 64 << 20);
    REQUIRE(opened(*log) == want);
    disk_bytes = 0;
  }
  CAPTURE(of_maps, fail_for, n);
  CHECK(failures >= 3);
}

TEST_CASE("what a full disk could not take is on it at the next start, once a backend has taken some of the rest",
          "[export]") {
  const std::size_t exporters =
      GENERATE(1u, 2u);  // of two, the first to have a trace marks it and the other removes it
  CAPTURE(exporters);
  TempDir dir;
  fault = Fault::kFullDisk;
  disk_bytes = 24 << 20;
  disk_taken = 0;
  const auto make = [&] {
    std::vector<DurableStore::Member> members = {{"x", {.directory = "d"}}, {"y", {.directory = "d"}}};
    members.resize(exporters);
    return std::make_unique<DurableStore>(std::move(members), make_kept_log(dir.at("q"), 256 << 20));
  };
  const std::string big(1'000'000, 'n');
  {
    const auto store = make();
    REQUIRE(store->start());
    for (std::uint8_t id = 1; id <= 40; ++id) store->push(kept(id, 1, big), (1U << exporters) - 1);
    for (int i = 0; i < 1000 && store->stats(0).write_errors == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE(store->stats(0).write_errors > 0);
    disk_bytes = disk_taken;  // others take what is left
    std::vector<int> taken(exporters);
    for (int i = 0; i < 1000 && taken.back() < 36; ++i) {
      bool any = false;
      for (std::size_t e = 0; e < exporters; ++e) {
        if (taken[e] == 36) continue;
        const auto next = store->next(e);
        if (!next) continue;
        store->done(e, next->number);
        ++taken[e];
        any = true;
      }
      if (!any) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    REQUIRE(taken == std::vector<int>(exporters, 36));
    store->stop();
    for (std::size_t e = 0; e < exporters; ++e)
      CHECK(store->stats(e).dropped_spans == std::array<std::uint64_t, kDropReasonNames.size()>{});
  }
  const auto store = make();
  REQUIRE(store->start());
  for (std::size_t e = 0; e < exporters; ++e) CHECK(store->stats(e).restored_spans == 4);
  disk_bytes = 0;
}
