// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <catch2/catch.hpp>

using namespace tailgate;
using namespace std::chrono_literals;

TEST_CASE("durations are read as Go writes them", "[base]") {
  CHECK(parse_duration("200ms") == Duration(200ms));
  CHECK(parse_duration("5s") == Duration(5s));
  CHECK(parse_duration("1h30m") == Duration(90min));
  CHECK(parse_duration("1.5s") == Duration(1500ms));
  CHECK(parse_duration("-2s") == Duration(-2s));
  CHECK(parse_duration("0") == Duration(0));
  for (const char* bad : {"", "5", "s", "5 s", "5d", "1.2.3s", "--1s", "99999999999999h"}) CHECK(!parse_duration(bad));
}

TEST_CASE("sizes are read with decimal and binary units", "[base]") {
  CHECK(parse_bytes("512MiB") == 512ULL << 20);
  CHECK(parse_bytes("64KB") == 64'000);
  CHECK(parse_bytes("1.5 GiB") == 1536ULL << 20);
  CHECK(parse_bytes("4096") == 4096);
  for (const char* bad : {"", "MiB", "-1", "1TiB ", "1x"}) CHECK(!parse_bytes(bad));
}
