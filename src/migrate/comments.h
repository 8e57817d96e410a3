// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: each loss as a comment in what is printed.
#pragma once

#include "migrate/tree.h"

namespace tailgate {

// At what came from the place of the loss, or where it would stand, or at its section; at the top of the file when
// there is none. In a list before the item that came after it.
void place_losses(YamlValue& root, const Trees& trees, const Report& report);

}  // namespace tailgate
