// SPDX-License-Identifier: Apache-2.0
// What of requests is other members' of a cluster, over kills: it is with them, or it goes there again.
#include "replay_fixture.h"

namespace tailgate {

using namespace test;

namespace {

// Of a request, what belongs to others: those of `elsewhere`.
struct Elsewhere {
  std::set<TraceId> traces;
  int refuses = 0;
  std::map<TraceId, int> got;  // how often
  std::shared_ptr<Receipt> receipt;
  bool pass_on(SpanBatch& slice, std::shared_ptr<Receipt>& written) {
    if (refuses > 0 && --refuses >= 0) return false;
    const auto theirs = [&](const TraceId& id) { return traces.contains(id); };
    for (const BatchTrace& trace : slice.traces) got[trace.id] += theirs(trace.id) ? 1 : 0;
    slice.remove_traces(theirs);
    written = receipt;
    return true;
  }
};

TraceId trace_of(std::uint64_t n) {
  SpanBatch batch;
  const ScanPlan plan;
  REQUIRE(scan_request(request_of(n, 1), plan, batch, [](SpanBatch&) { return false; }).ok);
  return batch.traces[0].id;
}

void put(Process& p, Whose whose, std::uint64_t trace, std::uint64_t number, std::int64_t ms) {
  const std::string otlp = request_of(trace, 50);
  JournalRequest request;
  request.number = number;
  request.order = p.journal->next_order();
  request.arrival_unix_ns = wall(ms);
  request.otlp = otlp;
  request.whose = whose;
  p.journal->append(request, at(ms), {});
}

std::shared_ptr<KeptTrace> part_of(std::uint64_t trace) {
  auto out = std::make_shared<KeptTrace>();
  out->otlp = request_of(trace, 1);
  out->spans = 1;
  return out;
}

// The next process after a kill.
fs::path next_of(const fs::path& root, int n) {
  const fs::path to = root / std::to_string(n);
  fs::copy(root / std::to_string(n - 1), to, fs::copy_options::recursive);
  return to;
}

}  // namespace

TEST_CASE("what was on its way to others at a kill goes there again, until they have it", "[journal]") {
  const Folder root;
  Backend nobody;
  nobody.dead = true;
  {
    Process p(nobody, root.path / "0", 0, small_store());
    auto there = part_of(1);
    const auto away = part_of(2);
    p.link->write_part(0, wall(0), there, false);
    p.link->write_part(0, wall(0), away, false);
    p.take({1, request_of(3, 1)});
    p.commit(1);
    CHECK(p.journal->stats().for_others == 2);
    CHECK(p.journal->stats().requests == 1);
    there.reset();  // its member has it
    p.commit(2);
    CHECK(p.journal->stats().passed_on == 1);
    fs::copy(root.path / "0", root.path / "1", fs::copy_options::recursive);
    away->delivery.lost();
  }
  Elsewhere others{{trace_of(1), trace_of(2)}, 3, {}, std::make_shared<Receipt>()};
  const auto replayed = [&](Process& p, Watched& target) {
    ReplayParts parts{*p.journal, *p.link, *p.store, target, 1, at(-1000), Duration::zero()};
    parts.pause = [](Duration) {};
    parts.pass_on = [&](SpanBatch& slice, SourceId, std::uint64_t arrival, std::shared_ptr<Receipt>& written) {
      CHECK(arrival == wall(0));
      return others.pass_on(slice, written);
    };
    JournalReplay replay(std::move(parts));
    replay.run(at(kThen), wall(kThen));
  };
  {
    Process p(nobody, root.path / "1", kThen, small_store());
    Watched target(*p.target, [] {});
    replayed(p, target);
    CHECK(others.got == std::map<TraceId, int>{{trace_of(2), 1}});
    CHECK(target.seen.size() == 1);
    p.commit(kThen);
    fs::copy(root.path / "1", root.path / "2", fs::copy_options::recursive);  // killed before it was written anew
    others.receipt->settle(true);
    p.commit(kThen);
    fs::copy(root.path / "1", root.path / "3", fs::copy_options::recursive);  // and after
  }
  for (const auto& [folder, again] : {std::pair("2", 1), std::pair("3", 0)}) {
    others.got.clear();
    Process p(nobody, root.path / folder, kThen, small_store());
    Watched target(*p.target, [] {});
    replayed(p, target);
    CHECK(others.got[trace_of(2)] == again);
    CHECK(target.seen.size() == 1);
  }
}

TEST_CASE("what was unsure in a replay is taken where it is known, and passed on where not", "[journal]") {
  const Folder root;
  Backend nobody;
  nobody.dead = true;
  after_kill(root.path, 3);
  Process p(nobody, root.path / "1", kThen, small_store(), false);
  Watched target(*p.target, [] {});
  const std::uint64_t number = p.journal->next_order();
  put(p, Whose::kUnsure, 1, number, kThen);
  put(p, Whose::kUnsure, 9, number + 1, kThen);
  put(p, Whose::kOthers, 8, number + 2, kThen);  // of this process: it is in a queue
  p.commit(kThen);
  Elsewhere others;
  others.traces = {trace_of(8), trace_of(9)};
  ReplayParts parts{*p.journal, *p.link, *p.store, target, 1, at(-1000), Duration::zero()};
  parts.pause = [](Duration) {};
  parts.pass_on = [&](SpanBatch& slice, SourceId, std::uint64_t, std::shared_ptr<Receipt>& written) {
    CHECK(target.seen.size() >= 3);  // all of the earlier process is known
    return others.pass_on(slice, written);
  };
  JournalReplay replay(std::move(parts));
  replay.run(at(kThen), wall(kThen));
  CHECK(others.got[trace_of(9)] == 1);
  CHECK(others.got[trace_of(8)] == 0);
  CHECK(target.seen.size() == 4);
  p.commit(kThen);
  CHECK(p.journal->stats().passed_on == 1);
}

TEST_CASE("a part that waits for long is written again, and lets its old segment go", "[journal]") {
  const Folder root;
  Backend nobody;
  nobody.dead = true;
  Process p(nobody, root.path / "0", 0, small_store());
  auto away = part_of(1);
  p.link->write_part(0, wall(0), away, false);
  p.link->tick(at(0));  // by this test's clock: the link has read the system's
  p.commit(0);
  CHECK(p.journal->stats().for_others == 2);
  const std::uint64_t first = p.journal->extent().segments.back();
  const auto settle = [&](std::int64_t ms) {
    p.take({ms, request_of(5, 1)});
    p.commit(ms);
    p.journal->swept(at(ms));
    p.commit(ms);
  };
  settle(61'000);
  settle(122'000);
  CHECK(p.journal->settled() <= first);  // it holds all since
  p.link->tick(at(59'000));
  p.commit(122'000);
  CHECK(p.journal->stats().for_others == 2);
  p.link->tick(at(123'000));
  settle(123'000);
  CHECK(p.journal->stats().for_others == 3);
  settle(184'000);
  CHECK(p.journal->settled() > first);
  CHECK(p.journal->stats().passed_on == 0);

  // After a kill it is there once.
  const fs::path folder = next_of(root.path, 1);
  {
    Process next(nobody, folder, 185'000, small_store());
    Watched target(*next.target, [] {});
    Elsewhere others;
    others.traces = {trace_of(1)};
    ReplayParts parts{*next.journal, *next.link, *next.store, target, 1, at(-1000), Duration::zero()};
    parts.pass_on = [&](SpanBatch& slice, SourceId, std::uint64_t, std::shared_ptr<Receipt>& written) {
      return others.pass_on(slice, written);
    };
    JournalReplay replay(std::move(parts));
    replay.run(at(185'000), wall(185'000));
    CHECK(others.got[trace_of(1)] == 1);
  }
  away.reset();
  p.commit(185'000);
  CHECK(p.journal->stats().passed_on == 1);
}

}  // namespace tailgate