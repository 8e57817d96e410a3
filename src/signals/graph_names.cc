// SPDX-License-Identifier: Apache-2.0
#include "signals/graph_names.h"

namespace tailgate {

std::uint32_t GraphNames::number_of(std::string_view name) {
  name = name.substr(0, kNameBytesMax);  // a label repairs a character that is cut
  if (name.empty()) return 0;
  const MutexLock lock(mutex_);
  if (const auto found = numbers_.find(name); found != numbers_.end()) return found->second;
  if (texts_.size() > max_) return 0;
  const auto number = static_cast<std::uint32_t>(texts_.size());
  texts_.emplace_back(name);
  numbers_.emplace(texts_.back(), number);
  return number;
}

const std::string& GraphNames::text_of(std::uint32_t number) const {
  const MutexLock lock(mutex_);
  return texts_[number];
}

std::size_t GraphNames::size() const {
  const MutexLock lock(mutex_);
  return texts_.size() - 1;
}

}  // namespace tailgate
