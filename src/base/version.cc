// SPDX-License-Identifier: Apache-2.0
#include "base/version.h"

#include "base/build_info.h"  // made by CMake

namespace tailgate {

std::string_view build_version() { return TAILGATE_VERSION; }
std::string_view build_commit() { return TAILGATE_COMMIT; }
std::string_view build_compiler() {
#ifdef __clang__
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace tailgate
