// Repeats: formats that have resource and scope in each span say them again and again, so that a few kilobytes of
// request could become gigabytes. What is large is said again as long as there is room, and then only with the first of
// its spans. Belongs to one writer; prefixes are told apart by where they are, and must stay there.
#pragma once

#include <cstddef>
#include <unordered_set>

#include "base/bytes.h"

namespace tailgate {

class Repeats {
 public:
  static constexpr std::size_t kSmall = 1024;  // is always said

  explicit Repeats(std::size_t room) : room_(room) {}

  // True: say it; false: it has been said, and there is no room to say it again.
  bool say(ByteView prefix) {
    if (prefix.size() <= kSmall || said_.insert(prefix.data()).second) return true;
    if (prefix.size() > room_) return false;
    room_ -= prefix.size();
    return true;
  }

 private:
  std::size_t room_;
  std::unordered_set<const char*> said_;
};

}  // namespace tailgate
