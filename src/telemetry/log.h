// SPDX-License-Identifier: Apache-2.0
// Logging: lines with fields, on standard error, as text or as JSON lines (spdlog behind it). One call makes one line,
// whatever is in the texts.
//
//   log_info("listening", {{"receiver", name}, {"endpoint", endpoint}});
//   2026-05-04T10:11:12.345Z info listening receiver=otlp endpoint=127.0.0.1:4317
//   {"time":"2026-05-04T10:11:12.345Z","level":"info","message":"listening","receiver":"otlp",...}
//
// Threads: any, except that setup_log() is called before others log. Never per span; a site that strangers can trigger
// goes through a LogLimiter. A line is written at once and never blocks on a queue.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/enum_names.h"
#include "base/mutex.h"

namespace tailgate {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
// In the configuration and in the lines.
inline constexpr std::array<std::string_view, 4> kLogLevelNames = {"debug", "info", "warn", "error"};
static_assert(names_end_with(kLogLevelNames, LogLevel::kError, "error"));
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  std::function<void(std::string_view line)> sink;  // standard error when empty
};

std::optional<LogLevel> parse_log_level(std::string_view name);  // one of kLogLevelNames

// Before the first call, lines go out as text from level info.
void setup_log(const LogOptions& options);

struct LogField {
  std::string_view key;
  std::string value;
  bool number = false;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  template <std::integral T>
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)), number(true) {}
};
using LogFields = std::initializer_list<LogField>;

void log_debug(std::string_view message, LogFields fields = {});
void log_info(std::string_view message, LogFields fields = {});
void log_warn(std::string_view message, LogFields fields = {});
void log_error(std::string_view message, LogFields fields = {});
bool log_enabled(LogLevel level);

// At most one line per `every` for one site of the program. Threads: any.
//
//   if (const auto held = limiter_.pass(now)) log_warn("refused", {{"reason", r}, {"held_back", *held}});
class LogLimiter {
 public:
  explicit LogLimiter(Duration every) : every_(every) {}

  // How many lines were held back since the last that passed, or nothing: hold this one back too.
  std::optional<std::uint64_t> pass(TimePoint now);

 private:
  const Duration every_;
  Mutex mutex_;
  std::optional<TimePoint> last_ TAILGATE_GUARDED_BY(mutex_);
  std::uint64_t held_ TAILGATE_GUARDED_BY(mutex_) = 0;
};

}  // namespace tailgate
