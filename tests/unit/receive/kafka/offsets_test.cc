// SPDX-License-Identifier: Apache-2.0
#include "receive/kafka/offsets.h"

#include <catch2/catch.hpp>
#include <random>

#include "receive/kafka/epochs.h"
#include "support/times.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

TEST_CASE("an offset may be committed when all that began before its record was handed in is settled",
          "[receive][kafka]") {
  OffsetTracker offsets;
  CHECK_FALSE(offsets.committable().has_value());
  CHECK_FALSE(offsets.undecided().has_value());
  offsets.handed(41, at(0ms));
  offsets.handed(57, at(1s));
  CHECK(offsets.next() == 58);
  offsets.settle(at(0ms));
  CHECK_FALSE(offsets.committable().has_value());  // a trace of it may have begun at that moment
  CHECK(offsets.undecided()->offset == 41);
  offsets.settle(at(1ms));
  CHECK(offsets.committable() == 42);
  CHECK(offsets.undecided()->offset == 42);
  CHECK(offsets.undecided()->since == at(1s));
  offsets.settle(at(0ms));
  CHECK(offsets.committable() == 42);
  offsets.settle(at(2s));
  CHECK(offsets.committable() == 58);
  CHECK_FALSE(offsets.undecided().has_value());
}

TEST_CASE("what was handed in after the moment of a freeze is never settled", "[receive][kafka]") {
  OffsetTracker offsets;
  offsets.handed(1, at(0s));
  offsets.handed(2, at(1s));
  offsets.handed(3, at(2s));
  offsets.freeze(at(1s));
  offsets.freeze(at(5s));
  offsets.settle(at(1h));
  CHECK(offsets.committable() == 2);
}

// Against one entry for each record.
TEST_CASE("random records settle as they do one by one, up to a tenth of a second late", "[receive][kafka]") {
  std::mt19937_64 random(7);
  for (int run = 0; run < 300; ++run) {
    OffsetTracker offsets;
    std::vector<std::pair<std::int64_t, TimePoint>> all;
    std::int64_t offset = static_cast<std::int64_t>(random() % 100);
    TimePoint now = at(0s), before = at(0s), last = at(0s);
    for (int step = 0; step < 300; ++step) {
      now += std::chrono::milliseconds(random() % 40);
      if (random() % 3 != 0) {
        all.emplace_back(offset, now);
        offsets.handed(offset, now);
        offset += 1 + static_cast<std::int64_t>(random() % 3);  // some are no records of ours
      } else {
        before = std::max(before, now - std::chrono::milliseconds(random() % 2000));
        last = before;
        offsets.settle(before);
      }
      std::int64_t most = -1, least = -1;  // what may be committed, and what must be
      for (const auto& [record, handed] : all) {
        if (handed < last) most = record + 1;
        if (handed + 100ms < last) least = record + 1;
      }
      const std::int64_t got = offsets.committable().value_or(-1);
      REQUIRE(got <= most);
      REQUIRE(got >= least);
    }
  }
}

TEST_CASE("an epoch is acknowledged when all its messages and those before it are, in any order", "[receive][kafka]") {
  Epochs epochs;
  CHECK(epochs.acknowledged(epochs.end()));
  const std::uint64_t a = epochs.send(), b = epochs.send();
  CHECK(a == b);
  const std::uint64_t first = epochs.end();
  const std::uint64_t c = epochs.send();
  const std::uint64_t second = epochs.end();
  CHECK(epochs.open() == 3);
  epochs.acknowledge(c);
  epochs.acknowledge(a);
  CHECK_FALSE(epochs.acknowledged(first));
  CHECK_FALSE(epochs.acknowledged(second));
  epochs.acknowledge(b);
  CHECK(epochs.acknowledged(first));
  CHECK(epochs.acknowledged(second));
  CHECK(epochs.open() == 0);
}
