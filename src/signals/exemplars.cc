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
  const auto series = places_.find(key);
  if (series != places_.end()) {
    if (const auto there = series->second.find(bucket); there != series->second.end()) {
      there->second->exemplar = exemplar;
      held_.splice(held_.end(), held_, there->second);
      return;
    }
  }
  remove_old(exemplar.kept);
  if (held_.size() == config_.max) {
    remove_oldest();
    ++given_way_;
  }
  places_[key].emplace(bucket, held_.insert(held_.end(), {key, bucket, exemplar}));
}

void Exemplars::remove_oldest() {
  const auto series = places_.find(held_.front().key);
  series->second.erase(held_.front().bucket);
  if (series->second.empty()) places_.erase(series);
  held_.pop_front();
}

void Exemplars::remove_old(TimePoint now) {
  while (!held_.empty() && now - held_.front().exemplar.kept > config_.age_max) remove_oldest();
}

Exemplars::BySeries Exemplars::all(TimePoint now) {
  const MutexLock lock(mutex_);
  remove_old(now);
  BySeries out;
  for (const Held& one : held_) out[one.key].emplace(one.bucket, one.exemplar);
  return out;
}

Exemplars::Stats Exemplars::stats() const {
  const MutexLock lock(mutex_);
  return {held_.size(), passed_by_, given_way_};
}

}  // namespace tailgate
