// SPDX-License-Identifier: Apache-2.0
#include "journal/segments.h"

#include <catch2/catch.hpp>

namespace tailgate {
namespace {

TimePoint at(int seconds) { return TimePoint(std::chrono::seconds(seconds)); }

// Segments 1 to 4; the spans in segment n came until 10 n seconds.
SegmentList four() {
  SegmentList out;
  for (std::uint64_t n = 1; n <= 4; ++n) out.add({.number = n, .bytes = 100, .end = at(static_cast<int>(n) * 10)});
  return out;
}

}  // namespace

TEST_CASE("a segment is settled when its traces are decided and delivered", "[journal]") {
  SegmentList list = four();
  CHECK(list.bytes() == 400);
  CHECK(list.deletable() == nullptr);
  CHECK_FALSE(list.settle(at(9), UINT64_MAX));
  CHECK(list.settle(at(10), UINT64_MAX));
  CHECK(list.settled() == 2);
  REQUIRE(list.deletable() != nullptr);
  CHECK(list.deletable()->number == 1);
  CHECK(list.settle(at(1000), UINT64_MAX));
  CHECK(list.settled() == 4);  // the last one never is
  for (int n = 0; n != 3; ++n) {
    REQUIRE(list.deletable() != nullptr);
    list.drop(list.deletable()->number);
  }
  CHECK(list.deletable() == nullptr);
}

TEST_CASE("what is kept and not delivered holds its segment and those behind it", "[journal]") {
  SegmentList list = four();
  const std::uint64_t pinned = list.pin(at(15));  // began in the second
  CHECK(pinned == 2);
  const std::uint64_t newest = list.pin(at(99));  // its request is not written yet
  CHECK(newest == 4);
  CHECK(list.settle(at(1000), UINT64_MAX));
  CHECK(list.settled() == 2);
  list.unpin(pinned);
  CHECK(list.settle(at(1000), UINT64_MAX));
  CHECK(list.settled() == 4);
  list.unpin(newest);
}

TEST_CASE("segments end in their order, whatever the wall clock said", "[journal]") {
  SegmentList list;
  list.add({.number = 1, .end = at(50)});
  list.add({.number = 2, .end = at(20)});  // the clock was put back
  list.add({.number = 3, .end = at(60)});
  list.add({.number = 4, .end = at(70)});
  CHECK(list.pin(at(40)) == 1);
  CHECK(list.pin(at(55)) == 3);
  CHECK_FALSE(list.settle(at(49), UINT64_MAX));
  list.unpin(1);
  CHECK(list.settle(at(1000), UINT64_MAX));
  CHECK(list.settled() == 3);
}

TEST_CASE("a segment that ended later than its files say holds what began in it", "[journal]") {
  SegmentList list = four();
  list.ends_after(2, at(35));  // the clock was put back by some seconds while it was written to
  CHECK(list.pin(at(9)) == 1);
  CHECK(list.pin(at(33)) == 2);
  CHECK(list.pin(at(39)) == 4);
  list.unpin(1);
  list.unpin(2);
  CHECK(list.settle(at(34), UINT64_MAX));
  CHECK(list.settled() == 2);
  CHECK(list.settle(at(35), UINT64_MAX));
  CHECK(list.settled() == 4);
  list.ends_after(2, at(5));  // never sooner
  CHECK(list.pin(at(33)) == 2);
  list.ends_after(9, at(99));  // it is gone
  CHECK(list.pin(at(36)) == 4);
}

TEST_CASE("what is not replayed yet is not settled, and what cannot be read stays", "[journal]") {
  SegmentList list;
  list.add({.number = 3, .end = at(1), .readable = false});
  list.add({.number = 4, .end = at(2)});
  list.add({.number = 5, .end = at(3)});
  list.add({.number = 6, .end = at(4)});
  CHECK(list.settle(at(100), 5));
  CHECK(list.settled() == 5);
  CHECK(list.left() == std::vector<std::uint64_t>{3});
  REQUIRE(list.deletable() != nullptr);  // and does not keep the ones behind it
  CHECK(list.deletable()->number == 4);
  list.drop(4);
  CHECK(list.deletable() == nullptr);
}

TEST_CASE("files of ends alone go when they are settled, the oldest first", "[journal]") {
  SegmentList list;
  list.add({.number = 1, .end = at(10)});
  list.add({.number = 3, .end = at(30)});
  list.add({.number = 4, .end = at(40)});
  list.add_ends(2, 7);  // of an earlier process, which could make no file of requests
  CHECK_FALSE(list.ends_deletable());
  list.settle(at(10), UINT64_MAX);
  CHECK(list.settled() == 2);
  CHECK_FALSE(list.ends_deletable());
  list.settle(at(30), UINT64_MAX);
  CHECK(list.ends_deletable());
  CHECK(list.ends().front().number == 2);
}

TEST_CASE("files of ends alone stay in the order of their numbers", "[journal]") {
  SegmentList list;
  for (const std::uint64_t n : {1UL, 3UL, 5UL, 6UL})
    list.add({.number = n, .ends_bytes = n, .end = at(static_cast<int>(n))});
  list.add_ends(4, 9);
  list.settle(at(100), UINT64_MAX);
  for (const std::uint64_t n : {1UL, 3UL, 5UL}) list.drop(n);
  CHECK(list.ends_bytes() == 1 + 3 + 5 + 9);
  for (const std::uint64_t n : {1UL, 3UL, 4UL, 5UL}) {
    CHECK(list.ends().front().number == n);
    list.drop_first_ends();
  }
  CHECK(list.ends().empty());
}

}  // namespace tailgate
