// SPDX-License-Identifier: Apache-2.0
// The log's lines, for as long as this lives.
#pragma once

#include <string>
#include <vector>

#include "telemetry/log.h"

namespace tailgate::test {

class LogLines {
 public:
  explicit LogLines(LogFormat format = LogFormat::kText, LogLevel level = LogLevel::kInfo) {
    setup_log({level, format, [this](std::string_view line) { lines_.emplace_back(line); }});
  }
  ~LogLines() { setup_log({}); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  const std::vector<std::string>& all() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

}  // namespace tailgate::test
