// SPDX-License-Identifier: Apache-2.0
#include "buffer/trace_shape.h"

#include <algorithm>
#include <bit>

namespace tailgate {

std::size_t LinkScan::find(std::uint32_t id) const {
  // The hashes are seeded and good in every bit: their lower ones will do.
  std::size_t slot = id & mask_;
  while (table_[slot].id != 0 && table_[slot].id != id) slot = (slot + 1) & mask_;
  return slot;
}

void LinkScan::index() {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(16, links.size() * 2));
  table_.assign(size, Slot());
  mask_ = size - 1;
  for (std::uint32_t i = 0; i < links.size(); ++i) {
    Slot& slot = table_[find(links[i].id)];
    if (slot.id == 0) slot = {links[i].id, i, true};
  }
}

std::uint32_t LinkScan::missing_parents() {
  index();
  std::uint32_t missing = 0;
  for (const SpanLink link : links) {
    if (link.parent == 0) continue;
    Slot& slot = table_[find(link.parent)];
    if (slot.id != 0) continue;
    ++missing;
    if (missing + links.size() > table_.size() * 3 / 4)
      return missing;                // so the table never fills; the exact number does not matter then
    slot = {link.parent, 0, false};  // once
  }
  return missing;
}

std::uint32_t LinkScan::depth() {
  index();
  // Each span's depth is that of its parent and one; walked up once, then filled in on the way back.
  std::vector<std::uint32_t> depths(links.size(), 0);
  std::vector<std::uint32_t> way;
  std::uint32_t deepest = 0;
  for (std::uint32_t i = 0; i < links.size(); ++i) {
    way.clear();
    std::uint32_t at = i;
    std::uint32_t above = 0;
    while (depths[at] == 0) {
      depths[at] = 1;  // seen: a circle ends here
      way.push_back(at);
      if (links[at].parent == 0) break;
      const Slot& slot = table_[find(links[at].parent)];
      if (slot.id == 0) break;
      at = slot.index;
      if (depths[at] != 0) above = depths[at];
    }
    for (std::size_t k = way.size(); k-- != 0;) depths[way[k]] = ++above;
    deepest = std::max(deepest, depths[i]);
  }
  return deepest;
}

void OpenTraceShape::read() const {
  if (!read_) read_links(pool_, trace_, scan_.links);
  read_ = true;
}

std::uint32_t OpenTraceShape::missing_parents() const {
  if (missing_ == UINT32_MAX) {
    read();
    missing_ = scan_.missing_parents();
  }
  return missing_;
}

std::uint32_t OpenTraceShape::depth() const {
  if (depth_ == 0) {
    read();
    depth_ = scan_.depth();
  }
  return depth_;
}

std::uint32_t OpenTraceShape::services() const {
  if (services_ == 0) services_ = count_services_();
  return services_;
}

}  // namespace tailgate
