// SPDX-License-Identifier: Apache-2.0
#include "blocks/directory_lock.h"
#include "component/export/export_fixture.h"
#include "store/reader.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

std::uint64_t count(StoreReader& reader) {
  std::uint64_t n = 0;
  REQUIRE(reader.search({}, [&](const StoredTrace&) { return ++n != 0; }));
  return n;
}

}  // namespace

TEST_CASE("what the store says it has sent is found, here and by another reader, and after a restart", "[export]") {
  TempDir dir;
  const std::string yaml = "store: {directory: " + dir.at("store") + ", sending_queue: {batch: {flush_timeout: 10ms}}}";
  {
    Rig rig(yaml);
    const auto live = rig.exporters->stored();
    REQUIRE(live);
    rig.push(kept(0xab, 3));
    REQUIRE(rig.sent(3));
    CHECK(live->trace(kept(0xab)->id).value().otlp == kept(0xab, 3)->otlp);
    const auto second = open_store(dir.at("store"));
    REQUIRE(second);
    CHECK((*second)->trace(kept(0xab)->id).value().policy == "errors");
    rig.push(kept(0xab, 3));  // again
    rig.push(kept(0xcd, 2));
    REQUIRE(rig.sent(8));
    CHECK(count(**second) == 2);
    CHECK(live->trace(kept(0xab)->id).value().otlp == kept(0xab, 3)->otlp);
    MetricWriter writer;
    rig.exporters->collect(writer, {});
    CHECK(writer.text().find("tailgate_export_store_traces{exporter=\"store\"} 2") != std::string::npos);
    rig.drain(5s);
  }
  Rig rig(yaml);
  CHECK(count(*rig.exporters->stored()) == 2);
  CHECK(Rig("debug:").exporters->stored() == nullptr);
}

TEST_CASE("a store in use does not keep the daemon from starting, and gets its traces when it is free", "[export]") {
  TempDir dir;
  auto other = DirectoryLock::take(dir.path.string());
  REQUIRE(other);
  Rig rig("store: {directory: " + dir.path.string() + ", retry_on_failure: {initial_interval: 20ms}}");
  const auto reader = rig.exporters->stored();
  const auto early = reader->status();
  REQUIRE_FALSE(early);
  CHECK(early.error().text.find("another process or exporter writes to") != std::string::npos);
  rig.push(kept(0xab, 2));
  REQUIRE(rig.eventually(
      [&] { return rig.exporters->stats_of(0).failures[static_cast<std::size_t>(FailReason::kIo)] != 0; }));
  *other = DirectoryLock();
  REQUIRE(rig.sent(2));
  CHECK(count(*reader) == 1);
}

TEST_CASE("readers find what was stored while more is written and old partitions go", "[export]") {
  TempDir dir;
  Rig rig("store: {directory: " + dir.at("s") + ", max_bytes: 16MiB, sending_queue: {batch: {flush_timeout: 5ms}}}");
  const auto reader = rig.exporters->stored();
  std::atomic<bool> ending{false};
  std::string wrong;  // of the thread, until it is joined
  std::thread searching([&] {
    while (!ending) {
      const auto done = reader->search({}, [](const StoredTrace& t) { return !t.otlp.empty(); });
      if (!done) wrong = done.error().text;
      const auto second = open_store(dir.at("s"));
      if (!second) continue;
      if (const auto names = (*second)->services(0, UINT64_MAX); !names) wrong = names.error().text;
    }
  });
  std::uint64_t spans = 0;
  for (std::uint8_t i = 1; i != 120; ++i) {
    rig.push(kept(i, 200));
    spans += 200;
    if (i % 10 == 0) CHECK(rig.sent(spans));
  }
  CHECK(rig.sent(spans));
  ending = true;
  searching.join();
  CHECK(wrong == "");
  CHECK(count(*reader) == 119);
}
