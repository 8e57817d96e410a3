// SPDX-License-Identifier: Apache-2.0
// Reads the sections `journal:` and `shutdown:` to values. Threads: main.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config_node.h"
#include "decide/policy_set.h"
#include "journal/options.h"

namespace tailgate {

// What an alert keeps: `{label}` in the condition stands for the value of a label of the alert.
struct AlertMapping {
  std::string alert;  // its name
  std::string condition;
  Duration before{};
  std::uint64_t limit = 0;
};

// What is kept around a trace that one of these policies kept.
struct KeepAround {
  std::vector<std::string> policies;  // none: off
  std::string condition;
  Duration before{}, after{};
  std::uint64_t limit = 0;
};

struct KeepConfig {
  // While a condition judges the past: for what is open at a time, of requests looked at, and how long that may take.
  std::size_t search_memory = std::size_t{48} << 20;
  std::uint64_t search_bytes = std::uint64_t{512} << 30;
  Duration search_time = std::chrono::minutes(10);
  std::vector<AlertMapping> alerts;
  KeepAround around;
};

// `keep:` and `keep_around:`, which need a journal that retains. `is_policy`: whether there is one of that name.
KeepConfig read_keep(const ConfigNode& keep, const ConfigNode& around, const JournalOptions& journal,
                     const std::function<bool(const std::string&)>& is_policy);

// A condition in YAML's double quotes, as the configuration would have it: a dollar alone would begin a reference.
std::string quoted_condition(const std::string& condition);
// The condition as the only policy of a set; kBadInput: what is wrong with it.
Result<PolicySetPtr> policies_of_condition(const std::string& condition, PolicyTables& tables);
// With the labels' values in it, as texts in quotes have them. Nothing: a label is missing, whose name `missing` gets.
std::optional<std::string> with_labels(const std::string& condition, const std::map<std::string, std::string>& labels,
                                       std::string& missing);

// Without the section its directory is empty. `decision_wait`: how long a trace may be open.
JournalOptions read_journal(const ConfigNode& node, Duration decision_wait);

// `shutdown: {undecided: hand_over | decide}`: whether what is open at the end is left to the next process.
bool read_hand_over(const ConfigNode& node, bool has_journal);

}  // namespace tailgate
