// SPDX-License-Identifier: Apache-2.0
// Homes: which member of a view a trace belongs to, by rendezvous hashing (Thaler and Ravishankar, 1998) over the
// members' names. When a member comes, only the ids that it wins move; when one goes, only its own do, each to the one
// that comes second for it.
//
// The same in every process and version: two daemons with the same names agree. Immutable; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"

namespace tailgate {

class Homes {
 public:
  Homes() = default;
  explicit Homes(std::vector<std::string> names);  // sorted here; each once

  // Index in names() of the trace's home; the view must not be empty. Cost: one hash of the id, and a multiplication or
  // two for each member.
  std::size_t home_of(const TraceId& id) const;
  const std::vector<std::string>& names() const { return names_; }
  std::optional<std::size_t> index_of(std::string_view name) const;
  bool has(std::string_view name) const { return index_of(name).has_value(); }
  bool empty() const { return names_.empty(); }
  std::size_t size() const { return names_.size(); }
  // Of the names alone; 0 when there are none.
  std::uint64_t version() const { return version_; }
  bool operator==(const Homes& other) const { return names_ == other.names_; }

 private:
  std::vector<std::string> names_;
  std::vector<std::uint64_t> seeds_;  // by name
  std::uint64_t version_ = 0;
};

}  // namespace tailgate
