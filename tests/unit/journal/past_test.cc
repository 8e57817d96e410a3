// SPDX-License-Identifier: Apache-2.0
#include "journal/past.h"

#include <algorithm>

#include "journal_fixture.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;
using test::HandJournal;
using test::JournalFolder;

// The bytes of each span of a trace, sorted.
std::vector<std::string> spans_of(ByteView otlp, const TraceId& id) {
  std::vector<std::string> out;
  const ScanPlan plan;
  SpanBatch batch;
  REQUIRE(scan_request(otlp, plan, batch, [](SpanBatch&) { return false; }).ok);
  for (const BatchTrace& trace : batch.traces) {
    if (trace.id != id) continue;
    for (std::uint32_t s = trace.first; s != kNoIndex; s = batch.spans[s].next)
      out.emplace_back(batch.spans[s].data, batch.spans[s].size);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("an index of ids finds what a loop over its entries finds", "[journal]") {
  const JournalFolder folder;
  fs::create_directories(folder.path);
  const std::string path = ids_path(folder.path, 1);
  test::Random r(1);
  for (int round = 0; round != 60; ++round) {
    std::vector<IdEntry> entries(r.below(round % 3 == 0 ? 10 : 3000));
    const std::uint64_t different = 1 + r.below(round % 2 == 0 ? 20 : 100'000);
    for (IdEntry& e : entries) {
      test::Random hash(r.below(different));
      e = {hash.next(), 32 + r.below(100)};
    }
    REQUIRE(write_ids(path, entries));
    for (std::uint64_t n = 0; n != 50; ++n) {
      test::Random hash(r.below(different + 5));
      const std::uint64_t wanted = hash.next();
      std::vector<std::uint64_t> twin;
      for (const IdEntry& e : entries) {
        if (e.hash == wanted) twin.push_back(e.position);
      }
      std::sort(twin.begin(), twin.end());
      twin.erase(std::unique(twin.begin(), twin.end()), twin.end());
      const auto found = find_ids(path, wanted);
      REQUIRE(found);
      CHECK(*found == twin);
    }
  }
}

TEST_CASE("a damaged index of ids is found out, or does no harm", "[journal]") {
  const JournalFolder folder;
  fs::create_directories(folder.path);
  const std::string path = ids_path(folder.path, 1);
  std::vector<IdEntry> entries;
  for (std::uint64_t n = 1; n != 600; ++n) entries.push_back({n << 54, n});
  REQUIRE(write_ids(path, entries));
  std::string bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  test::Random r(2);
  for (int round = 0; round != 400; ++round) {
    std::string changed = bytes;
    if (round % 4 == 0) {
      changed.resize(r.below(changed.size()));
    } else {
      changed[r.below(round % 2 == 0 ? 24 : changed.size())] ^= static_cast<char>(1 + r.below(255));
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << changed;
    const std::uint64_t n = 1 + r.below(599);
    const auto found = find_ids(path, n << 54);
    if (found) CHECK(*found == std::vector<std::uint64_t>{n});
  }
}

TEST_CASE("a trace of the past is found by its id, over segments, restarts and lost indexes", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.retain = std::chrono::hours(1), .hold = std::chrono::seconds(1), .segment_bytes = 20'000});
  REQUIRE(j.open());
  test::Random r(4);
  std::map<std::uint64_t, std::vector<std::string>> wanted;
  std::uint64_t span = 0;
  const auto check = [&] {
    const JournalPast past(*j.journal);
    for (std::uint64_t n = 1; n != 60; ++n) {
      const auto found = past.find(test::id_of_trace(n));
      REQUIRE(found);
      CHECK(found->damaged == 0);
      std::vector<std::string> spans = wanted[n];
      std::sort(spans.begin(), spans.end());
      CHECK(found->spans == spans.size());
      if (spans.empty()) continue;
      CHECK(spans_of(found->otlp, test::id_of_trace(n)) == spans);
    }
  };
  for (int round = 0; round != 4; ++round) {
    for (int n = 0; n != 60; ++n) {
      std::vector<test::SpanSpec> specs(1 + r.below(4));
      std::set<std::uint64_t> ids;
      for (test::SpanSpec& s : specs) {
        s.trace = 1 + r.below(50);
        s.id = ++span;
        s.attributes = {{"text", std::string(r.below(r.one_in(10) ? 30'000 : 300), 't')}};
        ids.insert(s.trace);
      }
      const std::string otlp = test::request(specs);
      std::vector<TraceId> traces;
      for (const std::uint64_t id : ids) {
        traces.push_back(test::id_of_trace(id));
        for (std::string& bytes : spans_of(otlp, test::id_of_trace(id))) wanted[id].push_back(std::move(bytes));
      }
      j.put(otlp, traces);
      if (r.one_in(3)) j.commit();
      j.ms += 20;
    }
    j.commit();
    check();
    for (std::uint64_t n = r.below(6); n != 0; --n) JournalPast(*j.journal).index_one();
    check();
    REQUIRE(j.open());  // what was not written of the index is lost
    check();
    while (JournalPast(*j.journal).index_one()) {
    }
    check();
  }
  for (const auto& entry : fs::directory_iterator(folder.path)) {
    if (entry.path().extension() == ".ids") {
      fs::resize_file(entry.path(), 100);
      break;
    }
  }
  check();
}

TEST_CASE("a list of ids grows while others read it, as far as its account has room", "[journal]") {
  ByteBudget budget(ByteBudget::Caps{5 * sizeof(IdList::Chunk), 0, 0, 0, 0});
  IdList list(Charge(budget, Holder::kRequests));
  std::uint64_t n = 0;
  for (; n != 100; ++n) REQUIRE(list.add({n, 1}));
  const IdList::View view = list.view();
  while (list.add({n, 1})) ++n;
  CHECK(n == 2 * IdList::kChunkEntries);  // less than half of it
  CHECK(budget.used(Holder::kRequests) == 2 * sizeof(IdList::Chunk));
  std::uint64_t seen = 0;
  view.each([&](const IdEntry& entry) { CHECK(entry.hash == seen++); });
  CHECK(seen == 100);
}

TEST_CASE("ids that memory has no room for are read from the file, and a question may be cut short", "[journal]") {
  const JournalFolder folder;
  ByteBudget budget(ByteBudget::Caps{1000, 0, 0, 0, 0});
  HandJournal j(folder, {.retain = std::chrono::hours(1), .segment_bytes = 2000});
  j.budget = &budget;
  REQUIRE(j.open());
  for (std::uint64_t n = 1; n != 20; ++n) {
    const std::vector<TraceId> traces = {test::id_of_trace(n)};
    test::SpanSpec span;
    span.trace = span.id = n;
    span.attributes = {{"text", std::string(500, static_cast<char>('a' + n))}};
    j.put(test::request({span}), traces);
    j.commit();
    CHECK(budget.used(Holder::kRequests) == 0);
  }
  const JournalPast past(*j.journal);
  CHECK(past.find(test::id_of_trace(3))->spans == 1);
  const auto cut = past.find(test::id_of_trace(19), [n = 0]() mutable { return ++n > 3; });
  REQUIRE(cut);
  CHECK(cut->cut);
  CHECK(cut->spans == 0);
  while (JournalPast(*j.journal).index_one()) {
  }
  CHECK(past.find(test::id_of_trace(3))->spans == 1);
  CHECK_FALSE(past.find(test::id_of_trace(3))->cut);
}

TEST_CASE("no index outlives its segment", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.retain = std::chrono::hours(1), .hold = std::chrono::seconds(1), .segment_bytes = 100});
  REQUIRE(j.open());
  for (std::uint64_t n = 1; n != 5; ++n) {
    const std::vector<TraceId> traces = {test::id_of_trace(n)};
    j.put(test::request({test::SpanSpec{}}), traces);
    j.commit();
  }
  while (JournalPast(*j.journal).index_one()) {
  }
  const auto left = [&] {
    std::size_t out = 0;
    for (const auto& entry : fs::directory_iterator(folder.path))
      out += entry.path().string().find(".ids") != std::string::npos;
    return out;
  };
  CHECK(left() == 3);
  j.close();
  std::ofstream(ids_path(folder.path, 777)) << "of a segment that is gone";
  std::ofstream(ids_path(folder.path, 1) + ".new") << "half of it";
  j.options.retain = Duration::zero();
  REQUIRE(j.open());
  CHECK(left() == 3);
  j.journal->replayed(UINT64_MAX);
  j.ms += 100'000;
  j.journal->swept(j.now());
  j.commit();
  CHECK(left() == 0);
}

}  // namespace tailgate
