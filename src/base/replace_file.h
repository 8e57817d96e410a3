// SPDX-License-Identifier: Apache-2.0
// A file that is there whole or not at all: it is written beside its place, as PATH.new, and then moved there. Threads:
// any, one for each path.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tailgate {

struct ReplaceFileOptions {
  unsigned mode = 0644;
  bool sync = true;  // false: it may be lost with the machine's power, and be made again
};

// kIo; what was there before stays then.
Result<void> replace_file(const std::string& path, std::string_view bytes, const ReplaceFileOptions& options = {});

}  // namespace tailgate
