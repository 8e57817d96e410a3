// SPDX-License-Identifier: Apache-2.0
#include "telemetry/log.h"

#include <simdjson.h>

#include <catch2/catch.hpp>
#include <vector>

#include "codec/utf8.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> lines_of(LogFormat format, LogLevel level, void (*write)()) {
  std::vector<std::string> lines;
  setup_log({level, format, [&](std::string_view line) { lines.emplace_back(line); }});
  write();
  setup_log({});
  return lines;
}

constexpr std::size_t kTimeSize = std::string_view("2026-05-04T10:11:12.345Z").size();

}  // namespace

TEST_CASE("a text line is time, level, message and fields", "[telemetry]") {
  const auto lines = lines_of(LogFormat::kText, LogLevel::kInfo, [] {
    log_debug("not shown");
    log_info("listening", {{"receiver", "otlp"}, {"port", 4317}});
    log_error("bad\nname", {{"name", "a \"b\"\nc"}, {"empty", ""}});
  });
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].substr(kTimeSize) == " info listening receiver=otlp port=4317\n");
  CHECK(lines[1].substr(kTimeSize) == " error bad name name=\"a \\\"b\\\"\\nc\" empty=\"\"\n");
}

TEST_CASE("a JSON line holds the same", "[telemetry]") {
  const auto lines = lines_of(LogFormat::kJson, LogLevel::kDebug, [] {
    log_debug("a {} \"b\"", {{"n", -1}, {"t", "x\ty"}});
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("{\"time\":\"20"));
  CHECK(lines[0].ends_with(R"(Z","level":"debug","message":"a {} \"b\"","n":-1,"t":"x\ty"})"
                           "\n"));
}

TEST_CASE("a JSON line is valid JSON whatever bytes a stranger sends", "[telemetry]") {
  const auto lines = lines_of(LogFormat::kJson, LogLevel::kDebug, [] {
    log_debug("cut \xC3", {{"name", "a\xFF\xED\xA0\x80z"}});
  });
  REQUIRE(lines.size() == 1);
  CHECK(is_utf8(lines[0]));
  simdjson::dom::parser parser;
  simdjson::dom::element line;
  REQUIRE(parser.parse(lines[0]).get(line) == simdjson::SUCCESS);
  CHECK(std::string_view(line["message"]) == "cut \uFFFD");
  CHECK(std::string_view(line["name"]) == "a\uFFFD\uFFFD\uFFFD\uFFFDz");
}

TEST_CASE("a limiter lets one line through per interval and says how many it held back", "[telemetry]") {
  LogLimiter limiter(10s);
  const TimePoint t0{};
  CHECK(limiter.pass(t0) == 0u);
  CHECK_FALSE(limiter.pass(t0 + 1s));
  CHECK_FALSE(limiter.pass(t0 + 9s));
  CHECK(limiter.pass(t0 + 10s) == 2u);
  CHECK_FALSE(limiter.pass(t0 + 11s));
  CHECK(limiter.pass(t0 + 60s) == 1u);
}

TEST_CASE("levels are read by name", "[telemetry]") {
  CHECK(parse_log_level("warn") == LogLevel::kWarn);
  CHECK_FALSE(parse_log_level("WARN"));
  CHECK_FALSE(parse_log_level("loud"));
}
