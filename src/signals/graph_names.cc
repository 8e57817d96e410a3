// SPDX-License-Identifier: Apache-2.0
#include "signals/graph_names.h"

namespace tailgate {

std::uint32_t GraphNames::number_of(std::string_view name) {
  std::string text(name.substr(0, kNameBytesMax));  // a label repairs a character that is cut
  if (text.empty()) return 0;
  const MutexLock lock(mutex_);
  if (const auto found = numbers_.find(text); found != numbers_.end()) {
    names_[found->second].idle = false;
    return found->second;
  }
  auto number = static_cast<std::uint32_t>(names_.size());
  if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else if (names_.size() > max_) {
    return 0;
  } else {
    names_.emplace_back();
  }
  names_[number].text = text;
  numbers_.emplace(std::move(text), number);
  return number;
}

std::string GraphNames::text_of(std::uint32_t number) const {
  const MutexLock lock(mutex_);
  return names_[number].text;
}

std::size_t GraphNames::size() const {
  const MutexLock lock(mutex_);
  return numbers_.size();
}

bool GraphNames::is_full() const { return size() >= max_; }

void GraphNames::sweep(const std::vector<bool>& in_use) {
  const MutexLock lock(mutex_);
  for (std::uint32_t number = 1; number < names_.size(); ++number) {
    Name& name = names_[number];
    if (name.text.empty()) continue;
    const bool used = number < in_use.size() && in_use[number];
    if (!used && name.idle) {
      numbers_.erase(name.text);
      name = {};
      free_.push_back(number);
    } else {
      name.idle = !used;
    }
  }
}

}  // namespace tailgate
