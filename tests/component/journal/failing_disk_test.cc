// SPDX-License-Identifier: Apache-2.0
// A disk that fails, and power that is cut. First each write, sync, cut and removal of a day in the life of a journal
// fails once, whole or halfway: what was said to be safe is found, whole and once. Then what such a day did to the disk
// is kept as a list, and the power is cut after each entry: of what was not synced some is there and some is not, in
// any order. Or the process is killed in each entry, of which the system then has a part. CUTS and KILLS set how many
// of them are tried.
//
// The functions below stand before the C library's for this program. They do not sync, which makes the test quick.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <future>
#include <set>
#include <thread>

#include "support/failing_calls.h"
#include "support/random_otlp.h"
#include "support/sanitized.h"
#include "unit/journal/journal_fixture.h"

namespace {

struct Operation {
  enum Kind { kWrite, kCut, kSync, kFailedSync, kSyncDirectory, kRemove } kind = kWrite;
  std::string path;
  std::uint64_t at = 0;  // of a write; the size, of a cut
  std::string bytes = {};
};

using tailgate::test::real;

// What was done, too.
struct Disk : tailgate::test::FailingCalls {
  bool lists = false;
  int sync_fails_one_in = 0;
  std::string broken;  // a file that takes nothing any more
  std::vector<Operation> list;
  tailgate::test::Random random{1};
};
Disk disk;

std::string path_of(int fd) {
  std::string out(4096, '\0');
  const ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), out.data(), out.size());
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

void note(Operation::Kind kind, const std::string& path, std::uint64_t at = 0, std::string bytes = {}) {
  if (disk.lists) disk.list.push_back({kind, path, at, std::move(bytes)});
}

int sync_of(int fd) {
  if (disk.next()) return -1;
  struct stat s = {};
  if (::fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) {
    note(Operation::kSyncDirectory, path_of(fd));
    return 0;
  }
  if (disk.sync_fails_one_in != 0 && disk.random.one_in(static_cast<std::uint64_t>(disk.sync_fails_one_in))) {
    note(Operation::kFailedSync, path_of(fd));
    errno = EIO;
    return -1;
  }
  note(Operation::kSync, path_of(fd));
  return 0;
}

}  // namespace

extern "C" {
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  if (!disk.broken.empty() && path_of(fd) == disk.broken) {
    errno = EIO;
    return -1;
  }
  return disk.write(size, [&](size_t n) {
    note(Operation::kWrite, path_of(fd), static_cast<std::uint64_t>(at), {static_cast<const char*>(bytes), n});
    return real<decltype(pwrite)>("pwrite")(fd, bytes, n, at);
  });
}
int fsync(int fd) { return sync_of(fd); }
int fdatasync(int fd) { return sync_of(fd); }
int ftruncate(int fd, off_t size) noexcept {
  if (disk.next()) return -1;
  note(Operation::kCut, path_of(fd), static_cast<std::uint64_t>(size));
  return real<decltype(ftruncate)>("ftruncate")(fd, size);
}
int unlink(const char* path) noexcept {
  if (disk.next()) return -1;
  note(Operation::kRemove, path);
  return real<decltype(unlink)>("unlink")(path);
}
}

