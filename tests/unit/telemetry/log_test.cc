// SPDX-License-Identifier: Apache-2.0
#include "telemetry/log.h"

#include <simdjson.h>

#include <catch2/catch.hpp>
#include <vector>

#include "codec/utf8.h"
#include "support/log_lines.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

std::vector<std::string> lines_of(LogFormat format, LogLevel level, void (*write)()) {
  const LogLines lines(format, level);
  write();
  return lines.all();
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
  CHECK(lines[1].substr(kTimeSize) == " error bad\\nname name=\"a \\\"b\\\"\\nc\" empty=\"\"\n");
}

TEST_CASE("the word for a level is the same in a line and in the configuration", "[telemetry]") {
  for (const std::string_view name : kLogLevelNames) {
    CHECK(kLogLevelNames[static_cast<std::size_t>(*parse_log_level(name))] == name);
  }
  const auto text = lines_of(LogFormat::kText, LogLevel::kWarn, [] { log_warn("full"); });
  const auto json = lines_of(LogFormat::kJson, LogLevel::kWarn, [] { log_warn("full"); });
  CHECK(text.at(0).substr(kTimeSize) == " warn full\n");
  CHECK(json.at(0).find(R"(","level":"warn","message":"full"})") == kTimeSize + R"({"time":")"sv.size());
}

TEST_CASE("no text from outside ends a line or moves the cursor of a terminal", "[telemetry]") {
  constexpr auto kWrite = [] {
    log_warn("say \"\\x\"\r\n2026-05-04T10:11:12.345Z info ready", {{"peer", "a\nb"}, {"csi", "\u009b2J"}});
    log_warn("\u0085\u2028", {{"del", "\x7f"}, {"esc", "\x1b[2J"}, {"end", "\u2029"}, {"name", "caf\u00e9"}});
  };
  const auto text = lines_of(LogFormat::kText, LogLevel::kInfo, kWrite);
  REQUIRE(text.size() == 2);
  CHECK(text[0].substr(kTimeSize) ==
        R"( warn say "\x"\r\n2026-05-04T10:11:12.345Z info ready peer="a\nb" csi="\u009b2J")"
        "\n");
  CHECK(text[1].substr(kTimeSize) == R"( warn \u0085\u2028 del="\u007f" esc="\u001b[2J" end="\u2029" name=)"
                                     "caf\u00e9\n");
  for (const std::string& line : lines_of(LogFormat::kJson, LogLevel::kInfo, kWrite)) {
    CHECK(line.find_first_of("\n\r\x1b\x7f") == line.size() - 1);
    for (const char* sign : {"\u0085", "\u009b", "\u2028", "\u2029"}) CHECK(line.find(sign) == std::string::npos);
  }
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
