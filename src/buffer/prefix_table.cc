#include "buffer/prefix_table.h"

#include "base/invariant.h"
#include "buffer/open_trace.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kGenerationMask = UINT32_MAX / kGenerationMs;

// From a to b in wrapping generations of 22 bits.
std::int32_t distance(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>((b - a) << 10) >> 10; }

}  // namespace

std::uint32_t PrefixTable::intern(const ScopeGroup& group, std::uint32_t now) {
  std::uint64_t key = group.hash;
  for (auto it = by_hash_.find(key); it != by_hash_.end(); it = by_hash_.find(++key)) {  // ++: another with the same hash
    Prefix& known = *prefixes_[it->second];
    if (known.resource != group.resource || known.scope != group.scope) continue;
    known.last_used = now;
    return it->second;
  }
  auto prefix = std::make_unique<Prefix>();
  prefix->resource = group.resource;
  prefix->scope = group.scope;
  prefix->key = key;
  prefix->last_used = now;
  bytes_ += prefix->bytes();
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

std::uint32_t& PrefixTable::traces_of(std::uint32_t generation) {
  if (open_.empty()) first_ = generation;
  const std::int32_t ahead = distance(first_, generation);
  INVARIANT(ahead >= 0);  // the shard's time moves forward
  while (static_cast<std::size_t>(ahead) >= open_.size()) open_.push_back(0);
  return open_[static_cast<std::size_t>(ahead)];
}

void PrefixTable::evict(std::uint32_t now) {
  while (!open_.empty() && open_.front() == 0) {
    open_.pop_front();
    first_ = (first_ + 1) & kGenerationMask;
  }
  const std::uint32_t oldest = open_.empty() ? now : first_;
  for (std::uint32_t id = 0; id < prefixes_.size(); ++id) {
    if (prefixes_[id] == nullptr || distance(oldest, prefixes_[id]->last_used) >= 0) continue;
    bytes_ -= prefixes_[id]->bytes();
    by_hash_.erase(prefixes_[id]->key);
    prefixes_[id].reset();
    free_numbers_.push_back(id);
  }
}

}  // namespace tailgate
