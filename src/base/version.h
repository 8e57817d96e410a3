// SPDX-License-Identifier: Apache-2.0
// What this binary was built from.
#pragma once

#include <string_view>

namespace tailgate {

std::string_view build_version();   // "0.1.0"
std::string_view build_commit();    // 12 hex digits, or "unknown" outside a checkout
std::string_view build_compiler();  // "g++ 12.2.0"

}  // namespace tailgate
