// SPDX-License-Identifier: Apache-2.0
// Jobs that keep traces after the fact: against a replay, over kills, and at their limits.
#include "daemon/journal/keep_jobs.h"

#include <thread>

#include "replay_fixture.h"

namespace tailgate {
namespace {

using namespace test;

TraceId id_of(std::uint64_t trace) { return TraceId::from(trace_id(trace).data()); }

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
  std::int64_t ms = kThen;
  std::unique_ptr<JournalPast> past;
  std::unique_ptr<KeepJobs> jobs;

  Keeping(Backend& backend, const fs::path& folder, JournalOptions with = retaining())
      : Process(backend, folder, kThen, small_store(), true, std::move(with)) {
    past = std::make_unique<JournalPast>(*journal);
  }
  ~Keeping() {
    if (jobs) jobs->stop();
  }
  KeepParts parts() {
    return {.past = *past,
            .journal = *journal,
            .store = *store,
            .tables = policies->tables,
            .exporters = 1,
            .verdict_of = [](const TraceId&) -> std::optional<Decision> { return std::nullopt; },
            .now = [this] { return at(ms); }};
  }
  void start(KeepParts with) {
    jobs = std::make_unique<KeepJobs>(std::move(with));
    jobs->start();
  }
  void start() { start(parts()); }
  std::string begin(std::uint64_t trace, const std::string& reason = "r") const {
    const auto job = jobs->begin({.ids = {id_of(trace)}, .reason = reason});
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

}  // namespace tailgate
