// SPDX-License-Identifier: Apache-2.0
#include "signals/exemplars.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "codec/hex.h"
#include "signals/exposition.h"

namespace tailgate {

std::string Exemplar::text(double unit_ns) const {
  std::string id;
  append_hex(id, ByteView(reinterpret_cast<const char*>(&span), sizeof span));
  return fmt::format(R"( # {{trace_id="{}",span_id="{}"}} {} {}.{:03})", trace.hex(), id,
                     number_text(static_cast<double>(duration_ns) / unit_ns, true), unix_ns / 1'000'000'000,
                     unix_ns / 1'000'000 % 1000);
}

// A bucket that is filled once a second is enough for what people click on.
bool Exemplars::wants(TimePoint now) {
  const MutexLock lock(mutex_);
  if (now - filled_ >= std::chrono::seconds(1)) {
    tokens_ = config_.traces_per_second;
    filled_ = now;
  }
  if (tokens_ == 0) {
    ++passed_by_;
    return false;
  }
  --tokens_;
  return true;
}

void Exemplars::put(std::uint64_t key, std::size_t bucket, const Exemplar& exemplar) {
  const MutexLock lock(mutex_);
  const auto series = by_series_.find(key);
  if (series != by_series_.end()) {
    if (const auto there = series->second.find(bucket); there != series->second.end()) {
      there->second = exemplar;
      return;
    }
  }
  if (held_ == config_.max) {
    ++no_room_;
    return;
  }
  by_series_[key].emplace(bucket, exemplar);
  ++held_;
}

Exemplars::BySeries Exemplars::all(TimePoint now) {
  const MutexLock lock(mutex_);
  for (auto series = by_series_.begin(); series != by_series_.end();) {
    held_ -= std::erase_if(series->second, [&](const auto& one) { return now - one.second.kept > config_.age_max; });
    series = series->second.empty() ? by_series_.erase(series) : std::next(series);
  }
  return by_series_;
}

Exemplars::Stats Exemplars::stats() const {
  const MutexLock lock(mutex_);
  return {held_, passed_by_, no_room_};
}

}  // namespace tailgate
