// SPDX-License-Identifier: Apache-2.0
// Jobs that keep traces after the fact: against a replay, over kills, and at their limits.
#include "daemon/journal/keep_jobs.h"

#include <array>
#include <atomic>
#include <fstream>
#include <thread>

#include "replay_fixture.h"
#include "support/log_lines.h"

namespace tailgate {
namespace {

using namespace test;

std::string dropped(std::uint64_t trace, std::uint64_t first_span, std::uint64_t spans = 1) {
  std::vector<SpanSpec> specs(spans);
  for (SpanSpec& s : specs) {
    s.trace = trace;
    s.id = first_span++;
    s.attributes = {{"http.route", "/health"}};
  }
  return request(specs);
}

JournalOptions retaining() { return {.retain = std::chrono::hours(1)}; }

// A process with jobs. Time stands still unless the test moves it.
struct Keeping : Process {
  std::atomic<std::int64_t> ms{kThen};
  std::unique_ptr<JournalPast> past;
  std::unique_ptr<KeepJobs> jobs;

  Keeping(Backend& backend, const fs::path& folder, JournalOptions with = retaining())
      : Process(backend, folder, kThen, small_store(), true, std::move(with)) {
    past = std::make_unique<JournalPast>(*journal, &budget);
  }
  ~Keeping() {
    if (jobs) jobs->stop();
  }
  KeepParts parts() {
    return {.past = *past,
            .journal = *journal,
            .store = *store,
            .link = *link,
            .budget = &budget,
            .verdict_of = [](const TraceId&) -> std::optional<Decision> { return std::nullopt; },
            .now = [this] { return at(ms); }};
  }
  void start(KeepParts with) {
    jobs = std::make_unique<KeepJobs>(std::move(with));
    jobs->start();
  }
  void start() { start(parts()); }
  std::string begin(std::uint64_t trace, const std::string& reason = "r") const {
    const auto job = jobs->begin({.ids = {id_of_trace(trace)}, .reason = reason});
    REQUIRE(job);
    return *job;
  }
  // Goes on, a tenth of a second at a time, until `done`.
  void until(const std::function<bool()>& done) {
    for (int n = 0; n != 5000 && !done(); ++n) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ms += 100;
      store->sweep(at(ms));
      commit(ms);
    }
    REQUIRE(done());
  }
  KeepStatus end_of(const std::string& job) {
    const auto state = [&] { return jobs->status(job)->state; };
    until([&] { return state() != "waiting" && state() != "running"; });
    return *jobs->status(job);
  }
  void replay() {
    JournalReplay replay({*journal, *link, *store, *target, 1, at(-1000), Duration::zero()});
    replay.run(at(ms), wall(ms));
    replay.tidy(TimePoint::max());
  }
};

}  // namespace

TEST_CASE("a job waits for the end of a replay, and nothing comes twice", "[journal]") {
  const Folder root;
  {
    Backend nobody;
    nobody.dead = true;
    Process first(nobody, root.path / "0", 0, small_store(), true, retaining());
    first.take({0, request_of(1, 1, 2, 2)});  // kept, and not delivered
    first.take({1, dropped(2, 10)});
    first.store->sweep(at(3000));
    first.take({3001, dropped(3, 20)});  // open
    first.commit(3001);
    fs::copy(root.path / "0", root.path / "1", fs::copy_options::recursive);
  }
  Backend backend;
  Keeping p(backend, root.path / "1");
  std::atomic<bool> ready{false};
  KeepParts parts = p.parts();
  parts.ready = [&] { return ready.load(); };
  p.start(std::move(parts));
  std::vector<std::string> jobs;
  for (std::uint64_t trace = 1; trace != 4; ++trace) jobs.push_back(p.begin(trace));
  for (int n = 0; n != 30; ++n) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (const std::string& job : jobs) {
    CHECK(p.jobs->status(job)->state == "waiting");
    CHECK(p.jobs->status(job)->waits_for == "the replay of the journal");
  }
  p.replay();
  ready = true;
  CHECK(p.end_of(jobs[0]).already_kept == 1);
  CHECK(p.end_of(jobs[1]).kept_spans == 1);
  CHECK(p.end_of(jobs[2]).kept_spans == 1);
  CHECK(p.jobs->status(jobs[2])->waits_for.empty());
  p.queue.send(SIZE_MAX);
  CHECK(backend.spans.size() == 3);
  for (const auto& [key, spans] : backend.spans) CHECK(std::set(spans.begin(), spans.end()).size() == spans.size());
}

