// SPDX-License-Identifier: Apache-2.0
// Reads whole files and standard input, for commands.
#pragma once

#include <string>

#include "base/result.h"

namespace tailgate {

// Everything in the file; "-" is standard input. Errors: kIo, "cannot open NAME: why".
Result<std::string> read_input(const std::string& name);

}  // namespace tailgate
