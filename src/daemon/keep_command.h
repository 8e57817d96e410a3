// SPDX-License-Identifier: Apache-2.0
// `tailgate keep`: asks a running daemon to keep traces after the fact, and waits for the end. Threads: one, and one
// for the connection.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace tailgate {

struct KeepArguments {
  std::string web;  // HOST:PORT or http://HOST:PORT
  std::vector<std::string> ids;
  std::string condition;              // instead of ids
  Duration since = Duration::zero();  // with a condition; zero: all that there is
  std::uint64_t limit = 0;            // 0: the daemon's
  bool again = false;
  std::string reason;
};

// What is wrong with them, "" if nothing is.
std::string wrong_with(const KeepArguments& arguments);

// Prints the last state of the job. Exit codes: 0 something was kept, or was kept already; 1 refused, or the job
// failed; 3 the daemon cannot be reached; 4 nothing was found.
int keep_traces(const KeepArguments& arguments);

}  // namespace tailgate
