// SPDX-License-Identifier: Apache-2.0
#include "telemetry/process.h"

#include <catch2/catch.hpp>

using namespace tailgate;

TEST_CASE("a process's own line is read whatever its name is", "[telemetry]") {
  // Numbers as of proc(5): utime 120, stime 30, priority -2, niceness -5, 9 threads, start 5000, 1 MiB, 64 pages.
  const std::string rest =
      " S 1 7 7 0 -1 4194560 11 12 13 14 120 30 1 2 -2 -5 9 0 5000 1048576 64 18446744073709551615 1";
  for (const char* name : {"(tailgate)", "(a) R 1 (b)", "(x y)"}) {
    CAPTURE(name);
    const auto stat = parse_process_stat("7 " + std::string(name) + rest);
    REQUIRE(stat);
    CHECK(stat->cpu_ticks == 150);
    CHECK(stat->threads == 9);
    CHECK(stat->start_ticks == 5000);
    CHECK(stat->virtual_bytes == 1048576);
    CHECK(stat->resident_pages == 64);
  }
  CHECK_FALSE(parse_process_stat("7 (x) S 1 7 7 0 -1 4194560 11 12 13 14 120"));
  CHECK_FALSE(parse_process_stat(""));
}

TEST_CASE("the start of the machine is found among the other counts", "[telemetry]") {
  CHECK(parse_boot_time("cpu 1 2 3\nintr 5 6\nbtime 1790000000\nprocesses 12\n") == 1790000000);
  CHECK_FALSE(parse_boot_time("cpu 1 2 3\n"));
}
