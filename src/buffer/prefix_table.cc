// SPDX-License-Identifier: Apache-2.0
#include "buffer/prefix_table.h"

#include "base/hash.h"
#include "base/invariant.h"
#include "buffer/open_trace.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kGenerationMask = UINT32_MAX / kGenerationMs;

// From a to b in wrapping generations of 22 bits.
std::int32_t distance(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>((b - a) << 10) >> 10; }

}  // namespace

std::uint32_t PrefixTable::intern(const ScopeGroup& group, std::uint32_t now) {
  std::uint64_t key = group.hash;
  for (auto it = by_hash_.find(key); it != by_hash_.end();
       it = by_hash_.find(++key)) {  // ++: another with the same hash
    Prefix& known = *prefixes_[it->second];
    if (known.resource() != group.resource || known.scope != group.scope) continue;
    known.last_used = now;
    return it->second;
  }
  auto prefix = std::make_unique<Prefix>();
  prefix->shared_resource = intern_resource(group.resource);
  prefix->service = service_name(prefix->resource());
  prefix->scope = group.scope;
  prefix->key = key;
  prefix->last_used = now;
  bytes_ += Prefix::scope_bytes(prefix->scope);
  std::uint32_t id;
  if (!free_numbers_.empty()) {
    id = free_numbers_.back();
    free_numbers_.pop_back();
    prefixes_[id] = std::move(prefix);
  } else {
    id = static_cast<std::uint32_t>(prefixes_.size());
    prefixes_.push_back(std::move(prefix));
  }
  by_hash_.emplace(key, id);
  return id;
}

std::shared_ptr<const std::string> PrefixTable::intern_resource(ByteView resource) {
  std::uint64_t key = hash_bytes(resource, 0x7265736f75726365ULL);
  for (auto it = resources_.find(key); it != resources_.end(); it = resources_.find(++key)) {
    if (*it->second == resource) return it->second;
  }
  bytes_ += Prefix::resource_bytes(resource);
  return resources_.emplace(key, std::make_shared<const std::string>(resource)).first->second;
}

std::uint32_t& PrefixTable::traces_of(std::uint32_t generation) {
  if (open_.empty()) first_ = generation;
  const std::int32_t ahead = distance(first_, generation);
  INVARIANT(ahead >= 0);  // the shard's time moves forward
  while (static_cast<std::size_t>(ahead) >= open_.size()) open_.push_back(0);
  return open_[static_cast<std::size_t>(ahead)];
}

std::optional<std::uint32_t> PrefixTable::oldest() const {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (open_[i] != 0) return (first_ + static_cast<std::uint32_t>(i)) & kGenerationMask;
  }
  return std::nullopt;
}

void PrefixTable::evict(std::uint32_t now) {
  while (!open_.empty() && open_.front() == 0) {
    open_.pop_front();
    first_ = (first_ + 1) & kGenerationMask;
  }
  const std::uint32_t oldest = open_.empty() ? now : first_;
  for (std::uint32_t id = 0; id < prefixes_.size(); ++id) {
    if (prefixes_[id] == nullptr || distance(oldest, prefixes_[id]->last_used) >= 0) continue;
    bytes_ -= Prefix::scope_bytes(prefixes_[id]->scope);
    by_hash_.erase(prefixes_[id]->key);
    prefixes_[id].reset();
    free_numbers_.push_back(id);
  }
  erase_if(resources_, [this](const auto& entry) {
    if (entry.second.use_count() != 1) return false;
    bytes_ -= Prefix::resource_bytes(*entry.second);
    return true;
  });
}

}  // namespace tailgate
