// SPDX-License-Identifier: Apache-2.0
// IdFilter: whether a finished partition may have a trace (a Bloom filter, 10 bits a trace, 1 % too often yes). It is
// in memory, so that the writer learns without a read that a trace is new. The file is checksummed. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/ids.h"

namespace tailgate {

class IdFilter {
 public:
  explicit IdFilter(std::size_t ids = 0) : words_(ids * 10 / 64 + 1) {}
  void add(const TraceId& id);
  bool may_have(const TraceId& id) const;
  std::size_t bytes() const { return words_.size() * 8; }

  // kBadInput when it is missing or damaged.
  static Result<IdFilter> load(const std::string& path);
  Result<void> save(const std::string& path) const;

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace tailgate