namespace {

const std::string kKept = id_of_trace(1).hex() + " _kept_after";

fs::path copy_of(const fs::path& root, const std::string& from, const std::string& to) {
  fs::copy(root / from, root / to, fs::copy_options::recursive);
  return root / to;
}

}  // namespace

TEST_CASE("what is kept after the fact outlives a kill until it is delivered", "[journal]") {
  const Folder root;
  Backend nobody;
  nobody.dead = true;
  JournalOptions with = retaining();
  with.retain = std::chrono::seconds(300);
  {
    Keeping p(nobody, root.path / "0", with);
    p.take({p.ms, dropped(1, 1, 2)});
    p.commit(p.ms);
    p.until(
        [&] { return p.store->fate(id_of_trace(1)) == Fate::kNotKept && p.ms > kThen + 70'000; });  // another segment
    p.start();
    const KeepStatus done = p.end_of(p.begin(1, "incident 7"));
    CHECK(done.kept_spans == 2);
    CHECK(done.kept_in_part == 0);
    copy_of(root.path, "0", "at once");
    p.take({p.ms, dropped(1, 9)});  // late, and follows
    p.commit(p.ms);
    copy_of(root.path, "0", "late");
    const std::int64_t began = p.ms;
    p.until([&] { return p.ms > began + 400'000; });
    // What it was kept from has gone long ago; the copy, with the late span, has not.
    CHECK(p.past->find(id_of_trace(1))->spans == 1);
    copy_of(root.path, "0", "old");
    p.queue.send(SIZE_MAX);
    p.commit(p.ms);
    copy_of(root.path, "0", "delivered");
    p.until([&] { return p.ms > began + 900'000; });
    CHECK(p.journal->stats().unsettled == 1);
  }
  for (const auto& [from, spans] : {std::pair("at once", 2), std::pair("late", 3), std::pair("old", 3)}) {
    INFO(from);
    const std::string second = std::string(from) + " again";
    {
      Keeping p(nobody, root.path / from, with);
      p.replay();  // and is killed once more
      CHECK(p.store->fate(id_of_trace(1)) == Fate::kKept);
      p.commit(p.ms);
      copy_of(root.path, from, second);
    }
    Backend backend;
    Keeping p(backend, root.path / second, with);
    p.replay();
    p.until([&] { return p.ms > kThen + 5000; });
    p.queue.send(SIZE_MAX);
    REQUIRE(backend.spans.size() == 1);
    CHECK(backend.spans[kKept].size() == static_cast<std::size_t>(spans));
    CHECK(backend.all.find("tailgate.kept_after") != std::string::npos);
    CHECK(backend.all.find("incident 7") != std::string::npos);
    p.take({p.ms, dropped(1, 20)});
    p.queue.send(SIZE_MAX);
    CHECK(backend.spans[kKept].size() == static_cast<std::size_t>(spans) + 1);
    p.start();
    CHECK(p.end_of(p.begin(1)).already_kept == 1);
  }
  Backend backend;
  Keeping p(backend, root.path / "delivered", with);
  p.replay();
  p.until([&] { return p.ms > kThen + 5000; });
  p.queue.send(SIZE_MAX);
  CHECK(backend.spans.empty());
  CHECK(p.store->fate(id_of_trace(1)) == Fate::kKept);
}

TEST_CASE("what a job had no room for is not sent by a restart, and a restart waits for room", "[journal]") {
  const Folder root;
  Backend nobody;
  nobody.dead = true;
  {
    Keeping p(nobody, root.path / "0");
    for (std::uint64_t trace = 1; trace != 3; ++trace) p.take({p.ms, dropped(trace, trace)});
    p.commit(p.ms);
    p.until([&] { return p.store->fate(id_of_trace(2)) == Fate::kNotKept; });
    p.start();
    const std::size_t queues = p.budget.cap(Holder::kQueues);
    p.budget.charge(Holder::kQueues, queues);
    CHECK(p.end_of(p.begin(2)).not_taken == 1);
    p.budget.release(Holder::kQueues, queues);
    CHECK(p.store->fate(id_of_trace(2)) == Fate::kNotKept);
    CHECK(p.end_of(p.begin(1)).kept_spans == 1);
    p.commit(p.ms);
    copy_of(root.path, "0", "1");
  }
  Backend backend;
  Keeping p(backend, root.path / "1");
  const std::size_t queues = p.budget.cap(Holder::kQueues);
  p.budget.charge(Holder::kQueues, queues);
  int pauses = 0;
  ReplayParts parts{*p.journal, *p.link, *p.store, *p.target, 1, at(-1000), Duration::zero()};
  parts.pause = [&](Duration) {
    if (++pauses != 3) return;
    p.commit(p.ms);
    copy_of(root.path, "1", "2");  // and is killed while it waits
    p.budget.release(Holder::kQueues, queues);
  };
  JournalReplay replay(std::move(parts));
  replay.run(at(p.ms), wall(p.ms));
  CHECK(pauses == 3);
  p.queue.send(SIZE_MAX);
  CHECK(backend.spans.size() == 1);
  CHECK(backend.spans.contains(kKept));
  Backend after;
  Keeping next(after, root.path / "2");
  next.replay();
  next.queue.send(SIZE_MAX);
  CHECK(after.spans.size() == 1);
  CHECK(after.spans.contains(kKept));
}

TEST_CASE("a job says which of its copies the journal could not write", "[journal]") {
  const Folder root;
  Backend backend;
  {
    Process first(backend, root.path / "0", 0, small_store(), true, retaining());
    first.take({0, dropped(1, 10)});
    first.store->sweep(at(3000));
    first.commit(3001);
    fs::copy(root.path / "0", root.path / "1", fs::copy_options::recursive);
  }
  JournalOptions full = retaining();
  full.disk_free_min = std::uint64_t{1} << 60;
  Keeping p(backend, root.path / "1", full);
  p.replay();
  p.start();
  const KeepStatus status = p.end_of(p.begin(1));
  CHECK(status.kept_spans == 1);
  CHECK(status.error ==
        "the journal could not be written: 1 of the traces kept are only in memory until exporters have them");
}

TEST_CASE("spans that come while a job waits for its quota are kept too", "[journal]") {
  const Folder root;
  Backend backend;
  JournalOptions with = retaining();
  with.keep_spans_per_minute = 10;
  Keeping p(backend, root.path / "0", with);
  for (std::uint64_t trace = 1; trace != 4; ++trace) p.take({p.ms, dropped(trace, trace * 100, 10)});
  p.commit(p.ms);
  p.until([&] { return p.store->fate(id_of_trace(3)) == Fate::kNotKept; });
  p.start();
  const std::string first = p.begin(2), second = p.begin(1);
  CHECK(p.end_of(first).kept_spans == 10);  // a minute's worth was saved up
  const auto state = [&] { return p.jobs->status(second)->state; };
  while (state() != "running") std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  CHECK(state() == "running");
  CHECK(p.jobs->status(second)->kept_traces == 0);
  p.take({p.ms, dropped(1, 900)});  // dropped, as the verdict says so far
  p.commit(p.ms);
  p.ms += 60'000;
  CHECK(p.end_of(second).kept_spans == 11);
  // One that waits is cancelled.
  const std::string third = p.begin(3), fourth = p.begin(3);
  p.until([&] { return p.jobs->status(third)->state == "running"; });
  CHECK(p.jobs->cancel(fourth));
  CHECK(p.jobs->status(fourth)->state == "cancelled");
  CHECK(p.jobs->cancel(third));
  CHECK(p.end_of(third).kept_traces == 0);
  CHECK(p.jobs->status(third)->state == "cancelled");
  CHECK_FALSE(p.jobs->cancel(third));
  p.queue.send(SIZE_MAX);
  CHECK(backend.spans.size() == 2);
  CHECK(backend.spans[kKept].size() == 11);
  CHECK(p.jobs->spans_kept() == std::map<std::string, std::uint64_t>{{"r", 21}});
}

TEST_CASE("a job says how many traces were judged before all their spans had come", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  std::uint64_t span = 0;
  for (std::uint64_t n = 0; n != 200; ++n) {
    std::vector<SpanSpec> specs(50);
    for (SpanSpec& s : specs) {
      s.trace = s.id = ++span;
      s.attributes = {{"http.route", "/health"}};
    }
    p.take({p.ms, request(specs)});
    p.commit(p.ms);
  }
  p.until([&] { return p.store->fate(id_of_trace(span)) == Fate::kNotKept; });
  const auto judged_early = [&](std::size_t memory) {
    KeepParts parts = p.parts();
    parts.config.search_memory = memory;
    if (p.jobs) p.jobs->stop();
    p.start(std::move(parts));
    const auto job = p.jobs->begin({.condition = "span_count >= 2", .reason = "r"});
    REQUIRE(job);
    const KeepStatus done = p.end_of(*job);
    CHECK(done.state == "done");
    CHECK(done.bytes > 0);
    return done.judged_early;
  };
  CHECK(judged_early(48 << 20) == 0);
  CHECK(judged_early(1 << 20) > 1000);
}

TEST_CASE("what was kept and reached nobody is sent once more when it is asked for again", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  p.take({p.ms, request_of(1, 1, 2, 2)});
  p.commit(p.ms);
  p.until([&] { return p.store->fate(id_of_trace(1)) == Fate::kKept; });
  p.queue.lose();
  p.start();
  CHECK(p.end_of(p.begin(1)).already_kept == 1);
  const auto again = p.jobs->begin({.ids = {id_of_trace(1)}, .again = true, .reason = "lost"});
  REQUIRE(again);
  CHECK(p.end_of(*again).kept_spans == 2);
  p.queue.send(SIZE_MAX);
  CHECK(backend.spans[kKept].size() == 2);
}

TEST_CASE("what is kept again while it waits in a queue comes back as both after a kill", "[journal]") {
  const Folder root;
  Backend nobody;
  nobody.dead = true;
  {
    Keeping p(nobody, root.path / "0");
    p.take({p.ms, request_of(1, 1, 2, 2)});
    p.commit(p.ms);
    p.until([&] { return p.store->fate(id_of_trace(1)) == Fate::kKept; });
    p.start();
    const auto again = p.jobs->begin({.ids = {id_of_trace(1)}, .again = true, .reason = "lost"});
    REQUIRE(again);
    CHECK(p.end_of(*again).kept_spans == 2);
    p.commit(p.ms);
    copy_of(root.path, "0", "1");
  }
  {
    Keeping p(nobody, copy_of(root.path, "1", "second"));
    p.replay();  // and is killed once more
    p.until([&] { return p.ms > kThen + 5000; });
    copy_of(root.path, "second", "2");
  }
  for (const char* life : {"1", "2"}) {
    INFO(life);
    Backend backend;
    Keeping p(backend, copy_of(root.path, life, std::string(life) + " again"));
    p.replay();
    p.until([&] { return p.ms > kThen + 5000; });
    p.queue.send(SIZE_MAX);
    CHECK(backend.spans.size() == 2);
    CHECK(backend.spans[id_of_trace(1).hex() + " errors"].size() == 2);
    CHECK(backend.spans[kKept].size() == 2);
    CHECK(p.store->fate(id_of_trace(1)) == Fate::kKept);
  }
}

TEST_CASE("a copy that cannot be sent again is said, once a minute", "[journal]") {
  const Folder root;
  {
    Backend nobody;
    Process p(nobody, root.path / "0", kThen, small_store(), true, retaining());
    for (int n = 0; n != 3; ++n) REQUIRE(p.link->write_kept("r", "no OTLP", at(kThen)));
    p.commit(kThen);
    fs::copy(root.path / "0", root.path / "1", fs::copy_options::recursive);
  }
  const LogLines log(LogFormat::kText, LogLevel::kError);
  Backend backend;
  Process p(backend, root.path / "1", kThen, small_store(), false, retaining());
  JournalReplay replay({*p.journal, *p.link, *p.store, *p.target, 1, at(-1000), Duration::zero()});
  replay.run(at(kThen), wall(kThen));
  CHECK(replay.stats().unreplayed_requests == 3);
  REQUIRE(log.all().size() == 1);
  CHECK(log.all()[0].find("a trace that was kept after the fact is not sent again") != std::string::npos);
}

TEST_CASE("the same alert is one job, also where it has no fingerprint", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  KeepParts parts = p.parts();
  parts.config.alerts = {{"Slow", "root.service == \"{service}\"", std::chrono::minutes(10), 500}};
  KeepJobs jobs(std::move(parts));
  const auto alert = [](const std::string& service, const std::string& fingerprint) {
    return Alert{"Slow", {{"alertname", "Slow"}, {"service", service}}, fingerprint, 1'700'000'000'000'000'000};
  };
  CHECK(*jobs.begin_for(alert("a", "")) == "1");
  CHECK(*jobs.begin_for(alert("b", "")) == "2");
  CHECK(*jobs.begin_for(alert("a", "")) == "1");
  CHECK(*jobs.begin_for(alert("a", "f")) == "3");
  CHECK(*jobs.begin_for(alert("c", "f")) == "3");
}

TEST_CASE("a search ends at its time or its bytes, keeps what it has found, and says so", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  for (std::uint64_t trace = 1; trace != 21; ++trace) {
    p.take({p.ms, dropped(trace, trace)});
    p.commit(p.ms);
  }
  p.until([&] { return p.store->fate(id_of_trace(20)) == Fate::kNotKept; });
  const std::string what = GENERATE("nothing", "bytes", "time");
  KeepParts parts = p.parts();
  if (what == "bytes") parts.config.search_bytes = 500;
  if (what == "time") parts.config.search_time = Duration::zero();
  p.start(std::move(parts));
  const auto job = p.jobs->begin({.condition = "span_count >= 1", .reason = "r"});
  REQUIRE(job);
  const KeepStatus done = p.end_of(*job);
  CHECK(done.state == "done");
  CHECK(done.request.kind == "condition");
  CHECK(done.cut == (what == "nothing" ? "" : "keep.search_" + what));
  if (what == "nothing") CHECK(done.kept_traces == 20);
  if (what == "bytes") CHECK((done.kept_traces > 0 && done.kept_traces < 20));
  if (what == "time") CHECK(done.kept_traces == 0);
}

TEST_CASE("64 jobs may wait, and 200 are remembered", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  p.jobs = std::make_unique<KeepJobs>(p.parts());
  const std::string first = p.begin(1);
  for (std::size_t n = 1; n != KeepJobs::kWaitingMax; ++n) p.begin(1);
  const auto more = [&] { return p.jobs->begin({.ids = {id_of_trace(1)}, .reason = "r"}); };
  REQUIRE_FALSE(more());
  CHECK(more().error().kind == ErrorKind::kRefused);
  const std::string last = p.jobs->jobs().front().job;
  CHECK(p.jobs->cancel(last));  // and makes room
  const std::string next = p.begin(1);
  CHECK_FALSE(more());
  // Those that have ended are forgotten first.
  CHECK(p.jobs->cancel(next));
  for (std::size_t n = 0; n != KeepJobs::kRememberedMax; ++n) CHECK(p.jobs->cancel(p.begin(1)));
  CHECK(p.jobs->jobs().size() == KeepJobs::kRememberedMax);
  CHECK(p.jobs->status(first)->state == "waiting");
  CHECK_FALSE(p.jobs->status(last));
  p.jobs->start();
  CHECK(p.end_of(first).not_found == 1);
}

TEST_CASE("in a cluster the members divide the limit of each job", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  KeepParts parts = p.parts();
  parts.config.alerts = {{"Slow", "duration > 1s", std::chrono::minutes(10), 500}};
  parts.members = [] { return std::size_t{3}; };
  KeepJobs jobs(std::move(parts));
  const auto limit = [&] { return jobs.jobs().front().request.limit; };
  REQUIRE(jobs.begin_for({"Slow", {{"alertname", "Slow"}}, "f", wall(0)}));
  CHECK(limit() == 167);
  CHECK(jobs.jobs().front().request.kind == "alert");
  REQUIRE(jobs.begin({.condition = "duration > 1s", .limit = 100, .reason = "r"}));
  CHECK(limit() == 34);
  REQUIRE(jobs.begin({.condition = "duration > 1s", .reason = "r"}));
  CHECK(limit() == 334);
  REQUIRE(jobs.begin({.condition = "duration > 1s", .limit = 1, .reason = "r"}));
  CHECK(limit() == 1);
}

TEST_CASE("triggers that several members have at the same time are one job of each", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  constexpr std::uint64_t kSecond = 1'000'000'000, kMinute = 60 * kSecond;
  std::array<std::unique_ptr<KeepJobs>, 3> members;
  std::vector<std::pair<std::size_t, std::uint64_t>> told;  // by whom, of when
  for (std::size_t i = 0; i != members.size(); ++i) {
    KeepParts parts = p.parts();
    parts.config.around = {{"burst"}, "span_count >= 1", std::chrono::minutes(2), std::chrono::minutes(1), 1000};
    parts.members = [] { return std::size_t{3}; };
    parts.tell_others = [&told, i](std::uint64_t when) { told.emplace_back(i, when); };
    members[i] = std::make_unique<KeepJobs>(std::move(parts));
  }
  const auto tick = [&](std::uint64_t now) {
    for (const auto& member : members) member->tick(now);
  };
  const auto deliver = [&] {
    for (const auto& [by, when] : std::exchange(told, {})) {
      for (std::size_t i = 0; i != members.size(); ++i) {
        if (i != by) CHECK(members[i]->triggered_elsewhere(when));
      }
    }
  };
  const std::uint64_t when = wall(0);
  members[0]->triggered(when + kSecond);
  members[1]->triggered(when);
  members[1]->triggered(when + kMinute / 2);
  tick(when + kSecond);
  CHECK(told.size() == 2);
  deliver();
  members[2]->triggered(when + kMinute / 2);  // of which all know
  tick(when + kMinute - 1);
  CHECK(told.empty());
  for (const auto& member : members) CHECK(member->jobs().empty());
  members[2]->triggered(when + kMinute + 1);  // a trigger of its own, seen before the end of the first
  tick(when + kMinute + 2);
  for (const auto& member : members) {
    REQUIRE(member->jobs().size() == 1);
    const KeepRequest request = member->jobs().front().request;
    CHECK(request.kind == "around");
    CHECK(request.reason == "around burst");
    CHECK(request.limit == 334);
    CHECK(request.from_unix_ns == when - 2 * kMinute);
    CHECK(request.to_unix_ns == when + kMinute);
  }
  tick(when + kMinute + kSecond);
  CHECK(told == std::vector{std::pair(std::size_t{2}, when + kMinute + 1)});
  deliver();
  CHECK(members[0]->triggered_elsewhere(when + kMinute / 2));  // late, of the job that has begun
  tick(when + 10 * kMinute);
  tick(when + 20 * kMinute);
  CHECK(told.empty());
  for (const auto& member : members) {
    REQUIRE(member->jobs().size() == 2);
    CHECK(member->jobs().front().request.to_unix_ns == when + 2 * kMinute + 1);
  }
  KeepJobs without(p.parts());
  CHECK_FALSE(without.triggered_elsewhere(when));
}

TEST_CASE("a trigger that another member tells of is believed as far as the own clock allows", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  constexpr std::uint64_t kMinute = 60'000'000'000;
  KeepParts parts = p.parts();
  parts.config.around = {{"burst"}, "span_count >= 1", std::chrono::minutes(2), std::chrono::minutes(1), 1000};
  KeepJobs jobs(std::move(parts));
  const std::uint64_t now = wall(0);
  jobs.tick(now);
  CHECK(jobs.triggered_elsewhere(INT64_MAX));
  jobs.tick(now + kMinute);
  REQUIRE(jobs.jobs().size() == 1);
  CHECK(jobs.jobs().front().request.to_unix_ns == now + kMinute);
  CHECK(jobs.triggered_elsewhere(1));
  jobs.triggered(now + kMinute + 1);  // and hides no later one
  jobs.tick(now + 3 * kMinute);
  jobs.tick(now + 4 * kMinute);
  REQUIRE(jobs.jobs().size() == 2);
  CHECK(jobs.jobs().front().request.to_unix_ns == now + 2 * kMinute + 1);
}

TEST_CASE("the memory of jobs is charged, and where there is none they wait or keep nothing", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  p.take({p.ms, dropped(1, 1)});
  p.commit(p.ms);
  p.until([&] { return p.store->fate(id_of_trace(1)) == Fate::kNotKept; });
  p.start();
  const std::size_t traces = p.budget.cap(Holder::kTraces), requests = p.budget.cap(Holder::kRequests);
  p.budget.charge(Holder::kTraces, traces);
  const auto job = p.jobs->begin({.condition = "span_count >= 1", .reason = "r"});
  REQUIRE(job);
  p.until([&] { return p.jobs->status(*job)->waits_for == "memory"; });
  CHECK(p.jobs->status(*job)->state == "running");
  p.budget.release(Holder::kTraces, traces);
  p.budget.charge(Holder::kRequests, requests / 2);
  const KeepStatus short_of_it = p.end_of(*job);
  CHECK(short_of_it.waits_for.empty());
  CHECK(short_of_it.found == 1);
  CHECK(short_of_it.not_taken == 1);
  CHECK(short_of_it.kept_traces == 0);
  p.budget.release(Holder::kRequests, requests / 2);
  CHECK(p.end_of(p.begin(1)).kept_traces == 1);
  CHECK(p.budget.used(Holder::kRequests) == 0);
  CHECK(p.budget.used(Holder::kTraces) < traces / 8);
}

TEST_CASE("a search takes less memory where there is less", "[journal]") {
  ByteBudget budget{ByteBudget::Caps{0, 80 << 20, 0, 0, 0}};
  Charge charge(budget, Holder::kTraces);
  CHECK(take_memory(charge, 48 << 20) == 48 << 20);
  CHECK(take_memory(charge, 48 << 20) == 12 << 20);  // an eighth is for others
  CHECK(charge.bytes() == 60 << 20);
  CHECK(budget.used(Holder::kTraces) == 60 << 20);
  budget.charge(Holder::kTraces, 10 << 20);
  CHECK(take_memory(charge, 48 << 20) == 0);
  Charge nobodys;
  CHECK(take_memory(nobodys, 48 << 20) == 48 << 20);
}

TEST_CASE("a trace of which a part cannot be read is kept, and counted as such", "[journal]") {
  const Folder root;
  Backend backend;
  Keeping p(backend, root.path / "0");
  for (std::uint64_t span = 1; span != 3; ++span) {
    p.take({p.ms, dropped(1, span)});
    p.commit(p.ms);
  }
  const std::uint64_t segment = p.journal->extent().segments.back();
  p.until([&] { return p.store->fate(id_of_trace(1)) == Fate::kNotKept; });
  {
    std::fstream file(requests_path(root.path / "0", segment), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);  // in the first block
    file.write("damage", 6);
  }
  p.start();
  const KeepStatus done = p.end_of(p.begin(1));
  CHECK(done.kept_traces == 1);
  CHECK(done.kept_spans == 1);
  CHECK(done.kept_in_part == 1);
}

}  // namespace tailgate
