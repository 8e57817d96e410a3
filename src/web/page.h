// SPDX-License-Identifier: Apache-2.0
// The page that people open at `/` and `/trace/{id}`: the files of src/web/page/, which are part of the binary. It asks
// for everything else under /api/ (api.h). It is plain HTML, CSS and ES modules, and asks no other host for anything.
// Threads: any.
#pragma once

#include <span>
#include <string_view>

#include "web/pages.h"

namespace tailgate {

struct Asset {
  std::string_view name;  // of the file
  std::string_view bytes;
};
std::span<const Asset> page_assets();

void add_page(Pages& pages);

}  // namespace tailgate
