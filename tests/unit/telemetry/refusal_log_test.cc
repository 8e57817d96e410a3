// SPDX-License-Identifier: Apache-2.0
#include "telemetry/refusal_log.h"

#include <catch2/catch.hpp>
#include <string>

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart = TimePoint{} + 1000s;

std::string text_of(const RefusalLog::Line& line) {
  return line.receiver + " " + line.reason + " " + line.peer + " " + std::to_string(line.count) + " " + line.text;
}

}  // namespace

TEST_CASE("the first refusal is a line at once, those of the minute after it are one line", "[telemetry]") {
  RefusalLog log;
  const auto first = log.add("otlp", "malformed", "192.0.2.1", "byte 1", kStart);
  REQUIRE(first);
  CHECK(text_of(*first) == "otlp malformed 192.0.2.1 1 byte 1");
  for (int i = 1; i <= 100; ++i)
    CHECK_FALSE(log.add("otlp", "malformed", "192.0.2.1", std::to_string(i), kStart + 30s));
  CHECK(log.due(kStart + 59s).empty());
  const auto lines = log.due(kStart + 60s);
  REQUIRE(lines.size() == 1);
  CHECK(text_of(lines[0]) == "otlp malformed 192.0.2.1 100 100");
  CHECK_FALSE(log.add("otlp", "malformed", "192.0.2.1", "", kStart + 61s));
  CHECK(log.add("otlp", "malformed", "192.0.2.1", "", kStart + 120s)->count == 2);  // whichever comes first
}

TEST_CASE("receivers, reasons and peers have lines of their own", "[telemetry]") {
  RefusalLog log;
  CHECK(log.add("otlp", "malformed", "192.0.2.1", "", kStart));
  CHECK(log.add("otlp", "malformed", "192.0.2.2", "", kStart));
  CHECK(log.add("otlp", "limit", "192.0.2.1", "", kStart));
  CHECK(log.add("zipkin", "malformed", "192.0.2.1", "", kStart));
  CHECK_FALSE(log.add("zipkin", "malformed", "192.0.2.1", "", kStart));
}

TEST_CASE("a minute without a refusal ends an entry", "[telemetry]") {
  RefusalLog log;
  CHECK(log.add("otlp", "malformed", "192.0.2.1", "", kStart));
  CHECK(log.due(kStart + 60s).empty());
  CHECK(log.add("otlp", "malformed", "192.0.2.1", "", kStart + 61s)->count == 1);
}

TEST_CASE("many peers share a line for each reason", "[telemetry]") {
  RefusalLog log;
  std::size_t lines = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (log.add("otlp", i % 2 == 0 ? "limit" : "malformed", "192.0.2." + std::to_string(i), "", kStart)) ++lines;
  }
  CHECK(lines == RefusalLog::kPeersMax + 2);
  const auto others = log.due(kStart + 60s);
  REQUIRE(others.size() == 2);
  CHECK(text_of(others[0]) == "otlp limit other 4967 ");
  CHECK(text_of(others[1]) == "otlp malformed other 4967 ");
  // The minute has made room again.
  CHECK(log.add("otlp", "limit", "198.51.100.1", "", kStart + 61s)->peer == "198.51.100.1");
}

TEST_CASE("a long text is cut", "[telemetry]") {
  RefusalLog log;
  CHECK(log.add("otlp", "malformed", "192.0.2.1", std::string(10'000, 'x'), kStart)->text.size() == 256);
}
