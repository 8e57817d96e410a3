// SPDX-License-Identifier: Apache-2.0
// Sampling thresholds as OpenTelemetry's probability sampling defines them (OTEP 235): a trace with randomness R, 56
// bits, is kept if R >= T, so it was kept with a probability of (2^56 - T) / 2^56 and stands for 2^56 / (2^56 - T)
// traces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "model/ids.h"

namespace tailgate {

inline constexpr std::uint64_t kRandomBits = 56;
inline constexpr std::uint64_t kNever = 1ULL << kRandomBits;  // no R reaches it
inline constexpr std::uint64_t kCertain = 0;                  // kept whatever its R
inline constexpr std::uint64_t kUnknownChance = UINT64_MAX;   // kept with a probability that is not known

// 0 % and less: kNever. 100 % and more: kCertain. Otherwise 2^56 - round(p * 2^56), at most kNever - 1.
std::uint64_t threshold_of_percentage(double percentage);
// The randomness of a trace without an explicit one: the last 7 bytes of its id, big-endian.
std::uint64_t randomness_of(const TraceId& id);
// As `th` writes it: 1 to 14 hex digits, trailing zeros left out.
std::string threshold_digits(std::uint64_t threshold);

// Thresholds in 16 bits, since millions of verdicts are remembered. Codes 1 to 57,344 are floating point: the
// probability with 10 bits after its leading one, rounded down. Up to 8,190 others are kept in a table: those of the
// configuration, which must be exact. Threads: any; value_of() locks only for codes of the table.
class ThresholdTable {
 public:
  static constexpr std::uint16_t kCertainCode = 0;
  static constexpr std::uint16_t kUnknownCode = UINT16_MAX;

  // The nearest threshold at or above this one that has a code without the table.
  static std::uint64_t round_up(std::uint64_t threshold);
  // `threshold` below kNever, or kUnknownChance. One that needs the table when that is full gets round_up()'s code.
  std::uint16_t code_of(std::uint64_t threshold);
  std::uint64_t value_of(std::uint16_t code) const;

 private:
  mutable Mutex mutex_;
  std::vector<std::uint64_t> exact_ TAILGATE_GUARDED_BY(mutex_);
};

}  // namespace tailgate
