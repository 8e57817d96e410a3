// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/memory_shortage.h"

#include <catch2/catch.hpp>

using namespace tailgate;
using namespace std::chrono_literals;

TEST_CASE("a shortage of memory begins with the first early decision and ends ten quiet seconds after the last",
          "[buffer]") {
  MemoryShortage shortage;
  Shedding shedding(0s, TimePoint{});
  const auto look = [&](Duration at) { return shortage.look(shedding.take_early(), TimePoint{} + at); };
  CHECK_FALSE(look(1s));

  shedding.closed_early(64, 15600ms);
  const auto began = look(2s);
  REQUIRE(began);
  CHECK(began->began);
  CHECK(began->early.traces == 64);
  CHECK(began->early.shortest_wait == 15600ms);

  shedding.closed_early(64, 9s);
  shedding.closed_early(10, 12s);
  CHECK_FALSE(look(20s));  // one line, however long it lasts
  CHECK_FALSE(look(29900ms));
  shedding.closed_early(1, 13s);
  CHECK_FALSE(look(29950ms));
  CHECK_FALSE(look(39900ms));
  const auto ended = look(39950ms);
  REQUIRE(ended);
  CHECK_FALSE(ended->began);
  CHECK(ended->early.traces == 139);
  CHECK(ended->early.shortest_wait == 9s);
  CHECK(ended->lasted == 27950ms);
  CHECK_FALSE(look(60s));

  shedding.closed_early(2, 20s);
  const auto again = look(70s);
  REQUIRE(again);
  CHECK(again->early.traces == 2);
  CHECK(again->early.shortest_wait == 20s);
}
