// SPDX-License-Identifier: Apache-2.0
#include "signals/buckets.h"

#include <fmt/format.h>

#include "base/units.h"

namespace tailgate {

std::vector<std::uint64_t> read_buckets(const ConfigNode& node, const char* key, std::size_t max) {
  std::vector<std::uint64_t> out;
  const std::vector<ConfigNode> items = node.child(key).items();
  for (const ConfigNode& item : items) {
    const std::optional<Duration> bound = parse_duration(item.scalar());
    if (!bound || bound->count() <= 0) {
      item.error("expected a duration over 0, such as 250ms");
    } else if (!out.empty() && static_cast<std::uint64_t>(bound->count()) <= out.back()) {
      item.error("expected a duration over the one before it");
    } else {
      out.push_back(static_cast<std::uint64_t>(bound->count()));
    }
  }
  if (items.empty() || items.size() > max) node.error(key, fmt::format("expected 1 to {} durations", max));
  return out;
}

}  // namespace tailgate
