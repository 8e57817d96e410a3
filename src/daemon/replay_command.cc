// SPDX-License-Identifier: Apache-2.0
#include "daemon/replay_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/cli.h"
#include "daemon/policy_trial.h"
#include "web/json_page.h"

namespace tailgate {
int replay_journal(const DaemonConfig& config, const Assembly& parts, const std::string& directory, Duration last) {
  const auto found = Journal::extent_of(directory);
  if (!found || found->segments.empty()) {
    fmt::print(stderr, "tailgate: {}\n",
               found ? fmt::format("'{}' has no files of a journal", directory) : found.error().text);
    return exit_with::kJudgedBad;
  }
  PastRunOptions options;
  options.directory = directory;
  options.extent = [&] { return *found; };
  const std::uint64_t now = wall_now_ns();
  if (last != Duration::zero()) options.from_unix_ns = now - std::min(now, static_cast<std::uint64_t>(last.count()));
  options.store = parts.store;
  options.store.shards = 1;
  options.memory = config.sampling.memory_limit / 2;
  const Result<PastTried> tried = try_past(std::move(options), parts.policies, *parts.tables);
  if (!tried || tried->requests == 0) {
    fmt::print(stderr, "tailgate: {}\n", tried ? "the journal has nothing of that time" : tried.error().text);
    return exit_with::kNothingFound;
  }
  std::string text;
  append_json(text, json_of(*tried), JsonForm::kPretty);
  fmt::print("{}\n", text);
  return exit_with::kDone;
}

}  // namespace tailgate