namespace tailgate {
namespace {

namespace fs = std::filesystem;
using test::HandJournal;
using test::InTheMiddle;
using test::JournalFolder;

JournalOptions options(JournalAck ack) {
  JournalOptions out;
  out.ack = ack;
  out.hold = std::chrono::seconds(2);
  out.segment_bytes = 3000;
  return out;
}

std::string numbered(std::uint64_t n) {
  test::Random r(n);
  std::string out = std::to_string(n) + " ";
  for (std::uint64_t size = r.below(n % 5 == 0 ? 40'000 : 900); size != 0; --size)
    out.push_back(static_cast<char>(r.below(256)));
  return out;
}

// Requests by the hundred, with verdicts, deliveries and segments that go. Returns the numbers of those that are safe,
// each with the length that the disk's list had then; and those up to which all was decided, likewise.
struct Day {
  std::map<std::uint64_t, std::size_t> safe, decided;
};

Day day(HandJournal& j, std::uint64_t seed) {
  Day out;
  std::map<std::uint64_t, std::size_t>& safe = out.safe;
  test::Random r(seed);
  for (std::uint64_t n = 1; n != 100; ++n) {
    if (j.journal == nullptr && !j.open()) continue;
    const int before = j.safe;
    j.put(numbered(n));
    const DecidedTrace decided{test::trace(n), {}, j.journal->next_order()};
    j.journal->note({&decided, 1});
    if (r.one_in(3)) j.journal->note({test::trace(n), decided.order, 0, 0});
    j.commit();
    if (j.safe != before) safe[n] = disk.list.size();
    j.ms += 10 + static_cast<std::int64_t>(r.below(100));
    if (j.journal->takes() != Journal::Takes::kRequests) j.ms += 2000;
    if (n % 40 == 0) {
      j.close();  // a restart
    } else if (r.one_in(10)) {
      j.ms += 2500;  // and what came before is decided
      out.decided[n] = disk.list.size();
      j.journal->swept(j.now());
    }
  }
  return out;
}

// The numbers of the requests that a journal has from where a restart begins, each once.
std::set<std::uint64_t> found(const HandJournal& j) {
  std::set<std::uint64_t> out;
  for (const std::string& bytes : j.read(j.journal->replay_from())) {
    const std::uint64_t n = std::stoull(bytes);
    CHECK(bytes == numbered(n));
    CHECK(out.insert(n).second);
  }
  return out;
}

}  // namespace

constexpr long kStep = test::kSanitized ? 8 : 1;  // with a sanitizer an eighth of the calls fail in turn

TEST_CASE("each write that fails leaves a journal that has what it said to be safe, and goes on", "[journal]") {
  const JournalAck ack = GENERATE(JournalAck::kJournal, JournalAck::kDisk);
  const auto [half, fails] = GENERATE(std::pair{false, 1L}, std::pair{true, 1L}, std::pair{false, 3L});
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  long failed = 0;
  for (bool reached = true; reached; failed += fails * kStep) {
    INFO("call " << failed << " fails, half " << half << ", " << fails << " in a row");
    const JournalFolder folder;
    HandJournal j(folder, options(ack));
    j.options.hold = std::chrono::hours(1);  // nothing goes
    disk = {};
    disk.left = failed;
    disk.fails = fails;
    disk.half = half;
    const std::map<std::uint64_t, std::size_t> safe = day(j, 1).safe;
    reached = disk.calls > failed;
    disk = {};
    REQUIRE(j.open());
    const std::set<std::uint64_t> have = found(j);
    CHECK(safe.size() > 90);
    for (const auto& [n, when] : safe) CHECK(have.contains(n));
    if (!reached) CHECK(safe.size() == 99);
  }
  CHECK(failed > 100);
  WARN(failed << " calls failed in turn");
}

TEST_CASE("a file that takes nothing any more is left for another one", "[journal]") {
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  disk = {};
  const JournalFolder folder;
  HandJournal j(folder, options(JournalAck::kJournal));
  REQUIRE(j.open());
  j.put(numbered(1));
  j.commit();
  disk.broken = requests_path(folder.path, j.journal->extent().segments.back());
  for (std::uint64_t n = 2; n != 5; ++n) {
    j.put(numbered(n));
    j.commit();
    j.ms += 2000;
  }
  CHECK(j.journal->takes() == Journal::Takes::kRequests);
  CHECK(j.safe == 3);  // one was refused
  disk = {};
  REQUIRE(j.open());
  CHECK(found(j) == std::set<std::uint64_t>{1, 3, 4});
}

TEST_CASE("of a write that fails halfway a restart finds nothing", "[journal]") {
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  disk = {};
  const JournalFolder folder;
  HandJournal j(folder, options(JournalAck::kJournal));
  REQUIRE(j.open());
  for (std::uint64_t n = 1; n != 5; ++n) j.put(std::to_string(n) + std::string(30'000, 'x'));  // a block each
  disk.left = 0;
  disk.half = true;
  j.commit();
  CHECK(j.unsafe == 4);
  disk = {};
  REQUIRE(j.open());
  CHECK(j.read(j.journal->replay_from()).empty());
}

TEST_CASE("a disk that is full at the start is a failure like a later one", "[journal]") {
  const JournalFailure on_failure = GENERATE(JournalFailure::kRefuse, JournalFailure::kMemory);
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  disk = {};
  const JournalFolder folder;
  HandJournal j(folder, options(JournalAck::kJournal));
  j.options.on_failure = on_failure;
  REQUIRE(j.open());
  j.put(numbered(1));
  j.commit();
  j.close();
  disk.left = 0;
  disk.fails = 1000;
  REQUIRE(j.open());
  CHECK(j.journal->takes() ==
        (on_failure == JournalFailure::kRefuse ? Journal::Takes::kNothing : Journal::Takes::kPassBy));
  CHECK(j.journal->stats().failure.find("No space") != std::string::npos);
  CHECK(found(j) == std::set<std::uint64_t>{1});
  const std::uint64_t pinned = j.journal->pin(j.now());
  const DecidedTrace decided{test::trace(2), {}, j.journal->next_order()};
  j.journal->note({&decided, 1});
  j.ms += 2000;
  j.commit();
  CHECK(j.journal->takes() != Journal::Takes::kRequests);
  disk = {};
  j.ms += 2000;
  j.commit();
  CHECK(j.journal->takes() == Journal::Takes::kRequests);
  j.journal->unpin(pinned);
  j.put(numbered(3));
  j.commit();
  CHECK(found(j) == std::set<std::uint64_t>{1, 3});
  REQUIRE(j.open());
  CHECK(found(j) == std::set<std::uint64_t>{1, 3});
}

TEST_CASE("who waits for a disk that hangs is told by a thread that does not write", "[journal]") {
  const bool while_it_stops = GENERATE(false, true);
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  disk = {};
  const JournalFolder folder;
  HandJournal j(folder, {.write_timeout = std::chrono::milliseconds(20)});
  REQUIRE(j.open());
  std::promise<void> back;
  std::promise<bool> answer;
  std::future<bool> told = answer.get_future();
  {
    InTheMiddle words(j);
    words.call = [hangs_until = back.get_future().share()] { hangs_until.wait(); };
    JournalRequest request;
    request.number = 1;
    request.otlp = "a request";
    j.journal->append(request, monotonic_now(), [&](bool safe) { answer.set_value(safe); });
    j.journal->start();
    std::thread stops;
    if (while_it_stops) stops = std::thread([&] { j.journal->stop(); });
    CHECK(told.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    back.set_value();
    if (stops.joinable()) stops.join();
    j.journal->stop();
  }
  CHECK_FALSE(told.get());
  CHECK(j.journal->stats().timeouts >= 1);
}

// 2,000 requests a second, so after a trial commits wait for more of them; the last ones come while one waits.
TEST_CASE("requests that come all the time share commits, and the end waits for none", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, options(JournalAck::kJournal));
  REQUIRE(j.open());
  j.journal->start();
  std::atomic<std::uint64_t> safe{0}, sent{0};
  std::atomic<bool> over{false};
  const auto append = [&](Journal::Done done) {
    JournalRequest request;
    request.number = ++sent;
    request.otlp = "a request";
    j.journal->append(request, monotonic_now(), std::move(done));
  };
  std::thread sender([&] {
    for (TimePoint at = monotonic_now(); !over;) {
      append([&](bool good) { safe += good ? 1 : 0; });
      std::this_thread::sleep_until(at += std::chrono::microseconds(500));  // who comes late catches up
    }
  });
  std::this_thread::sleep_for(std::chrono::seconds(1));
  CHECK(j.journal->stats().commits < sent * 3 / 4);

  // A second sender waits for each answer. On a busy machine the thread may be late, so it may try again.
  const auto fifty = [&](bool hurry) {
    const TimePoint began = monotonic_now();
    for (int i = 0; i < 50; ++i) {
      std::promise<void> answer;
      append([&](bool good) {
        safe += good ? 1 : 0;
        answer.set_value();
      });
      if (hurry) j.journal->hurry(monotonic_now());
      answer.get_future().wait();
    }
    return monotonic_now() - began;
  };
  bool faster = false;
  for (int i = 0; i < 8 && !faster; ++i) {
    const Duration patient = fifty(false);
    faster = 2 * fifty(true) < patient;
  }
  CHECK(faster);
  over = true;
  sender.join();
  j.journal->stop();
  CHECK(safe == sent);
}

TEST_CASE("what is retained only makes room at the start", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, options(JournalAck::kJournal));
  j.options.retain = std::chrono::hours(1);
  REQUIRE(j.open());
  for (std::uint64_t n = 1; n != 20; ++n) {
    j.put(numbered(n));
    j.commit();
  }
  j.ms += 10'000;
  j.journal->swept(j.now());
  j.commit();
  REQUIRE(j.journal->settled() == j.journal->extent().segments.back());
  j.options.disk_free_min = UINT64_MAX / 2;
  REQUIRE(j.open());
  CHECK(j.journal->stats().segments == 2);  // what may have been needed, and a new one
}

TEST_CASE("only `ack: disk` syncs", "[journal]") {
  const JournalAck ack = GENERATE(JournalAck::kJournal, JournalAck::kDisk);
  disk = {};
  disk.lists = true;
  const JournalFolder folder;
  {
    HandJournal j(folder, options(ack));
    (void)day(j, 1);
  }
  const std::vector<Operation> list = std::exchange(disk.list, {});
  disk = {};
  const bool syncs = std::any_of(list.begin(), list.end(), [](const Operation& op) {
    return op.kind == Operation::kSync || op.kind == Operation::kSyncDirectory;
  });
  CHECK(syncs == (ack == JournalAck::kDisk));
  const bool syncs_parent = std::any_of(list.begin(), list.end(), [&](const Operation& op) {
    return op.kind == Operation::kSyncDirectory && op.path == folder.path.parent_path();
  });
  CHECK(syncs_parent == syncs);  // the journal has made its directory
}

namespace {

// A file as the disk may have it when the power is cut.
struct Image {
  std::string bytes;
  bool there = false;    // the entry in the directory is
  bool written = false;  // the file has been made
};

void apply(std::string& bytes, const Operation& op, test::Random& r, bool torn) {
  if (op.kind == Operation::kCut) return bytes.resize(op.at);
  std::size_t size = op.bytes.size();
  if (torn) size = r.below(size + 1);
  if (bytes.size() < op.at + size) bytes.resize(op.at + size, '\0');
  bytes.replace(op.at, size, op.bytes, 0, size);
}

// What is left after the first `done` operations: of those that nothing made durable, any.
std::map<std::string, Image> cut(const std::vector<Operation>& list, std::size_t done, test::Random& r) {
  std::map<std::string, Image> files;
  std::map<std::string, std::vector<const Operation*>> open;  // not durable
  const std::uint64_t mood = r.below(4);                      // nothing of these, all, or some
  const auto happens = [&] { return mood == 1 || (mood >= 2 && r.one_in(2)); };
  for (std::size_t i = 0; i != done; ++i) {
    const Operation& op = list[i];
    switch (op.kind) {
      case Operation::kWrite:
      case Operation::kCut:
        files[op.path].written = true;
        open[op.path].push_back(&op);
        break;
      case Operation::kSync:
        for (const Operation* o : open[op.path]) apply(files[op.path].bytes, *o, r, false);
        open[op.path].clear();
        break;
      case Operation::kFailedSync:  // the system forgets what it could not write
        for (const Operation* o : open[op.path]) {
          if (happens()) apply(files[op.path].bytes, *o, r, r.one_in(3));
        }
        open[op.path].clear();
        break;
      case Operation::kSyncDirectory:
        for (auto& [path, file] : files) file.there = file.written;
        break;
      case Operation::kRemove:
        if (happens()) {
          files.erase(op.path);
          open.erase(op.path);
        }
        break;
    }
  }
  for (auto& [path, file] : files) {
    if (!file.there) file.there = happens();
    for (const Operation* o : open[path]) {
      if (happens()) apply(file.bytes, *o, r, r.one_in(3));
    }
  }
  return files;
}

// What the system has of the files when the process is killed in operation `done`: all before it, and a part of it.
std::map<std::string, Image> killed(const std::vector<Operation>& list, std::size_t done, test::Random& r) {
  std::map<std::string, Image> files;
  for (std::size_t i = 0; i != std::min(done + 1, list.size()); ++i) {
    const Operation& op = list[i];
    const bool whole = i != done;
    if (op.kind == Operation::kWrite || (op.kind == Operation::kCut && whole)) {
      files[op.path].there = true;
      apply(files[op.path].bytes, op, r, !whole);
    } else if (op.kind == Operation::kRemove && whole) {
      files.erase(op.path);
    }
  }
  return files;
}

struct Tries {
  std::uint64_t ends = 0, days = 0, looked_for = 0;
};

// Ends the process after each operation of a day, one day after another: `left` says what is then on the disk, and what
// was said to be safe must be found in it.
template <class Left>
Tries end_at_each_operation(JournalAck ack, std::uint64_t ends, Left&& left) {
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  Tries out;
  for (std::uint64_t seed = 1; out.ends < ends; ++seed, ++out.days) {
    const JournalFolder folder;
    disk = {};
    disk.lists = true;
    disk.random = test::Random(seed);
    disk.sync_fails_one_in = seed % 2 == 0 ? 15 : 0;
    Day told;
    {
      HandJournal j(folder, options(ack));
      j.options.hold = seed % 3 == 0 ? std::chrono::seconds(2) : std::chrono::hours(1);
      told = day(j, seed);
    }
    if (seed % 3 != 0) told.decided.clear();  // too early for all of it
    const std::vector<Operation> list = std::exchange(disk.list, {});
    disk = {};
    test::Random r(seed);
    for (std::size_t done = 0; done <= list.size() && out.ends < ends; ++done, ++out.ends) {
      INFO("seed " << seed << ", the end after " << done << " of " << list.size());
      const JournalFolder after;
      fs::create_directories(after.path);
      for (const auto& [path, file] : left(list, done, r)) {
        if (!file.there) continue;
        std::ofstream(after.path / fs::path(path).filename(), std::ios::binary) << file.bytes;
      }
      HandJournal j(after, options(ack));
      j.ms += 100'000;
      REQUIRE(j.open());
      const std::set<std::uint64_t> have = found(j);
      std::uint64_t decided = 0;  // those may have gone
      for (const auto& [n, when] : told.decided) decided = when <= done ? n : decided;
      for (const auto& [n, when] : told.safe) {
        if (when > done || n <= decided) continue;
        ++out.looked_for;
        CHECK(have.contains(n));
      }
    }
  }
  WARN(out.ends << " ends in " << out.days << " days, " << out.looked_for << " requests looked for");
  return out;
}

std::uint64_t how_many(const char* variable, std::uint64_t otherwise) {
  const char* set = std::getenv(variable);
  return set != nullptr ? std::strtoull(set, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("a cut of the power at any write loses nothing that was said to be safe", "[journal]") {
  const Tries tries = end_at_each_operation(JournalAck::kDisk, how_many("CUTS", 2000 / kStep), cut);
  CHECK(tries.looked_for > tries.ends);
}

TEST_CASE("the end of the process in any write loses nothing that was said to be safe", "[journal]") {
  const Tries tries = end_at_each_operation(JournalAck::kJournal, how_many("KILLS", 500 / kStep), killed);
  CHECK(tries.looked_for > tries.ends);
}

}  // namespace tailgate
