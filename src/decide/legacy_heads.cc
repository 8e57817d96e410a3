// SPDX-License-Identifier: Apache-2.0
#include "decide/legacy_heads.h"

#include <cmath>

#include "base/hash.h"
#include "model/threshold.h"

namespace tailgate {
namespace {

constexpr Duration kMinute = std::chrono::minutes(1);
constexpr Duration kSilent = std::chrono::hours(1);
constexpr std::uint64_t kTracesMin = 25;  // fewer cannot be five sigma off
constexpr std::uint64_t kTracesToTakeBack = 100;
constexpr double kSigmas = 5, kSigmasToTakeBack = 2;
constexpr std::size_t kChangesMax = 100;  // that wait for the log

}  // namespace

std::uint64_t hashed_randomness(const TraceId& id) {
  static const std::uint64_t salted = fnv1a("default-hash-seed");
  return ~fnv1a(id.view(), salted) >> (64 - kRandomBits);
}

bool LegacyHeads::see(std::string_view name, std::uint64_t random, TimePoint now) {
  const MutexLock lock(mutex_);
  auto found = services_.find(name);
  if (found == services_.end()) {
    forget_silent(now);
    if (services_.size() >= kServicesMax) name = {};
    found = services_.try_emplace(std::string(name)).first;
    if (found->second.traces == 0) found->second.begun = now;
  }
  Service& service = found->second;
  service.last = now;
  ++service.traces;
  const std::uint64_t quarter = random >> (kRandomBits - 2);
  service.high += quarter >= 2;
  service.middle += quarter == 1 || quarter == 2;
  if (now - service.begun >= kMinute && service.traces >= kTracesMin) {
    judge(found->first, service);
    service.begun = now;
    service.traces = service.high = service.middle = 0;
  }
  judged_by_hash_ += service.legacy;
  return service.legacy;
}

void LegacyHeads::forget_silent(TimePoint now) {
  if (services_.size() < kServicesMax || now - forgot_ < kMinute) return;
  forgot_ = now;
  std::erase_if(services_, [&](const auto& entry) { return now - entry.second.last > kSilent; });
}

void LegacyHeads::judge(std::string_view name, Service& service) {
  const auto traces = static_cast<double>(service.traces);
  // By how many sigmas a half has fewer of them than it should.
  const auto missing = [&](std::uint64_t count) {
    return (traces / 2 - static_cast<double>(count)) / (std::sqrt(traces) / 2);
  };
  const double high = missing(service.high), middle = missing(service.middle);
  bool legacy = service.legacy;
  if (high >= kSigmas || (middle >= kSigmas && high > -kSigmas)) legacy = true;
  if (service.traces >= kTracesToTakeBack && std::abs(high) < kSigmasToTakeBack && std::abs(middle) < kSigmasToTakeBack)
    legacy = false;
  if (legacy == service.legacy) return;
  service.legacy = legacy;
  if (changes_.size() < kChangesMax) {
    changes_.push_back({std::string(name), legacy, service.traces, static_cast<double>(service.high) / traces,
                        static_cast<double>(service.middle) / traces});
  }
}

bool LegacyHeads::is_legacy(std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto found = services_.find(name);
  return found != services_.end() && found->second.legacy;
}

std::vector<LegacyHeads::Change> LegacyHeads::take_changes() {
  const MutexLock lock(mutex_);
  std::vector<Change> out;
  out.swap(changes_);
  return out;
}

LegacyHeads::Stats LegacyHeads::stats() const {
  const MutexLock lock(mutex_);
  Stats out{.services = 0, .traces = judged_by_hash_};
  for (const auto& [name, service] : services_) out.services += service.legacy;
  return out;
}

}  // namespace tailgate
