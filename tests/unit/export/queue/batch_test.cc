// SPDX-License-Identifier: Apache-2.0
// What exporters remember of a batch between its attempts.
#include "export/queue/batch.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

BatchPtr batch(std::uint64_t id) {
  auto made = std::make_shared<Batch>();
  made->id = id;
  return made;
}

}  // namespace

TEST_CASE("what is remembered of a batch lasts while the queue has the batch", "[export]") {
  BatchMemory<int> memory;
  BatchPtr first = batch(1), second = batch(2);
  memory.of(first) = 10;
  memory.of(second) = 20;
  CHECK(memory.of(first) == 10);
  CHECK(memory.at(2) == 20);

  first.reset();  // the queue has given it up
  CHECK(memory.of(second) == 20);
  CHECK_THROWS(memory.at(1));
  memory.forget(2);
  CHECK(memory.of(second) == 0);
}

TEST_CASE("rejected spans of one trace add up, in the order of the batch, with the first reason", "[export]") {
  const std::vector<RejectedTrace> merged =
      merge_rejected({{7, 1, "late"}, {2, 3, "odd"}, {7, 4, "other"}, {2, 1, "x"}});
  REQUIRE(merged.size() == 2);
  CHECK(merged[0].index == 2);
  CHECK(merged[0].spans == 4);
  CHECK(merged[0].why == "odd");
  CHECK(merged[1].index == 7);
  CHECK(merged[1].spans == 5);
  CHECK(merged[1].why == "late");
  CHECK(merge_rejected({}).empty());
}
