// SPDX-License-Identifier: Apache-2.0
// A question for one of the daemon's own pages, and its answer, as members of a cluster ask each other. Plain values.
#pragma once

#include <string>

namespace tailgate {

struct PageQuestion {
  std::string method, target;  // GET, POST or DELETE; path and query
  std::string body;
  bool operator==(const PageQuestion&) const = default;
};

struct PageAnswer {
  int status = 0;
  std::string body;
  bool operator==(const PageAnswer&) const = default;
};

}  // namespace tailgate
