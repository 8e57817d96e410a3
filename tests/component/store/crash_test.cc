// SPDX-License-Identifier: Apache-2.0
// kill -9 at random moments of a process that writes a store. What it had said to be stored is found, whole; what is
// found is whole. CRASH_CYCLES sets how often.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "store/reader.h"
#include "store/store.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

KeptTracePtr of_random_size(std::uint64_t number) {
  test::Random r(number);
  auto trace = std::make_shared<KeptTrace>();
  trace->id = test::id_of_trace(number);
  std::vector<test::SpanSpec> spans(1 + r.below(8));
  for (test::SpanSpec& s : spans) {
    s.trace = number;
    s.attributes = {{"n", std::to_string(number % 10)}, {"text", std::string(r.below(3000), 'x')}};
  }
  trace->otlp = test::request(spans);
  trace->spans = static_cast<std::uint32_t>(spans.size());
  trace->start_ns = number;
  trace->end_ns = number + 1;
  return trace;
}

int cycles() {
  const char* set = std::getenv("CRASH_CYCLES");
  return set ? std::atoi(set) : 12;
}

// A cycle has some 30 batches, which are its time: some partitions come about, and none is too old.
StoreOptions options(const fs::path& path) {
  return {.directory = path,
          .bytes_max = std::uint64_t{1} << 30,
          .age_max_ns = 16 * static_cast<std::uint64_t>(std::max(300, 5 * cycles())),
          .parts_per_posting_file = 50};
}

// Appends until it is killed, and says after each batch how many traces are stored.
[[noreturn]] void write_until_killed(const fs::path& path, std::uint64_t number, std::uint64_t now, int out) {
  std::vector<std::string> notices;
  auto store = Store::open(options(path), now, notices);
  if (!store) ::_exit(2);
  test::Random r(number);
  while (true) {
    std::vector<KeptTracePtr> batch;
    for (std::uint64_t n = 1 + r.below(20); n != 0; --n) batch.push_back(of_random_size(++number));
    now += 1;
    if (!(*store)->append(batch, now)) ::_exit(3);
    if (::write(out, &number, sizeof number) != sizeof number) ::_exit(4);
  }
}

}  // namespace

TEST_CASE("what was stored before a kill is found, whole, and nothing else", "[store]") {
  const fs::path path = fs::temp_directory_path() / ("tailgate-crash-" + std::to_string(::getpid()));
  fs::remove_all(path);
  test::Random r(7);
  std::uint64_t stored = 0, last = 0, now = 1;
  for (int cycle = 0; cycle != cycles(); ++cycle) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) write_until_killed(path, last, now, ends[1]);
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + r.below(120'000)));
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    for (std::uint64_t n = 0; ::read(ends[0], &n, sizeof n) == sizeof n; ++now) stored = n;
    ::close(ends[0]);

    std::vector<std::string> notices;
    INFO("cycle " << cycle);
    auto store = Store::open(options(path), now, notices);
    REQUIRE(store);
    CHECK((*store)->counts().damaged_blocks == 0);
    StoreReader reader((*store)->source());
    const auto second = open_store(path);
    REQUIRE(second);
    for (StoreReader* asked : {&reader, second->get()}) {
      std::vector<bool> found(stored + 1000);
      REQUIRE(asked->search({}, [&](const StoredTrace& t) {
        REQUIRE(t.start_ns < found.size());
        CHECK_FALSE(found[t.start_ns]);
        found[t.start_ns] = true;
        last = std::max(last, t.start_ns);
        CHECK(t.otlp == of_random_size(t.start_ns)->otlp);
        return true;
      }));
      CHECK(std::count(found.begin() + 1, found.begin() + static_cast<long>(last) + 1, false) == 0);
      CHECK(last >= stored);
    }
    SearchRequest request;
    request.needs.all = {{TraceTerm{.key = "n", .value = "3"}}};
    std::uint64_t threes = 0;
    REQUIRE(reader.search(request, [&](const StoredTrace&) { return ++threes != 0; }));
    CHECK(threes == (last + 7) / 10);
  }
  WARN(stored << " traces stored over " << cycles() << " kills");
  fs::remove_all(path);
}

}  // namespace tailgate
