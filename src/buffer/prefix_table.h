// SPDX-License-Identifier: Apache-2.0
// PrefixTable: the resource and scope bytes of one shard's spans. Each distinct value is stored once, because services
// repeat them in every request, and the payload of traces refers to it by number. The scopes of a resource share its
// bytes.
//
// A prefix is freed when no trace can refer to it any more: traces are counted by the generation (about a second) in
// which they were opened, and a prefix last used before the oldest generation with a trace is free.
//
// Threads: the holder of the shard's lock. The address and content of a prefix stay valid without the lock as long as a
// trace of its generation is counted.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "model/span_batch.h"

namespace tailgate {

// Generations are the buffer's wrapping milliseconds / 1024, so 22 bits that wrap evenly.
inline constexpr std::uint32_t kGenerationMs = 1024;

struct Prefix {
  std::shared_ptr<const std::string> shared_resource;  // one for all scopes of a resource
  ByteView service;                                    // service.name in it; "" when it has none
  std::string scope;
  std::uint64_t key = 0;
  std::uint32_t last_used = 0;

  ByteView resource() const { return *shared_resource; }  // as in ScopeGroup
  // With the tables' share.
  static std::size_t resource_bytes(ByteView resource) { return resource.size() + 128; }
  static std::size_t scope_bytes(ByteView scope) { return scope.size() + sizeof(Prefix) + 96; }
  static std::size_t bytes_of(ByteView resource, ByteView scope) {
    return resource_bytes(resource) + scope_bytes(scope);
  }
};

class PrefixTable {
 public:
  // The number of `group`'s prefix, which is stored if it is new. The caller has reserved the room.
  std::uint32_t intern(const ScopeGroup& group, std::uint32_t now);
  const Prefix& at(std::uint32_t id) const { return *prefixes_[id]; }

  void count_trace(std::uint32_t opened) { ++traces_of(opened); }
  void uncount_trace(std::uint32_t opened) { --traces_of(opened); }
  // The oldest generation with a trace; nothing when there is none.
  std::optional<std::uint32_t> oldest() const;

  // Frees the prefixes that no trace can refer to. Costs O(prefixes); called about once a second.
  void evict(std::uint32_t now);

  std::size_t bytes() const { return bytes_; }
  std::size_t size() const { return by_hash_.size(); }

 private:
  std::shared_ptr<const std::string> intern_resource(ByteView resource);
  std::uint32_t& traces_of(std::uint32_t generation);

  std::size_t bytes_ = 0;
  std::vector<std::unique_ptr<Prefix>> prefixes_;  // by number; null is free
  std::vector<std::uint32_t> free_numbers_;
  boost::unordered_flat_map<std::uint64_t, std::uint32_t> by_hash_;
  boost::unordered_flat_map<std::uint64_t, std::shared_ptr<const std::string>> resources_;  // by hash
  std::deque<std::uint32_t> open_;  // traces opened in generation first_ + i
  std::uint32_t first_ = 0;
};

}  // namespace tailgate
