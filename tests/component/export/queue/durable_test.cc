// SPDX-License-Identifier: Apache-2.0
// The durable queue on a real disk: what a process that dies leaves, and what the next one makes of it.
#include <future>

#include "component/export/export_fixture.h"
#include "export/export_runner.h"
#include "export/queue/durable_store.h"
#include "export/queue/kept_record.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

std::string file_yaml(const TempDir& dir, const std::string& path, const std::string& more = "") {
  return "file:\n  path: " + path + "\n  retry_on_failure: {initial_interval: 20ms, max_interval: 20ms}\n" +
         "  sending_queue: {directory: " + dir.at("queue") + ", batch: {flush_timeout: 10ms}" + more + "}\n";
}

// Fails commits as long as it is told to.
class Failing final : public KeptLog {
 public:
  Failing(std::unique_ptr<KeptLog> inner, std::atomic<bool>& fails) : inner_(std::move(inner)), fails_(fails) {}
  Result<Damage> open(const Each& each) override { return inner_->open(each); }
  Result<void> commit(const Writes& writes) override {
    if (fails_) return fail(ErrorKind::kIo, "no space left on device");
    return inner_->commit(writes);
  }
  Result<std::string> read(std::uint64_t number) override { return inner_->read(number); }

 private:
  std::unique_ptr<KeptLog> inner_;
  std::atomic<bool>& fails_;
};

// Calls `put` with the last record of each commit that was written, on the committing thread.
class Watched final : public KeptLog {
 public:
  Watched(std::unique_ptr<KeptLog> inner, std::function<void(ByteView)> put)
      : inner_(std::move(inner)), put_(std::move(put)) {}
  Result<Damage> open(const Each& each) override { return inner_->open(each); }
  Result<void> commit(const Writes& writes) override {
    Result<void> result = inner_->commit(writes);
    if (result && !writes.puts.empty()) put_(writes.puts.back().second);
    return result;
  }
  Result<std::string> read(std::uint64_t number) override { return inner_->read(number); }

 private:
  std::unique_ptr<KeptLog> inner_;
  std::function<void(ByteView)> put_;
};

// Takes everything while it is up.
class Fake final : public BlockingExporter {
 public:
  explicit Fake(std::atomic<bool>& up) : up_(up) {}
  Result<void> start() override { return {}; }

 private:
  SendResult write(const Batch& /*batch*/) override {
    return up_ ? SendResult::done() : SendResult::retry(FailReason::kUnavailable, "down");
  }

  std::atomic<bool>& up_;
};

// Two exporters that share a folder: `well`, whose backend is up, and `dead`, whose backend is not.
struct TwoBackends {
  TempDir dir;
  std::atomic<bool> full, up{true}, down{false};
  std::shared_ptr<DurableStore> store;
  std::unique_ptr<ExportRunner> well, dead;

  explicit TwoBackends(bool disk_full) : full(disk_full) {
    SendQueueOptions options;
    options.flush_timeout = 1ms;
    options.retry.initial_interval = 20ms;
    options.durable = {.directory = "d", .memory_max = 1 << 20, .window_max = 1 << 20};
    const std::vector<DurableStore::Member> members = {{"well", options.durable}, {"dead", options.durable}};
    store =
        std::make_shared<DurableStore>(members, std::make_unique<Failing>(make_kept_log(dir.at("q"), 64 << 20), full));
    const auto runner = [&](const char* name, std::atomic<bool>& takes, std::size_t index) {
      auto made = std::make_unique<ExportRunner>(name, std::make_unique<Fake>(takes), options, nullptr,
                                                 DurableMembership{store, index});
      REQUIRE(made->start());
      return made;
    };
    well = runner("well", up, 0);
    dead = runner("dead", down, 1);
  }
  void push(int count, std::size_t bytes) {
    const std::string name(bytes, 'n');
    for (int n = 0; n < count; ++n) store->push(kept(static_cast<std::uint8_t>(n % 255), 1, name), 0b11);
  }
  bool well_has(std::uint64_t spans) const {
    for (int i = 0; i < 100 && well->stats().sent_spans < spans; ++i) std::this_thread::sleep_for(10ms);
    return well->stats().sent_spans == spans;
  }
};

std::vector<DurableStore::Member> one_member() { return {{"x", {.directory = "d"}}}; }

}  // namespace

