// SPDX-License-Identifier: Apache-2.0
#include "decide/names_table.h"

#include <algorithm>

namespace tailgate {

std::uint16_t NamesTable::number_of(std::string_view name, bool part) {
  const MutexLock lock(mutex_);
  const auto it = std::find_if(names_.begin(), names_.end(), [&](const Entry& entry) { return entry.name == name; });
  if (it != names_.end()) {
    it->part &= part;  // a policy may have the name of what once was a part
    return static_cast<std::uint16_t>(it - names_.begin());
  }
  if (names_.size() > UINT16_MAX) return 0;
  names_.push_back({std::string(name), part});
  return static_cast<std::uint16_t>(names_.size() - 1);
}

std::uint16_t NamesTable::number_of_part(std::string_view policy, std::string_view part) {
  return number_of(std::string(policy).append("/").append(part), true);
}

std::string NamesTable::name_of(std::uint16_t number) const {
  const MutexLock lock(mutex_);
  return number < names_.size() ? names_[number].name : names_[0].name;
}

bool NamesTable::is_part(std::uint16_t number) const {
  const MutexLock lock(mutex_);
  return number < names_.size() && names_[number].part;
}

std::vector<std::uint16_t> NamesTable::find(std::string_view name) const {
  const std::string parts = std::string(name) + "/";
  std::vector<std::uint16_t> out;
  const MutexLock lock(mutex_);
  for (std::size_t i = 1; i < names_.size(); ++i) {
    const Entry& entry = names_[i];
    if (entry.name == name || (entry.part && entry.name.starts_with(parts)))
      out.push_back(static_cast<std::uint16_t>(i));
  }
  return out;
}

std::size_t NamesTable::size() const {
  const MutexLock lock(mutex_);
  return names_.size();
}

}  // namespace tailgate
