// SPDX-License-Identifier: Apache-2.0
// GraphNames: names of services and of what they call, by number, so that what waits is small. Numbers are never given
// back: number 0 is no name, and also what every further name gets when there is no room.
//
// Threads: any; one lock, taken when a thread does not know a name yet. A text stays where it is.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"

namespace tailgate {

class GraphNames {
 public:
  static constexpr std::size_t kNameBytesMax = 256;  // longer ones are cut

  explicit GraphNames(std::size_t max) : max_(max), texts_(1) {}
  static std::size_t bytes_max(std::size_t max) { return max * (kNameBytesMax + 128); }

  std::uint32_t number_of(std::string_view name);
  const std::string& text_of(std::uint32_t number) const;
  std::size_t size() const;

 private:
  const std::size_t max_;
  mutable Mutex mutex_;
  std::deque<std::string> texts_ TAILGATE_GUARDED_BY(mutex_);
  std::unordered_map<std::string_view, std::uint32_t> numbers_ TAILGATE_GUARDED_BY(mutex_);
};

}  // namespace tailgate
