// SPDX-License-Identifier: Apache-2.0
#include "signals/series_config.h"

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

SeriesLife read_series_life(const ConfigNode& node, const char* expiration_key) {
  SeriesLife out;
  out.expiration = node.duration(expiration_key, out.expiration);
  if (out.expiration != Duration::zero() && out.expiration < std::chrono::minutes(1))
    node.error(expiration_key, "expected 0s, for never, or at least 1m");
  out.start_at_zero = node.duration("start_at_zero", out.start_at_zero);
  if (out.start_at_zero > std::chrono::hours(1)) {
    node.error("start_at_zero", "expected at most 1h");
  } else if (out.expiration >= std::chrono::minutes(1) && out.start_at_zero > out.expiration) {
    node.error("start_at_zero", fmt::format("expected at most {}, or the value is never seen", expiration_key));
  }
  return out;
}

}  // namespace tailgate
