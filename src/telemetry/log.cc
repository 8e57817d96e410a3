// SPDX-License-Identifier: Apache-2.0
#include "telemetry/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "codec/json_text.h"

namespace tailgate {
namespace {

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    write_(std::string_view(line.data(), line.size()));
  }
  void flush_() override {}

  std::function<void(std::string_view)> write_;
};

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Logging has to work everywhere, so this is the one object of the process that is not handed down.
struct State {
  std::shared_ptr<spdlog::logger> logger;
  LogFormat format = LogFormat::kText;
};

State make_state(const LogOptions& options) {
  spdlog::sink_ptr sink;
  if (options.sink) {
    sink = std::make_shared<FunctionSink>(options.sink);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>("tailgate", std::move(sink));
  const char* pattern =
      options.format == LogFormat::kText ? "%Y-%m-%dT%H:%M:%S.%eZ %v" : R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v})";
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc, "\n"));
  logger->set_level(level_of(options.level));
  logger->flush_on(spdlog::level::debug);
  return {std::move(logger), options.format};
}

State& state() {
  static State the_state = make_state({});
  return the_state;
}

// Whatever ends a line or moves a terminal's cursor is escaped, so that a stranger's name cannot start a line.
void append_quoted(std::string& out, std::string_view text) { append_json_string(out, text, JsonEscapes::kLine); }

// Values that could be taken for something else are quoted.
void append_value(std::string& out, std::string_view value) {
  std::string quoted;
  append_quoted(quoted, value);
  const bool plain = !value.empty() && quoted.size() == value.size() + 2 && value.find_first_of(" =") == value.npos;
  out += plain ? value : std::string_view(quoted);
}

void append_message(std::string& out, std::string_view message) {
  for (std::size_t i = 0; i < message.size();) {
    const std::size_t quote = std::min(message.find_first_of("\"\\", i), message.size());
    std::string quoted;
    append_quoted(quoted, message.substr(i, quote - i));
    out.append(quoted, 1, quoted.size() - 2);
    if (quote < message.size()) out += message[quote];  // as it is: a message stands in no quotes
    i = quote + 1;
  }
}

void write(LogLevel level, std::string_view message, LogFields fields) {
  State& s = state();
  if (!s.logger->should_log(level_of(level))) return;
  const std::string_view name = kLogLevelNames[static_cast<std::size_t>(level)];
  std::string line;
  if (s.format == LogFormat::kText) {
    line += name;
    line += ' ';
    append_message(line, message);
    for (const LogField& f : fields) {
      line += ' ';
      line += f.key;
      line += '=';
      append_value(line, f.value);
    }
  } else {
    line += "\"level\":\"";
    line += name;
    line += "\",\"message\":";
    append_quoted(line, message);
    for (const LogField& f : fields) {
      line += ',';
      append_quoted(line, f.key);
      line += ':';
      if (f.number) {
        line += f.value;
      } else {
        append_quoted(line, f.value);
      }
    }
  }
  s.logger->log(level_of(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view name) {
  const auto found = std::find(kLogLevelNames.begin(), kLogLevelNames.end(), name);
  if (found == kLogLevelNames.end()) return std::nullopt;
  return static_cast<LogLevel>(found - kLogLevelNames.begin());
}

void setup_log(const LogOptions& options) { state() = make_state(options); }

void log_debug(std::string_view message, LogFields fields) { write(LogLevel::kDebug, message, fields); }
void log_info(std::string_view message, LogFields fields) { write(LogLevel::kInfo, message, fields); }
void log_warn(std::string_view message, LogFields fields) { write(LogLevel::kWarn, message, fields); }
void log_error(std::string_view message, LogFields fields) { write(LogLevel::kError, message, fields); }
bool log_enabled(LogLevel level) { return state().logger->should_log(level_of(level)); }

std::optional<std::uint64_t> LogLimiter::pass(TimePoint now) {
  const MutexLock lock(mutex_);
  if (last_ && now - *last_ < every_) {
    ++held_;
    return std::nullopt;
  }
  last_ = now;
  return std::exchange(held_, 0);
}

}  // namespace tailgate
