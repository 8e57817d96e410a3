// SPDX-License-Identifier: Apache-2.0
// RootNames: service and name of the roots of open traces, by number, so that they take 4 bytes in a trace's header.
// Many traces have the same pair, so each is stored once, with the count of traces that name it. Threads: the holder of
// the shard's lock.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace tailgate {

class RootNames {
 public:
  static constexpr std::size_t kBytes = 72;         // of both are kept
  static constexpr std::size_t kServiceBytes = 32;  // of them, for the service at most
  static constexpr std::size_t kEntryBytes = 176;   // what an entry costs at most, tables included

  struct Entry {
    std::string service, name;
    std::uint64_t key = 0;
    std::uint32_t traces = 0;
  };

  // Counts a trace for the pair and gives its number, from 1. `fresh` says that it was new.
  std::uint32_t add(ByteView service, ByteView name, bool& fresh);
  // True: that was the last trace of the pair.
  bool remove(std::uint32_t number);
  const Entry& at(std::uint32_t number) const { return entries_[number - 1]; }

 private:
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  boost::unordered_flat_map<std::uint64_t, std::uint32_t> by_key_;
};

}  // namespace tailgate
