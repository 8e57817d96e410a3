// SPDX-License-Identifier: Apache-2.0
// ConfigIssue: one error or warning about a configuration. message() makes a line of it to show. Threads: any; plain
// values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tailgate {

enum class IssueKind : std::uint8_t {
  kUnreadable,     // a file or text that cannot be read as YAML: `text` is the whole message
  kBadValue,       // or a value that is missing
  kUnknownKey,     // a key that no reader asked for
  kWithoutEffect,  // a notice: the Collector knows the key, and here it does nothing
  kCaveat,         // any other notice
};

struct ConfigIssue {
  IssueKind kind = IssueKind::kBadValue;
  std::string file;
  int line = 1, column = 1;  // from 1
  std::string path;          // "sampling.policies[2].latency"; "" is the document
  std::string text;          // what was wanted, "want 0 or more", or what there is to say
  std::string got;           // what came instead, as a message shows it; it may be a secret. "" in notices
  std::string hint = {};     // the end of the message: "; did you mean 'latency'?"

  std::string message() const;  // "policies.yaml:14:45: policies[2].latency: expected 0 or more, got '-5'"

  bool operator==(const ConfigIssue&) const = default;
};

struct ConfigIssues {
  std::vector<ConfigIssue> errors;
  std::vector<ConfigIssue> notices;  // accepted, but without effect or with a caveat
};

// By file, in the order in which files have issues, and by place in the file.
std::vector<std::string> messages(const std::vector<ConfigIssue>& issues);

}  // namespace tailgate
