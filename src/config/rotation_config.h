// SPDX-License-Identifier: Apache-2.0
// The keys of a file that is rotated. Threads: as ConfigNode.
#pragma once

#include "base/rotation_options.h"
#include "config/config_node.h"

namespace tailgate {

// `max_megabytes`, `max_days`, `max_backups` and `localtime` of `node`, over what `options` holds already.
void read_rotation(const ConfigNode& node, RotationOptions& options);

}  // namespace tailgate
