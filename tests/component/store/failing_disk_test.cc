// SPDX-License-Identifier: Apache-2.0
// A disk that fails: each write, sync, cut and rename of a day in the life of a store fails once, whole or halfway.
// What was reported as stored is found, whole and once, and the batch that failed can be stored again.
//
// The functions below stand before the C library's for this program and for SQLite. They do not sync, which makes the
// test quick: what a machine forgets when its power fails is not its subject.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <set>

#include "store/reader.h"
#include "store/store.h"
#include "support/failing_calls.h"
#include "support/otlp_builder.h"
#include "support/sanitized.h"

namespace {

using tailgate::test::real;

tailgate::test::FailingCalls disk;

bool is_file(int fd) {
  struct stat s = {};
  return ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}

}  // namespace

extern "C" {
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  return disk.write(size, [&](size_t n) { return real<decltype(pwrite)>("pwrite")(fd, bytes, n, at); });
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
  return disk.write(size, [&](size_t n) { return real<decltype(pwrite64)>("pwrite64")(fd, bytes, n, at); });
}
ssize_t write(int fd, const void* bytes, size_t size) {
  const auto put = [&](size_t n) { return real<decltype(write)>("write")(fd, bytes, n); };
  return is_file(fd) ? disk.write(size, put) : put(size);
}
int fsync(int) { return disk.next() ? -1 : 0; }
int fdatasync(int) { return disk.next() ? -1 : 0; }
int ftruncate(int fd, off_t size) noexcept {
  return disk.next() ? -1 : real<decltype(ftruncate)>("ftruncate")(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
  return disk.next() ? -1 : real<decltype(ftruncate64)>("ftruncate64")(fd, size);
}
int rename(const char* from, const char* to) noexcept {
  return disk.next() ? -1 : real<decltype(rename)>("rename")(from, to);
}
}

namespace tailgate {
namespace {

namespace fs = std::filesystem;

KeptTracePtr numbered(std::uint64_t number) {
  auto trace = std::make_shared<KeptTrace>();
  trace->id = test::id_of_trace(number);
  test::SpanSpec span;
  span.trace = number;
  span.attributes = {{"n", std::to_string(number)}, {"text", std::string(400, static_cast<char>('a' + number % 26))}};
  trace->otlp = test::request({span});
  trace->spans = 1;
  trace->start_ns = number;
  trace->end_ns = number + 1;
  return trace;
}

// What the store has: each number once, with its bytes as they came.
std::set<std::uint64_t> found_in(StoreReader& reader) {
  std::set<std::uint64_t> out;
  const auto done = reader.search({}, [&](const StoredTrace& t) {
    CHECK(t.otlp == numbered(t.start_ns)->otlp);
    CHECK(out.insert(t.start_ns).second);
    return true;
  });
  REQUIRE(done);
  CHECK(done->damaged == 0);
  return out;
}

constexpr std::uint64_t kBatches = 9, kBatch = 3;

constexpr long kStep = test::kSanitized ? 4 : 1;  // with a sanitizer a quarter of the calls fail in turn

// Opens a store, fills some partitions, ends in the middle of one. Whatever fails is tried again, as the exporter does.
void fill(const fs::path& path, std::set<std::uint64_t>& stored) {
  const StoreOptions options{.directory = path, .age_max_ns = 16 * 4 * kBatches, .parts_per_posting_file = 7};
  std::unique_ptr<Store> store;
  for (std::uint64_t n = 0; n != kBatches; ++n) {
    std::vector<KeptTracePtr> batch;
    for (std::uint64_t i = 1; i <= kBatch; ++i) batch.push_back(numbered(n * kBatch + i));
    const std::uint64_t now = 1 + n * 16;
    bool done = false;
    for (int attempt = 0; !done && attempt != 6; ++attempt) {
      std::vector<std::string> notices;
      if (!store) {
        auto opened = Store::open(options, now, notices);
        if (!opened) continue;
        store = std::move(*opened);
      }
      done = store->append(batch, now).has_value();
    }
    REQUIRE(done);
    for (const KeptTracePtr& trace : batch) stored.insert(trace->start_ns);
    if (n != kBatches / 2) continue;
    StoreReader reader(store->source());
    CHECK(found_in(reader) == stored);
    store.reset();  // a restart in the middle
  }
}

void check(const fs::path& path, const std::set<std::uint64_t>& stored) {
  std::vector<std::string> notices;
  const StoreOptions options{.directory = path, .age_max_ns = 16 * 4 * kBatches, .parts_per_posting_file = 7};
  auto again = Store::open(options, 1 + kBatches * 16, notices);
  REQUIRE(again);
  CHECK((*again)->counts().damaged_blocks == 0);
  StoreReader reader((*again)->source());
  CHECK(found_in(reader) == stored);
  for (const std::uint64_t n : stored) {
    SearchRequest request;
    request.needs.all = {{TraceTerm{.key = "n", .value = std::to_string(n)}}};
    bool seen = false;
    REQUIRE(reader.search(request, [&](const StoredTrace& t) { return !(seen |= t.start_ns == n); }));
    CHECK(seen);
  }
}

}  // namespace

TEST_CASE("each write that fails leaves a store that has what was reported, and goes on", "[store]") {
  const fs::path path = fs::temp_directory_path() / ("tailgate-failing-" + std::to_string(::getpid()));
  // One call; one write halfway; and all of a while, as on a full disk.
  const auto [half, fails] = GENERATE(std::pair{false, 1L}, std::pair{true, 1L}, std::pair{false, 4L});
  long failed = 0;
  for (bool reached = true; reached; failed += fails * kStep) {
    fs::remove_all(path);
    disk = {.left = failed, .fails = fails, .half = half};
    INFO("call " << failed << " fails, half " << half << ", " << fails << " in a row");
    std::set<std::uint64_t> stored;
    fill(path, stored);
    reached = disk.calls > failed;
    disk = {};
    check(path, stored);
  }
  CHECK(failed > 200);  // it is a test only if the store writes through these functions
  WARN("calls up to number " << failed << " failed in turn");
  fs::remove_all(path);
}

}  // namespace tailgate
