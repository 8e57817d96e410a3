// SPDX-License-Identifier: Apache-2.0
// /api/...: what the page (page.h) asks. It may change with every version: /metrics, /explain and the doors for other
// people's programs are the interfaces. Threads: any; the functions are called by the pages' thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "web/pages.h"

namespace tailgate {

struct LoadedPolicy {
  std::string name;
  std::string yaml;  // as the configuration has it, variables replaced
};

// Adds /api/metrics (the text of /metrics, for a page that may not ask another port) and /api/policies. `past`: there
// is a journal with all that came in a time, which policies can be tried on.
void add_api(Pages& pages, std::function<std::string()> metrics, std::function<std::vector<LoadedPolicy>()> policies,
             bool past);

}  // namespace tailgate
