// The durable queue on a real disk: what a process that dies leaves, and what the next one makes of it.
#include "component/export/export_fixture.h"
#include "export/durable_store.h"
#include "export/kept_record.h"

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
  Result<void> open(const std::function<void(std::uint64_t, ByteView)>& each) override { return inner_->open(each); }
  Result<void> commit(const Puts& puts, const std::vector<std::uint64_t>& removes) override {
    if (fails_) return fail(ErrorKind::kIo, "no space left on device");
    return inner_->commit(puts, removes);
  }
  Result<std::string> read(std::uint64_t number) override { return inner_->read(number); }

 private:
  std::unique_ptr<KeptLog> inner_;
  std::atomic<bool>& fails_;
};

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
    return std::make_unique<DurableStore>("x", DurableOptions{.directory = "d"},
                                          std::make_unique<Failing>(make_kept_log(dir.at("q"), 64 << 20), full));
  };
  {
    auto store = make();
    REQUIRE(store->start());
    for (std::uint8_t id = 1; id <= 20; ++id) store->push(kept(id));
    for (int i = 0; i < 1000 && store->stats().write_errors < 2; ++i) std::this_thread::sleep_for(10ms);
    CHECK(store->stats().write_errors >= 2);
    const auto first = store->next();  // sending goes on
    REQUIRE(first);
    store->done(first->number);
    full = false;
    store->stop();
    CHECK(store->stats().waiting_spans == 19);
  }
  auto store = make();
  REQUIRE(store->start());
  CHECK(store->stats().restored_spans == 19);
}

TEST_CASE("a damaged record is counted and removed, and the others are sent", "[export]") {
  TempDir dir;
  {
    const auto log = make_kept_log(dir.at("q"), 64 << 20);
    REQUIRE(log->open([](std::uint64_t, ByteView) {}));
    REQUIRE(log->commit({{1, "\xff\xff"}, {2, write_kept_record(*kept(2), 5)}}, {}));
  }
  DurableStore store("x", {.directory = "d"}, make_kept_log(dir.at("q"), 64 << 20));
  REQUIRE(store.start());
  CHECK(store.stats().damaged_records == 1);
  CHECK(store.stats().restored_spans == 1);
  const auto next = store.next();
  REQUIRE(next);
  CHECK(next->trace->id == kept(2)->id);
}

TEST_CASE("what does not fit the map is an error, and fits when there is room again", "[export]") {
  TempDir dir;
  const auto log = make_kept_log(dir.at("q"), 1 << 20);
  REQUIRE(log->open([](std::uint64_t, ByteView) {}));
  REQUIRE(log->commit({{1, std::string(500'000, 'a')}}, {}));
  const auto failed = log->commit({{2, std::string(900'000, 'b')}}, {});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::kIo);
  CHECK(log->read(1)->size() == 500'000);
  REQUIRE(log->commit({}, {1}));
  REQUIRE(log->commit({}, {}));
  CHECK(log->commit({{3, std::string(400'000, 'c')}}, {}));
}
