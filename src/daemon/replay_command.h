// SPDX-License-Identifier: Apache-2.0
// `tailgate replay`: judges the past that a journal has with other policies, and says what would have been kept, beside
// what was. It reads only; the daemon may be running. Threads: one.
#pragma once

#include <string>

#include "base/clock.h"
#include "settings/assembly.h"

namespace tailgate {

// Prints one JSON object. Exit codes: 0; 1 a directory without a journal; 4 nothing of that time.
int replay_journal(const DaemonConfig& config, const Assembly& parts, const std::string& directory, Duration last);

}  // namespace tailgate
