// SPDX-License-Identifier: Apache-2.0
#include "web/json_page.h"

#include <catch2/catch.hpp>

namespace tailgate {

TEST_CASE("times are read as they are written, with fractions and offsets", "[web]") {
  for (const std::uint64_t ns : {0ULL, 951'782'400'000'000'000ULL, 1'764'406'263'120'000'000ULL}) {
    CHECK(read_iso_time(iso_time(ns)) == ns);
  }
  constexpr std::uint64_t kTime = 1'764'406'263'000'000'000;
  CHECK(read_iso_time("2025-11-29T08:51:03Z") == kTime);
  CHECK(read_iso_time("2025-11-29T08:51:03.123456789Z") == kTime + 123'456'789);
  CHECK(read_iso_time("2025-11-29T08:51:03.1234567891Z") == kTime + 123'456'789);
  CHECK(read_iso_time("2025-11-29T09:51:03+01:00") == kTime);
  CHECK(read_iso_time("2025-11-29T03:21:03-05:30") == kTime);
  for (const char* bad : {"", "now", "2025-11-29", "2025-11-29T08:51:03", "2025-13-29T08:51:03Z",
                          "2025-11-29T24:51:03Z", "2025-11-29T08:51:03+1", "2025-11-29T08:51:03ZZ",
                          "1960-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "2025-11-29 08:51:03Z"}) {
    INFO(bad);
    CHECK_FALSE(read_iso_time(bad));
  }
}

}  // namespace tailgate