TEST_CASE("kept traces that a backend did not take are there after a restart, and go to it then", "[export]") {
  TempDir dir;
  {
    Rig rig(file_yaml(dir, "/dev/full"));  // takes nothing
    for (std::uint8_t id = 1; id <= 50; ++id) rig.push(kept(id, 2));
    REQUIRE(rig.eventually([&] { return rig.failures(FailReason::kIo) > 0; }));
    rig.drain(10ms);
    const auto stats = rig.exporters->stats_of(0);
    CHECK(stats.queued_spans == 100);
    CHECK(rig.dropped(DropReason::kShutdown) == 0);
  }
  {
    Rig rig(file_yaml(dir, dir.at("kept.json")));
    REQUIRE(rig.sent(100));
    REQUIRE(rig.eventually([&] { return rig.exporters->stats_of(0).durable_bytes == 0; }));
    const auto stats = rig.exporters->stats_of(0);
    CHECK(stats.routed_spans == 100);
    CHECK(stats.queued_spans == 0);
    rig.drain(1s);
  }
  Rig third(file_yaml(dir, dir.at("kept.json")));
  CHECK(third.exporters->stats_of(0).routed_spans == 0);
}

TEST_CASE("a queue larger than its window is read back from the disk in order", "[export]") {
  TempDir dir;
  const std::string big(100'000, 'n');
  {
    Rig rig(file_yaml(dir, "/dev/full", ", max_bytes: 200MiB"), 4 << 20);  // a window of 2 MiB
    for (int n = 0; n < 400; ++n) rig.push(kept(static_cast<std::uint8_t>(n % 255), 1, big));
    rig.drain(10ms);
    CHECK(rig.exporters->stats_of(0).queued_spans == 400);
  }
  Rig rig(file_yaml(dir, dir.at("kept.json"), ", max_bytes: 200MiB"), 4 << 20);
  REQUIRE(rig.sent(400));
  std::ifstream file(dir.at("kept.json"));
  std::string line;
  for (int n = 0; n < 400; ++n) {
    REQUIRE(std::getline(file, line));
    TraceId id;
    id.bytes.fill(static_cast<char>(n % 255));
    INFO(n);
    REQUIRE(line.find(id.hex()) != std::string::npos);
  }
}

TEST_CASE("two processes cannot have the same queue", "[export]") {
  TempDir dir;
  Rig rig(file_yaml(dir, dir.at("kept.json")));
  ByteBudget budget({0, 0, 1 << 20, 0});
  auto document = load_config_text(file_yaml(dir, dir.at("other.json")), "t.yaml");
  auto second = Exporters::make(document->root, budget, {.version = "test", .seed = 1});
  const auto started = second->start();
  REQUIRE_FALSE(started);
  CHECK(started.error().text.find("another process has this queue open") != std::string::npos);
}

TEST_CASE("a disk that is full for a while loses nothing and is written again", "[export]") {
  TempDir dir;
  std::atomic<bool> full{true};
  const auto make = [&] {
    return std::make_unique<DurableStore>(one_member(),
                                          std::make_unique<Failing>(make_kept_log(dir.at("q"), 64 << 20), full));
  };
  {
    auto store = make();
    REQUIRE(store->start());
    for (std::uint8_t id = 1; id <= 20; ++id) store->push(kept(id), 1);
    for (int i = 0; i < 1000 && store->stats(0).write_errors < 2; ++i) std::this_thread::sleep_for(10ms);
    CHECK(store->stats(0).write_errors >= 2);
    const auto first = store->next(0);  // sending goes on
    REQUIRE(first);
    store->done(0, first->number);
    full = false;
    store->stop();
    CHECK(store->stats(0).waiting_spans == 19);
  }
  auto store = make();
  REQUIRE(store->start());
  CHECK(store->stats(0).restored_spans == 19);
}

TEST_CASE("a full disk and a dead backend do not hold up the backend that is well, at a SIGTERM neither", "[export]") {
  TwoBackends rig(true);
  rig.push(300, 20'000);  // several times what a commit tries after a failure
  REQUIRE(rig.well_has(300));
  rig.push(100, 20'000);  // now that it is known
  REQUIRE(rig.well_has(400));
  rig.push(200, 20'000);
  const TimePoint now = monotonic_now();
  rig.well->begin_drain(now + 10s, now);
  rig.dead->begin_drain(now + 300ms, now);
  rig.well->join();
  rig.dead->join();
  rig.store->stop();
  CHECK(monotonic_now() - now < 5s);
  CHECK(rig.well->stats().sent_spans == 600);
  CHECK(rig.well->stats().queued_spans == 0);
  const auto dead = rig.dead->stats();
  CHECK(dead.dropped_spans[static_cast<std::size_t>(DropReason::kShutdown)] == 600);
  CHECK(dead.queued_spans == 0);
}

TEST_CASE("a SIGTERM does not wait for a dead backend when the disk has all that waits for it", "[export]") {
  TwoBackends rig(false);
  rig.push(50, 1000);
  REQUIRE(rig.well_has(50));
  rig.push(50, 1000);
  const TimePoint now = monotonic_now();
  for (ExportRunner* runner : {rig.well.get(), rig.dead.get()}) runner->begin_drain(now + 60s, now);
  rig.dead->join();
  rig.well->join();
  rig.store->stop();
  CHECK(monotonic_now() - now < 5s);
  CHECK(rig.well->stats().sent_spans == 100);
  CHECK(rig.dead->stats().queued_spans == 100);
  CHECK(rig.dead->stats().dropped_spans == std::array<std::uint64_t, kDropReasonNames.size()>{});
}

TEST_CASE("a damaged record is counted and removed, and the others are sent", "[export]") {
  TempDir dir;
  {
    const auto log = make_kept_log(dir.at("q"), 64 << 20);
    REQUIRE(log->open(ignore_record));
    REQUIRE(log->commit({{{1, "\xff\xff"}, {2, write_kept_record(*kept(2), 5, {"x"})}}, {}, {}}));
  }
  DurableStore store(one_member(), make_kept_log(dir.at("q"), 64 << 20));
  REQUIRE(store.start());
  CHECK(store.stats(0).damaged_records == 1);
  CHECK(store.stats(0).restored_spans == 1);
  const auto next = store.next(0);
  REQUIRE(next);
  CHECK(next->trace->id == kept(2)->id);
}

TEST_CASE("what does not fit the map is an error, and fits when there is room again", "[export]") {
  TempDir dir;
  const auto log = make_kept_log(dir.at("q"), 1 << 20);
  REQUIRE(log->open(ignore_record));
  REQUIRE(log->commit({{{1, std::string(500'000, 'a')}}, {}, {}}));
  const auto failed = log->commit({{{2, std::string(900'000, 'b')}}, {}, {}});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::kIo);
  CHECK(log->read(1)->size() == 500'000);
  REQUIRE(log->commit({{}, {1}, {}}));
  REQUIRE(log->commit({}));
  CHECK(log->commit({{{3, std::string(400'000, 'c')}}, {}, {}}));
}

TEST_CASE("a queue whose directory was removed says so, and keeps what comes then", "[export]") {
  TempDir dir;
  const std::string removed = GENERATE("", "/data.mdb");
  {
    const auto log = make_kept_log(dir.at("q"), 1 << 20);
    REQUIRE(log->open(ignore_record));
    REQUIRE(log->commit({{{1, "first"}}, {}, {}}));
    std::filesystem::remove_all(dir.at("q") + removed);
    const auto failed = log->commit({{{2, "second"}}, {}, {}});
    REQUIRE_FALSE(failed);
    CHECK(failed.error().text.find("removed or moved") != std::string::npos);
    REQUIRE(log->commit({{{2, "second"}}, {}, {}}));
    CHECK(log->read(2).value() == "second");
    const auto other = make_kept_log(dir.at("q"), 1 << 20);
    CHECK_FALSE(other->open(ignore_record));  // it has its lock again
  }
  const auto log = make_kept_log(dir.at("q"), 1 << 20);
  std::vector<std::uint64_t> found;
  REQUIRE(log->open([&](std::uint64_t number, ByteView, const auto&) { found.push_back(number); }));
  CHECK(found == std::vector<std::uint64_t>{2});
}

TEST_CASE("marks are there at the next start, until their record goes", "[export]") {
  TempDir dir;
  using Found = std::map<std::uint64_t, std::vector<std::uint64_t>>;
  const auto reopened = [&](const KeptLog::Writes& writes) {
    {
      const auto log = make_kept_log(dir.at("q"), 1 << 20);
      REQUIRE(log->open(ignore_record));
      REQUIRE(log->commit(writes));
    }
    Found found;
    const auto log = make_kept_log(dir.at("q"), 1 << 20);
    REQUIRE(log->open([&](std::uint64_t n, ByteView, const std::vector<std::uint64_t>& marks) { found[n] = marks; }));
    return found;
  };
  CHECK(reopened({{{1, "a"}, {2, "b"}}, {}, {{1, 70}, {1, 30}}}) == Found{{1, {30, 70}}, {2, {}}});
  CHECK(reopened({{}, {}, {{1, 70}}}) == Found{{1, {30, 70}}, {2, {}}});
  CHECK(reopened({{}, {1}, {}}) == Found{{2, {}}});
  CHECK(reopened({{{3, "c"}}, {}, {}}) == Found{{2, {}}, {3, {}}});
}

TEST_CASE("of several backends each gets what it did not have, also after a restart", "[export]") {
  TempDir dir;
  const auto both = [&](const std::string& b) {
    return "file/a:\n  path: " + dir.at("a.json") + "\n  sending_queue: {directory: " + dir.at("queue") +
           "}\nfile/b:\n  path: " + b +
           "\n  retry_on_failure: {initial_interval: 20ms, max_interval: 20ms}\n  sending_queue: {directory: " +
           dir.at("queue") + "/}\n";
  };
  const auto lines = [](const std::string& path) {
    std::ifstream file(path);
    std::size_t n = 0;
    for (std::string line; std::getline(file, line);) ++n;
    return n;
  };
  {
    Rig rig(both("/dev/full"));
    for (std::uint8_t id = 1; id <= 30; ++id) rig.push(kept(id));
    REQUIRE(rig.sent(30));
    rig.drain(300ms);
    CHECK(rig.exporters->stats_of(1).queued_spans == 30);
  }
  {
    Rig rig(both("/dev/full").substr(0, both("/dev/full").find("file/b")));  // b is not configured for a while
    rig.push(kept(31));
    REQUIRE(rig.sent(1));
    CHECK(rig.exporters->stats_of(0).routed_spans == 1);
    rig.drain(1s);
  }
  {
    Rig rig(both(dir.at("b.json")));
    REQUIRE(rig.eventually([&] { return rig.exporters->stats_of(1).sent_spans == 30; }));
    CHECK(rig.exporters->stats_of(0).routed_spans == 0);
    rig.drain(1s);
  }
  CHECK(lines(dir.at("a.json")) == 31);
  CHECK(lines(dir.at("b.json")) == 30);
}

TEST_CASE("a Collector's queue_size bounds what is on disk, and nothing of it is dropped on the way out", "[export]") {
  TempDir dir;
  const std::string big(100'000, 'n');
  {
    Rig rig(file_yaml(dir, "/dev/full", ", sizer: bytes, queue_size: 1MiB"));
    for (std::uint8_t n = 1; n <= 30; ++n) rig.push(kept(n, 1, big));
    REQUIRE(rig.eventually([&] { return rig.failures(FailReason::kIo) > 0; }));
    const auto stats = rig.exporters->stats_of(0);
    CHECK(stats.durable_bytes <= 1 << 20);
    CHECK(stats.queued_spans + rig.dropped(DropReason::kQueueFull) == 30);
    CHECK(stats.routed_spans == 30);
    CHECK(stats.queued_spans >= 9);
    rig.drain(10ms);
  }
  Rig rig(file_yaml(dir, dir.at("kept.json")));
  CHECK(rig.eventually([&] { return rig.exporters->stats_of(0).sent_spans >= 9; }));
  CHECK(rig.settled());
}

TEST_CASE("a map without a hole of the right size grows, and what was freed comes back", "[export]") {
  TempDir dir;
  const std::size_t most = 8 << 20;
  const std::vector<DurableStore::Member> members = {
      {"x", {.directory = "d", .bytes_max = most, .memory_max = 1 << 20}}};
  std::promise<void> written;  // set once the last trace is on the disk
  DurableStore store(members, std::make_unique<Watched>(make_kept_log(dir.at("q"), 2 * most), [&](ByteView record) {
                       if (read_kept_record(record, true)->trace->otlp.starts_with('z')) written.set_value();
                     }));
  REQUIRE(store.start());
  // Small ones, every second of them kept by chance, until the share is full; then large ones push the former out.
  for (int n = 0; n < 1800; ++n) {
    auto small = std::make_shared<KeptTrace>();
    small->otlp.assign(4100, 's');
    small->spans = 1;
    small->verdict.chance = n % 2 == 0;
    store.push(small, 1);
  }
  store.hurry();
  for (int n = 0; n < 400; ++n) {
    auto large = std::make_shared<KeptTrace>();
    large->otlp.assign(50'000, 'l');
    large->spans = 1;
    store.push(large, 1);
    if (n % 20 == 0) store.hurry();
    std::this_thread::sleep_for(2ms);
  }
  auto last = std::make_shared<KeptTrace>();
  last->otlp.assign(50'000, 'z');
  last->spans = 1;
  store.push(last, 1);
  store.hurry();
  CHECK(written.get_future().wait_for(30s) == std::future_status::ready);
  store.stop();
  CHECK(store.stats(0).dropped_spans[static_cast<std::size_t>(DropReason::kShutdown)] == 0);
}
