// SPDX-License-Identifier: Apache-2.0
// `tailgate decide`: the verdicts of a configuration's policies over files of spans, one JSON line per trace.
#pragma once

#include <string>
#include <vector>

#include "settings/assembly.h"

namespace tailgate {

// Reads `files` ("-" is standard input) as one input and prints to standard output; problems go to standard error. A
// file is one TracesData in protobuf, JSON if it begins with '{' (an object a line, or one over many lines; OTLP, or
// what Jaeger and Tempo give), or Zipkin's list of spans. What cannot be read is left out, the rest is judged. With
// `summary` there is a table of counts instead of the lines. Exit codes: 0 done, 1 something was left out or there was
// no span, 3 a file cannot be opened, and then nothing is judged.
int decide_files(const DaemonConfig& config, const Assembly& parts, const std::vector<std::string>& files,
                 bool summary);

// The source of a configuration. One that is only a file of policies becomes a configuration around it.
ConfigSource with_bare_policies(const ConfigSource& source);

}  // namespace tailgate
