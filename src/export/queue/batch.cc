// SPDX-License-Identifier: Apache-2.0
#include "export/queue/batch.h"

#include <algorithm>

namespace tailgate {

std::vector<RejectedTrace> merge_rejected(std::vector<RejectedTrace> rejected) {
  std::stable_sort(rejected.begin(), rejected.end(),
                   [](const RejectedTrace& a, const RejectedTrace& b) { return a.index < b.index; });
  std::vector<RejectedTrace> out;
  for (RejectedTrace& r : rejected) {
    if (!out.empty() && out.back().index == r.index) {
      out.back().spans += r.spans;
    } else {
      out.push_back(std::move(r));
    }
  }
  return out;
}

}  // namespace tailgate
