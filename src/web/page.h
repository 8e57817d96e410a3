// SPDX-License-Identifier: Apache-2.0
// The page that people open at `/` and `/trace/{id}`: the files of src/web/page/, which are part of the binary. It asks
// for everything else under /api/ (api.h). It is plain HTML, CSS and ES modules, and asks no other host for anything.
// Threads: any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "web/pages.h"

namespace tailgate {

struct Asset {
  std::string_view name;  // of the file
  std::string_view bytes;
};
std::span<const Asset> page_assets();

// The headers of everything that a browser shows as a page. `allowed` is what the page may do, as directives of
// Content-Security-Policy; besides, it loads nothing, has no other base and is in no frame.
std::vector<std::pair<std::string, std::string>> page_headers(std::string_view type, std::string_view allowed);

void add_page(Pages& pages);

}  // namespace tailgate
