// SPDX-License-Identifier: Apache-2.0
// Random runs of a daemon's inside that are killed, at any step and in the middle of a replay too, against one that
// lives: the same spans are delivered, of the same traces, in the name of the same policies. Time is a number.
// REPLAY_RUNS sets how many.
#include "replay_fixture.h"

namespace tailgate {
namespace {

using namespace test;

std::vector<Sent> traffic(test::Random& r, const std::vector<std::pair<std::int64_t, std::int64_t>>& down) {
  std::vector<Sent> out;
  std::int64_t ms = 0;
  std::uint64_t span = 0;
  for (int n = 0; n != 150; ++n) {
    ms += static_cast<std::int64_t>(r.below(60));
    for (const auto& [from, to] : down) {
      if (ms >= from && ms < to) ms = to;
    }
    std::vector<test::SpanSpec> specs;
    for (std::uint64_t k = 1 + r.below(4); k != 0; --k) {
      test::SpanSpec s;
      s.trace = 1 + static_cast<std::uint64_t>(n) / 4 + r.below(6);
      s.id = ++span;
      s.parent = r.one_in(3) ? 0 : 1;
      s.status = r.one_in(12) ? 2 : 0;
      if (r.one_in(30)) s.attributes = {{"http.route", "/health"}};
      specs.push_back(s);
    }
    out.push_back({ms, test::request(specs, "service-" + std::to_string(r.below(3)))});
  }
  return out;
}

struct Outcome {
  Backend backend;
  std::uint64_t replayed = 0;
};

// Kills at `kills` (index of the request before which it happens, and for how long it is gone).
Outcome run(const fs::path& root, const std::vector<Sent>& sent, const std::map<std::size_t, std::int64_t>& kills,
            const TraceStoreOptions& options, std::uint64_t seed, bool journal) {
  Outcome out;
  test::Random r(seed);
  int life = 0;
  const auto folder = [&] { return journal ? root / std::to_string(life) : fs::path(); };
  auto process = std::make_unique<Process>(out.backend, folder(), 0, options);
  const auto kill = [&] {
    const fs::path old = folder();
    ++life;
    fs::copy(old, folder(), fs::copy_options::recursive);
    out.backend.dead = true;  // and what the old process does from here on is not seen
  };
  const auto begin = [&](std::int64_t ms) {
    for (bool again = true; again;) {
      again = false;
      process = std::make_unique<Process>(out.backend, folder(), ms, options);
      out.backend.dead = false;
      if (!process->journal->has_past()) return;
      long left = r.one_in(3) ? static_cast<long>(r.below(60)) : -1;  // killed in the middle of the replay
      Watched target(*process->target, [&] {
        process->queue.send(r.below(3));
        if (r.one_in(4)) process->commit(ms);
        if (left < 0 || left-- != 0) return;
        kill();
        again = true;
      });
      JournalReplay replay(
          {*process->journal, *process->link, *process->store, target, 1, at(-1000), Duration::zero()});
      replay.run(at(ms), wall(ms));
      CHECK(replay.stats().unreplayed_requests == 0);
      out.replayed += replay.stats().requests;
      // Until they are decided, traces follow the verdicts of then.
      if (!again) process->store->sweep(at(ms));
      if (!again) replay.tidy(TimePoint::max());
    }
  };
  for (std::size_t n = 0; n != sent.size(); ++n) {
    const auto gone = kills.find(n);
    if (gone != kills.end() && journal) {
      kill();
      begin(sent[n - 1].ms + gone->second);
    }
    process->take(sent[n]);
    process->queue.send(r.below(3));
    process->commit(sent[n].ms);
    if (r.one_in(5)) process->queue.send(r.below(3));  // and nobody notes it, if a kill comes now
  }
  const std::int64_t end = sent.back().ms + 60'000;
  process->store->sweep(at(end));
  process->queue.send(SIZE_MAX);
  process->commit(end);
  return out;
}

}  // namespace

TEST_CASE("a daemon that is killed decides and delivers what one that lives does", "[journal]") {
  const char* set = std::getenv("REPLAY_RUNS");
  const std::uint64_t runs = set ? std::strtoull(set, nullptr, 10) : 60;
  const char* first = std::getenv("REPLAY_SEED");
  const fs::path root = fs::temp_directory_path() / ("tailgate-replay-" + std::to_string(::getpid()));
  std::uint64_t replayed = 0, traces = 0, again = 0;
  setup_log({.level = LogLevel::kError, .sink = {}});
  for (std::uint64_t seed = first ? std::strtoull(first, nullptr, 10) : 1, done = 0; done != runs; ++seed, ++done) {
    INFO("seed " << seed);
    fs::remove_all(root);
    fs::create_directories(root);
    test::Random r(seed);
    TraceStoreOptions options;
    options.shards = 1 + r.below(3);
    options.limits.decision_wait = std::chrono::milliseconds(300 + r.below(1500));
    if (r.one_in(2)) options.limits.decision_wait_after_root = std::chrono::milliseconds(50 + r.below(200));
    if (r.one_in(3)) options.limits.trace_spans_max = static_cast<std::uint32_t>(3 + r.below(10));
    options.limits.cache_bytes = 1 << 20;
    options.pool_bytes = 64 << 20;
    const std::vector<Sent> sent = traffic(r, {});
    std::map<std::size_t, std::int64_t> kills;
    for (std::uint64_t n = 1 + r.below(3); n != 0; --n) kills[1 + r.below(sent.size() - 1)] = 0;

    const Outcome lives = run(root, sent, kills, options, seed, false);
    const Outcome dies = run(root, sent, kills, options, seed, true);
    for (const auto& [key, spans] : dies.backend.spans) {
      INFO(key << ", " << spans.size() << " spans");
      CHECK(lives.backend.spans.contains(key));
    }
    for (const auto& [key, spans] : lives.backend.spans) {
      INFO(key);
      const auto at = dies.backend.spans.find(key);
      REQUIRE(at != dies.backend.spans.end());
      CHECK(std::set(spans.begin(), spans.end()) == std::set(at->second.begin(), at->second.end()));
      again += at->second.size() - spans.size();
    }
    replayed += dies.replayed;
    traces += lives.backend.spans.size();
  }
  CHECK(replayed > runs * 10);
  WARN(runs << " runs, " << traces << " traces kept, " << replayed << " requests replayed, " << again
            << " spans came again");
  fs::remove_all(root);
}

TEST_CASE("a replay waits for a file that cannot be read, and for memory", "[journal]") {
  const Folder root;
  const fs::path folder = after_kill(root.path, 60);
  Backend backend;
  Process p(backend, folder, kThen, small_store());
  const std::uint64_t lost = p.journal->extent().segments.at(1);
  REQUIRE(p.journal->extent().segments.size() >= 3);
  const fs::path path = requests_path(folder, lost), aside = root.path / "aside";
  fs::rename(path, aside);
  fs::create_directory(path);
  Watched target(*p.target, [] {});
  const bool no_room = GENERATE(false, true);
  if (no_room) target.refuses = 6000;
  int unread = 0;
  JournalReplay* of = nullptr;
  ReplayParts parts{*p.journal, *p.link, *p.store, target, 1, at(-1000), Duration::zero()};
  parts.pause = [&](Duration) {
    if (!of->stats().unread) return;
    // Nothing is settled meanwhile, or deleted.
    p.journal->swept(at(kThen + 3'600'000));
    p.commit(kThen);
    CHECK(p.journal->settled() <= lost);
    if (++unread != 3) return;
    fs::remove(path);
    fs::rename(aside, path);
  };
  JournalReplay replay(parts);
  of = &replay;
  replay.run(at(kThen), wall(kThen));
  CHECK(unread == 3);
  CHECK(replay.done());
  CHECK(replay.stats().requests == 60);
  CHECK(replay.stats().unreplayed_requests == 0);
  CHECK(target.seen.size() == 60);
}

TEST_CASE("what came while the wall clock was ahead does not move the store's clock", "[journal]") {
  const Folder root;
  Backend backend;
  Process p(backend, after_kill(root.path, 10, 3'600'000), kThen, small_store());
  Watched target(*p.target, [] {});
  JournalReplay replay({*p.journal, *p.link, *p.store, target, 1, at(-1000), Duration::zero()});
  replay.run(at(kThen), wall(kThen));
  CHECK(replay.stats().requests == 10);
  CHECK(target.latest >= at(kThen));
  CHECK(target.latest < at(kThen + 60'000));
}

TEST_CASE("whatever the wall clock said, requests stay until their traces are decided and delivered", "[journal]") {
  const Folder root;
  constexpr std::int64_t kHour = 3'600'000;
  // When they came: before the clock was put back, by an hour or by a few seconds in between; longer ago than a replay
  // remembers.
  const auto came = GENERATE(
      +[](std::int64_t n) { return kHour + n; }, +[](std::int64_t n) { return n < 30 ? 4000 + n : n; },
      +[](std::int64_t n) { return n - 8 * 24 * kHour; });
  {
    Backend nobody;
    Process first(nobody, root.path / "0", came(0), small_store());
    for (std::int64_t n = 0; n != 60; ++n) {
      const auto id = static_cast<std::uint64_t>(n) + 1;
      const std::string otlp = request_of(id, id, 1, 2);
      JournalRequest request;
      request.number = first.journal->next_order();
      request.order = first.journal->next_order();
      request.arrival_unix_ns = wall(came(n));
      request.otlp = otlp;
      first.journal->append(request, at(came(n)), {});
      first.commit(came(n));
    }
    fs::copy(root.path / "0", root.path / "1", fs::copy_options::recursive);
  }
  Backend backend;
  Process p(backend, root.path / "1", kThen, small_store());
  const std::uint64_t oldest = p.journal->replay_from();
  const auto tick = [&](std::int64_t ms) {
    p.store->sweep(at(ms));
    p.commit(ms);
  };
  Watched target(*p.target, [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // so that they come later than the journal was opened
    p.commit(kThen);
    CHECK(p.journal->settled() <= oldest);
  });
  JournalReplay replay({*p.journal, *p.link, *p.store, target, 1, at(-1000), Duration::zero()});
  replay.run(at(kThen), wall(kThen));
  replay.tidy(TimePoint::max());
  CHECK(replay.stats().requests == 60);
  for (const std::int64_t ms : {1, 2000, 60'000, 120'000}) tick(kThen + ms);
  CHECK(p.journal->settled() <= oldest);  // they are decided, and at no exporter
  p.queue.send(SIZE_MAX);
  tick(kThen + 180'000);
  CHECK(p.journal->settled() > oldest);
  CHECK(backend.spans.size() == 60);
}

TEST_CASE("what was decided while no file of requests could be made counts after a kill", "[journal]") {
  const Folder root;
  Backend nobody, backend, after;
  nobody.dead = true;
  {
    Process p(nobody, root.path / "0", 0, small_store());
    for (std::uint64_t n = 1; n != 4; ++n) {
      p.take({static_cast<std::int64_t>(n), request_of(n, n, 1, 2)});
      p.commit(static_cast<std::int64_t>(n));
    }
    fs::copy(root.path / "0", root.path / "1", fs::copy_options::recursive);
  }
  {
    Process p(backend, root.path / "1", kThen, small_store(), false);
    JournalReplay replay({*p.journal, *p.link, *p.store, *p.target, 1, at(-1000), Duration::zero()});
    replay.run(at(kThen), wall(kThen));
    p.store->sweep(at(kThen + 1));
    p.queue.send(SIZE_MAX);
    p.commit(kThen + 1);
    CHECK(backend.spans.size() == 3);
    fs::copy(root.path / "1", root.path / "2", fs::copy_options::recursive);
  }
  // As if the disk had been full when that process began: it has ends alone.
  const std::uint64_t last = segment_numbers(root.path / "2")->back();
  REQUIRE(fs::remove(requests_path(root.path / "2", last)));
  REQUIRE(fs::exists(ends_path(root.path / "2", last)));
  JournalOptions with;
  with.disk_free_min = GENERATE(std::uint64_t{0}, std::uint64_t{1} << 60);  // and when the next one begins
  Process p(after, root.path / "2", kThen + 10, small_store(), false, with);
  JournalReplay replay({*p.journal, *p.link, *p.store, *p.target, 1, at(-1000), Duration::zero()});
  replay.run(at(kThen + 10), wall(kThen + 10));
  CHECK(replay.stats().requests == 3);
  p.store->sweep(at(kThen + 20));
  p.queue.send(SIZE_MAX);
  CHECK(after.spans.empty());
}

TEST_CASE("new requests wait for no disk when a replay ends, and none is taken twice", "[journal]") {
  const Folder root;
  Backend backend;
  Process p(backend, after_kill(root.path, 3), kThen, small_store(), false);
  Watched target(*p.target, [] {});
  std::uint64_t number = 100;
  std::set<std::string> sent;
  const auto come = [&](RequestLog::Way wanted) {
    const RequestLog::Turn turn(p.link.get());
    REQUIRE(turn.way() == wanted);
    ++number;
    const std::string otlp = request_of(number / 2, number, 1, 2);
    SpanBatch batch;
    batch.hash_seed = target.hash_seed();
    batch.request = turn.number();
    REQUIRE(scan_request(otlp, *target.plan(), batch, [](SpanBatch&) { return false; }).ok);
    sent.emplace(batch.spans[0].data, batch.spans[0].size);
    if (!turn.later()) target.take(batch, 0, at(kThen));
    REQUIRE(turn.write(0, wall(kThen), otlp, {}) != nullptr);
  };
  for (int n = 0; n != 3; ++n) come(RequestLog::Way::kWriteAlone);
  int pauses = 0;
  ReplayParts parts{*p.journal, *p.link, *p.store, target, 1, at(-1000), Duration::zero()};
  parts.pause = [&](Duration) {  // the disk hangs
    come(RequestLog::Way::kWrite);
    if (++pauses == 20) p.commit(kThen);
  };
  JournalReplay replay(parts);
  replay.run(at(kThen), wall(kThen));
  CHECK(pauses == 20);
  CHECK(p.link->live());
  come(RequestLog::Way::kWrite);
  CHECK(target.seen.size() == 3 + sent.size());
  for (const auto& [span, times] : target.seen) CHECK(times == 1);

  // What came back late is settled late.
  const std::uint64_t last = p.journal->extent().segments.back();
  p.commit(kThen);
  come(RequestLog::Way::kWrite);
  p.commit(kThen + 61'000);
  CHECK(p.journal->extent().segments.back() > last);
  p.journal->swept(at(kThen + 3'600'000));
  p.commit(kThen + 61'000);
  CHECK(p.journal->settled() <= last);

  // And when it is killed now, all of it comes back.
  backend.dead = true;
  fs::copy(root.path / "1", root.path / "2", fs::copy_options::recursive);
  Backend after;
  Process next(after, root.path / "2", kThen, small_store());
  JournalReplay again({*next.journal, *next.link, *next.store, *next.target, 1, at(-1000), Duration::zero()});
  again.run(at(kThen), wall(kThen));
  next.store->sweep(at(kThen + 60'000));
  next.queue.send(SIZE_MAX);
  std::set<std::string> delivered;
  for (const auto& [key, spans] : after.spans) {
    for (const std::string& span : spans) delivered.insert(span.substr(0, 20));
  }
  for (const std::string& span : sent) CHECK(delivered.contains(span.substr(0, 20)));
}

TEST_CASE("verdicts of then are charged until they are let go of", "[journal]") {
  const Folder root;
  fs::path folder;
  {
    Backend nobody;
    nobody.dead = true;
    Process first(nobody, root.path / "0", 0, small_store());
    for (std::uint64_t n = 1; n != 50; ++n) {
      first.take({static_cast<std::int64_t>(n) * 10, request_of(n, n)});
      first.commit(static_cast<std::int64_t>(n) * 10);
    }
    first.store->sweep(at(4000));
    first.commit(500);
    fs::copy(root.path / "0", root.path / "1", fs::copy_options::recursive);
  }
  Backend backend;
  Process p(backend, root.path / "1", kThen, small_store());
  ReplayParts parts{*p.journal, *p.link, *p.store, *p.target, 1, at(-1000), Duration::zero(), &p.budget};
  JournalReplay replay(parts);
  replay.run(at(kThen), wall(kThen));
  CHECK(p.budget.used(Holder::kTraces) >= 49 * 60);
  CHECK(p.store->fate(test::id_of_trace(1)) == Fate::kNotKept);
  replay.tidy(TimePoint::max());
  p.store->sweep(at(kThen + 60'000));
  CHECK(p.budget.used(Holder::kTraces) < 49 * 60);
}

}  // namespace tailgate
