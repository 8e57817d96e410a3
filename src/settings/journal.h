// SPDX-License-Identifier: Apache-2.0
// Reads the sections `journal:` and `shutdown:` to values. Threads: main.
#pragma once

#include "config/config_node.h"
#include "journal/options.h"

namespace tailgate {

// Without the section its directory is empty. `decision_wait`: how long a trace may be open.
JournalOptions read_journal(const ConfigNode& node, Duration decision_wait);

// `shutdown: {undecided: hand_over | decide}`: whether what is open at the end is left to the next process.
bool read_hand_over(const ConfigNode& node, bool has_journal);

}  // namespace tailgate
