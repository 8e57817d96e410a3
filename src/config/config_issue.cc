// SPDX-License-Identifier: Apache-2.0
#include "config/config_issue.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include "config/yaml_value.h"

namespace tailgate {

std::string ConfigIssue::message() const {
  if (kind == IssueKind::kUnreadable) return text;
  return config_message(file, {line, column}, path,
                        got.empty() ? text + hint : fmt::format("{}, got {}{}", text, got, hint));
}

std::vector<std::string> messages(const std::vector<ConfigIssue>& issues) {
  std::map<std::string_view, std::size_t> rank;  // of files, in the order in which they have issues
  for (const ConfigIssue& issue : issues) rank.emplace(issue.file, rank.size());
  std::vector<const ConfigIssue*> by_place;
  for (const ConfigIssue& issue : issues) by_place.push_back(&issue);
  std::stable_sort(by_place.begin(), by_place.end(), [&](const ConfigIssue* a, const ConfigIssue* b) {
    return std::tuple(rank[a->file], a->line, a->column) < std::tuple(rank[b->file], b->line, b->column);
  });
  std::vector<std::string> out;
  for (const ConfigIssue* issue : by_place) out.push_back(issue->message());
  return out;
}

}  // namespace tailgate
