// SPDX-License-Identifier: Apache-2.0
// `tailgate migrate`: turns the configuration of a Collector into one of Tailgate.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tailgate {

struct Migration {
  std::string yaml;  // "" when nothing could be carried over; each loss is a comment in it
  std::vector<std::string>
      messages;         // "file:line:column: path: lost: ..." or "...: note: ...", in the order of the file
  std::string summary;  // how much was lost
  bool lost = false;
};

// What the traces pipelines in `text` do, as a configuration of Tailgate. References to the environment stay as they
// are: nothing is looked up, not files either. The result is one that `tailgate check` accepts, but for parts this
// build does not know, and for what references stand for. Errors: kConfig, `text` is no YAML.
Result<Migration> migrate_collector(std::string_view text, const std::string& file);

// The command: prints it. Exit codes: 0 all carried over, 1 something was lost, 3 `file` cannot be read.
int migrate_file(const std::string& file);

}  // namespace tailgate
