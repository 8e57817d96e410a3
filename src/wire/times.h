// SPDX-License-Identifier: Apache-2.0
// Converts times of other formats to OTLP's unsigned nanoseconds since 1970. What does not fit becomes 0 or 2^64-1.
#pragma once

#include <cstdint>

namespace tailgate {

constexpr std::uint64_t add_ns(std::uint64_t a, std::uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

constexpr std::uint64_t us_to_ns(std::uint64_t us) { return us > UINT64_MAX / 1000 ? UINT64_MAX : us * 1000; }
constexpr std::uint64_t us_to_ns(std::int64_t us) { return us < 0 ? 0 : us_to_ns(static_cast<std::uint64_t>(us)); }

// protobuf's Timestamp and Duration, the nanoseconds of either sign.
constexpr std::uint64_t seconds_to_ns(std::int64_t seconds, std::int32_t nanos) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (seconds < 0) {
    const std::int64_t ns = seconds < -10 ? -1 : seconds * kSecond + nanos;
    return ns < 0 ? 0 : static_cast<std::uint64_t>(ns);
  }
  if (static_cast<std::uint64_t>(seconds) > UINT64_MAX / kSecond) return UINT64_MAX;
  const std::uint64_t whole = static_cast<std::uint64_t>(seconds) * kSecond;
  if (nanos >= 0) return add_ns(whole, static_cast<std::uint64_t>(nanos));
  const auto less = static_cast<std::uint64_t>(-static_cast<std::int64_t>(nanos));
  return whole < less ? 0 : whole - less;
}

}  // namespace tailgate
