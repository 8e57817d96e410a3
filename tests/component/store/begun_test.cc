// SPDX-License-Identifier: Apache-2.0
// Another reader looks at the directory at every moment of a partition's beginning.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "store/reader.h"
#include "store/store.h"
#include "support/otlp_builder.h"
#include "support/temp_dir.h"

using namespace tailgate;

TEST_CASE("a partition that is just begun is no fault to another reader", "[store]") {
  auto trace = std::make_shared<KeptTrace>();
  trace->id = test::id_of_trace(1);
  trace->otlp = test::request({test::SpanSpec{.trace = 1}});
  trace->spans = 1;
  const std::vector<KeptTracePtr> batch{trace};
  std::string wrong;  // of the thread, until it is joined
  for (int round = 0; round != 60; ++round) {
    test::TempDir dir;
    std::vector<std::string> notices;
    const auto store = Store::open({.directory = dir.path.string()}, 1, notices);
    REQUIRE(store);
    std::atomic<bool> looking{false}, ending{false};
    std::thread looks([&] {
      const auto reader = open_store(dir.path.string());
      looking = true;
      if (!reader) return void(wrong = reader.error().text);
      while (!ending) {
        const auto names = (*reader)->services(0, UINT64_MAX);
        if (!names) wrong = names.error().text;
      }
    });
    while (!looking) std::this_thread::yield();
    const bool stored = (*store)->append(batch, 1).has_value();
    ending = true;
    looks.join();
    REQUIRE(stored);
  }
  CHECK(wrong == "");
}
