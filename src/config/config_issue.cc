// SPDX-License-Identifier: Apache-2.0
#include "config/config_issue.h"

#include <fmt/format.h>

#include "config/yaml_value.h"

namespace tailgate {

std::string ConfigIssue::message() const {
  if (kind == IssueKind::kUnreadable) return text;
  return config_message(file, {line, column}, path,
                        got.empty() ? text + hint : fmt::format("{}, got {}{}", text, got, hint));
}

std::vector<std::string> messages(const std::vector<ConfigIssue>& issues) {
  std::vector<std::string> out;
  for (const ConfigIssue& issue : issues) out.push_back(issue.message());
  return out;
}

}  // namespace tailgate
