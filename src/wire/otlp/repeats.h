// SPDX-License-Identifier: Apache-2.0
// Repeats: some formats repeat resource and scope with each span, so a few kilobytes of a request could become
// gigabytes. A large prefix is repeated as long as there is room, and after that written only with the first of its
// spans. Belongs to one writer. Prefixes are compared by address, so they must not move.
#pragma once

#include <cstddef>
#include <unordered_set>

#include "base/bytes.h"

namespace tailgate {

class Repeats {
 public:
  static constexpr std::size_t kSmall = 1024;  // prefixes up to this size are always repeated

  explicit Repeats(std::size_t room) : room_(room) {}

  // Whether to write the prefix with this span. False when it has been written and there is no room to repeat it.
  bool may_write(ByteView prefix) {
    if (prefix.size() <= kSmall || written_.insert(prefix.data()).second) return true;
    if (prefix.size() > room_) return false;
    room_ -= prefix.size();
    return true;
  }

 private:
  std::size_t room_;
  std::unordered_set<const char*> written_;
};

}  // namespace tailgate
