// SPDX-License-Identifier: Apache-2.0
// `tailgate decide`: the verdicts of a configuration's policies over OTLP files, one JSON line per trace.
#pragma once

#include <string>
#include <vector>

#include "settings/assembly.h"

namespace tailgate {

// Reads `files` ("-" is standard input) as one input and prints to standard output; problems go to standard error. A
// file is one TracesData in protobuf, or JSON if it begins with '{': an object a line, or one over many lines. What
// cannot be read is left out, the rest is judged. Exit codes: 0 done, 1 something was left out, 3 a file cannot be
// opened, and then nothing is judged.
int decide_files(const DaemonConfig& config, const Assembly& parts, const std::vector<std::string>& files);

}  // namespace tailgate
