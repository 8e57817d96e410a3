// SPDX-License-Identifier: Apache-2.0
// The keys of `remote_sampling`, but for the endpoint's, as values. Threads: main reads; immutable.
#pragma once

#include <optional>
#include <string>

#include "config/config_file.h"
#include "head/adaptive.h"
#include "head/strategies.h"

namespace tailgate {

struct RemoteSamplingConfig {
  std::string strategies_file;             // as written, relative to the main file; "" is none
  StrategiesPtr strategies;                // never null
  std::optional<AdaptiveConfig> adaptive;  // none: off
};

// Reads the section and the file that it names; `options` are those of the main file at `path`. The caller reads `http`
// and calls finish().
RemoteSamplingConfig read_remote_sampling(const ConfigNode& node, const std::string& path, const LoadOptions& options);

}  // namespace tailgate
