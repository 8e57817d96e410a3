// SPDX-License-Identifier: Apache-2.0
// Replaces environment references in the scalars of a document. config_file.h has the rules.
#pragma once

#include "config/config_file.h"
#include "config/yaml_value.h"

namespace tailgate {

// Replaces every reference at and below `root`. What cannot be resolved is an error in `issues` and becomes null.
void expand_environment(YamlValuePtr& root, const Environment& environment, ConfigIssues& issues);

}  // namespace tailgate
