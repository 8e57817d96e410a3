// SPDX-License-Identifier: Apache-2.0
#include "net/http/sender_pace.h"

#include <catch2/catch.hpp>

namespace tailgate {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart(1h);

TEST_CASE("a peer that has one request on its way each time may be held up by an eighth", "[net]") {
  SenderPace pace;
  TimePoint now = kStart;
  for (int i = 0; i < 15; ++i) CHECK(pace.came(true, now += 8ms) == TimePoint::max());
  for (const Duration between : {8ms, 800ms, 0ms}) {
    now += between;
    CHECK(pace.came(true, now) == now + between / 8);
  }
}

TEST_CASE("a peer that has several requests on their way, if only now and then, may be held up", "[net]") {
  SenderPace pace;
  TimePoint now = kStart;
  for (int i = 0; i < 100; ++i) CHECK(pace.came(i % 16 != 15, now += 1ms) == TimePoint::max());
}

}  // namespace
}  // namespace tailgate
