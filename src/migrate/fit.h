// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: changes a configuration until this build accepts it.
#pragma once

#include "migrate/tree.h"

namespace tailgate {

// Loads `root` as `tailgate check` would, takes out what is an error (of a policy as little as alternatives.h allows)
// or without effect, and reports it at its origin. What references to the environment and files stand for is not
// judged, nor parts of types this build does not know.
// Each round takes one thing out. After `rounds_max` it is said that there may be more.
void fit_to_loader(YamlValue& root, Trees& trees, Report& report, int rounds_max = 1000);

}  // namespace tailgate
