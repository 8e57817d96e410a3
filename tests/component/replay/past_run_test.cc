// SPDX-License-Identifier: Apache-2.0
// A time of a journal, judged once more: which requests are looked at, and what files that cannot be read do to it.
#include "daemon/journal/past_run.h"

#include <algorithm>

#include "settings/journal.h"
#include "support/otlp_builder.h"
#include "unit/journal/journal_fixture.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;
using test::HandJournal;
using test::JournalFolder;

// Ten requests, one a minute, each in a segment of its own.
void fill(HandJournal& j) {
  j.ms = 1'700'000'000'000;
  REQUIRE(j.open());
  for (std::uint64_t n = 1; n != 11; ++n) {
    test::SpanSpec span;
    span.trace = span.id = n;
    j.put(test::request({span}));
    j.commit();
    j.ms += 60'000;
  }
}

PastRunOutcome run(const HandJournal& j, std::uint64_t from, std::uint64_t to, std::uint64_t& kept) {
  PastRunOptions options;
  options.directory = j.options.directory;
  options.extent = [&] { return j.journal->extent(); };
  options.from_unix_ns = from;
  options.to_unix_ns = to;
  options.store.shards = 1;
  options.store.limits.cache_bytes = 1 << 20;
  options.slim = true;
  PolicyTables tables;
  const auto policies = policies_of_condition("span_count >= 1", tables);
  REQUIRE(policies);
  kept = 0;
  const auto outcome = run_past(options, *policies, tables, [&](std::span<const DecidedTrace> decided) {
    for (const DecidedTrace& d : decided) kept += d.verdict.decision == Decision::kSampled;
  });
  REQUIRE(outcome);
  return *outcome;
}

}  // namespace

TEST_CASE("the past is judged from a time to a time, and no file beyond is read", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  fill(j);
  const std::uint64_t began = 1'700'000'000'000ULL * 1'000'000;
  constexpr std::uint64_t kMinute = 60'000'000'000;
  std::uint64_t kept = 0;
  CHECK(run(j, 0, UINT64_MAX, kept).requests == 10);
  CHECK(kept == 10);
  CHECK(run(j, began + 2 * kMinute, began + 4 * kMinute, kept).requests == 3);
  CHECK(kept == 3);
  // A file that is made after the time is not opened: nobody misses what is damaged in it.
  const std::string last = requests_path(folder.path, j.journal->extent().segments.at(9));
  const auto size = fs::file_size(last);
  {
    std::fstream file(last, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(60);
    file.write("damage", 6);
  }
  REQUIRE(fs::file_size(last) == size);
  const PastRunOutcome early = run(j, 0, began + 4 * kMinute, kept);
  CHECK(early.requests == 5);
  CHECK(early.damaged == 0);
}

TEST_CASE("a run ends at its bytes, or when it is cancelled, and says so", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  fill(j);
  std::uint64_t taken = 0, bytes = 0;
  PastRunOptions options;
  options.directory = j.options.directory;
  options.extent = [&] { return j.journal->extent(); };
  options.store.shards = 1;
  options.taken = [&](const JournalRequest& request) {
    ++taken;
    bytes += request.otlp.size();
  };
  const auto judge = [&] {
    taken = bytes = 0;
    PolicyTables tables;
    const auto policies = policies_of_condition("span_count >= 1", tables);
    REQUIRE(policies);
    const auto outcome = run_past(options, *policies, tables, [](std::span<const DecidedTrace>) {});
    REQUIRE(outcome);
    CHECK(outcome->requests == taken);
    CHECK(outcome->bytes == bytes);
    return *outcome;
  };
  CHECK_FALSE(judge().cut);
  CHECK(taken == 10);
  options.bytes_max = bytes / 2;
  CHECK(judge().cut);
  CHECK(taken == 5);
  CHECK(bytes >= options.bytes_max);
  options.bytes_max = UINT64_MAX;
  options.cancelled = [&] { return taken == 3; };
  const PastRunOutcome cut = judge();
  CHECK(cut.cut);
  CHECK(taken == 3);
  CHECK(cut.totals.totals.decided_in_all() == 3);  // what came until then is judged
}

TEST_CASE("a first file that cannot be read does not hide the others", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  fill(j);
  std::ofstream(requests_path(folder.path, j.journal->extent().segments.front()))
      << "#!/bin/sh and some more of that kind";
  std::uint64_t kept = 0;
  CHECK(run(j, 0, UINT64_MAX, kept).requests == 9);
  CHECK(kept == 9);
}

}  // namespace tailgate
