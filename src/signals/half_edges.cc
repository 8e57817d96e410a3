// SPDX-License-Identifier: Apache-2.0
#include "signals/half_edges.h"

#include <algorithm>
#include <bit>

namespace tailgate {

HalfEdges::HalfEdges(std::size_t max)
    : max_(std::max<std::size_t>(1, max)),
      mask_(std::bit_ceil(max_) - 1),
      pool_(std::make_unique<Item[]>(max_)),
      heads_(std::make_unique<std::uint32_t[]>(mask_ + 1)) {
  std::fill_n(heads_.get(), mask_ + 1, kNone);
  for (std::uint32_t i = 0; i < max_; ++i) pool_[i].chain = i + 1 == max_ ? kNone : i + 1;
  free_ = 0;
}

std::size_t HalfEdges::bytes_max(std::size_t max) {
  return std::max<std::size_t>(1, max) * sizeof(Item) + std::bit_ceil(std::max<std::size_t>(1, max)) * 4;
}

HalfEdges::Added HalfEdges::add(const HalfEdge& half, std::uint32_t now_ms, const HalfEdge*& other) {
  std::uint32_t* link = &heads_[half.key & mask_];
  while (*link != kNone && pool_[*link].half.key != half.key) link = &pool_[*link].chain;
  if (*link != kNone) {
    Item& there = pool_[*link];
    if (there.half.client == half.client) {
      there.half = half;
      return Added::kReplaced;
    }
    other = &there.half;
    remove(*link, link);
    return Added::kPaired;
  }
  if (free_ == kNone) return Added::kFull;
  const std::uint32_t i = free_;
  Item& item = pool_[i];
  free_ = item.chain;
  item = {half, now_ms, kNone, newest_, kNone};
  *link = i;
  if (newest_ != kNone) pool_[newest_].newer = i;
  newest_ = i;
  if (oldest_ == kNone) oldest_ = i;
  ++size_;
  return Added::kWaits;
}

void HalfEdges::remove(std::uint32_t i, std::uint32_t* link) {
  Item& item = pool_[i];
  *link = item.chain;
  (item.older != kNone ? pool_[item.older].newer : oldest_) = item.newer;
  (item.newer != kNone ? pool_[item.newer].older : newest_) = item.older;
  item.chain = free_;
  free_ = i;
  --size_;
}

std::optional<HalfEdge> HalfEdges::take_old(std::uint32_t until_ms) {
  if (oldest_ == kNone || static_cast<std::int32_t>(until_ms - pool_[oldest_].at_ms) < 0) return std::nullopt;
  const std::uint32_t i = oldest_;
  const HalfEdge half = pool_[i].half;
  std::uint32_t* link = &heads_[half.key & mask_];
  while (*link != i) link = &pool_[*link].chain;
  remove(i, link);
  return half;
}

}  // namespace tailgate
