// SPDX-License-Identifier: Apache-2.0
// NamesTable: policy names by number, so that a verdict can name one in 16 bits. Number 0 is "none". Rules of
// first_match and entries of endpoint that have a name are here too, as POLICY/NAME. Grows by names never seen before,
// at most 65,535. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace tailgate {

class NamesTable {
 public:
  NamesTable() : names_{{"none", false}} {}
  std::uint16_t number_of(std::string_view name) { return number_of(name, false); }  // a full table gives 0
  // Of a part of a policy: a rule, an entry.
  std::uint16_t number_of_part(std::string_view policy, std::string_view part);
  std::string name_of(std::uint16_t number) const;
  bool is_part(std::uint16_t number) const;
  // The numbers of a policy's name and of its parts; or of the part alone that is named. Empty: nobody has that name.
  std::vector<std::uint16_t> find(std::string_view name) const;
  std::size_t size() const;

 private:
  struct Entry {
    std::string name;
    bool part;
  };
  std::uint16_t number_of(std::string_view name, bool part);

  mutable Mutex mutex_;
  std::vector<Entry> names_ TAILGATE_GUARDED_BY(mutex_);
};

}  // namespace tailgate
