// SPDX-License-Identifier: Apache-2.0
#include "model/threshold.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "codec/hex.h"

namespace tailgate {
namespace {

constexpr int kMantissa = 10;
constexpr std::uint16_t kFirstExact = 1 + (kRandomBits << kMantissa);

// The probability's code, for 1 <= p < 2^56: its exponent and the bits after its leading one.
std::uint16_t float_code(std::uint64_t p) {
  const int exponent = 63 - std::countl_zero(p);
  const std::uint64_t mantissa = exponent >= kMantissa ? p >> (exponent - kMantissa) : p << (kMantissa - exponent);
  return static_cast<std::uint16_t>(1 + (exponent << kMantissa) + static_cast<int>(mantissa - (1u << kMantissa)));
}

std::uint64_t from_float_code(std::uint16_t code) {
  const int exponent = (code - 1) >> kMantissa;
  const std::uint64_t mantissa = (static_cast<std::uint64_t>(code - 1) & ((1u << kMantissa) - 1)) | 1u << kMantissa;
  return exponent >= kMantissa ? mantissa << (exponent - kMantissa) : mantissa >> (kMantissa - exponent);
}

}  // namespace

std::uint64_t threshold_of_percentage(double percentage) {
  if (!(percentage > 0)) return kNever;
  if (percentage >= 100) return kCertain;
  const double p = std::round(percentage / 100 * static_cast<double>(kNever));
  return kNever - std::max<std::uint64_t>(1, static_cast<std::uint64_t>(p));
}

std::uint64_t randomness_of(const TraceId& id) {
  std::uint64_t r = 0;
  for (std::size_t i = 9; i < 16; ++i) r = r << 8 | static_cast<std::uint8_t>(id.bytes[i]);
  return r;
}

std::string threshold_digits(std::uint64_t threshold) {
  std::string digits;
  for (int shift = static_cast<int>(kRandomBits) - 4; shift >= 0; shift -= 4)
    digits += kHexDigits[threshold >> shift & 15];
  digits.erase(std::max<std::size_t>(1, digits.find_last_not_of('0') + 1));
  return digits;
}

std::uint64_t ThresholdTable::round_up(std::uint64_t threshold) {
  if (threshold == kCertain || threshold >= kNever) return threshold;
  return kNever - from_float_code(float_code(kNever - threshold));
}

std::uint16_t ThresholdTable::code_of(std::uint64_t threshold) {
  if (threshold == kCertain) return kCertainCode;
  if (threshold >= kNever) return kUnknownCode;
  const std::uint16_t code = float_code(kNever - threshold);
  if (kNever - from_float_code(code) == threshold) return code;
  const MutexLock lock(mutex_);
  const auto it = std::find(exact_.begin(), exact_.end(), threshold);
  if (it == exact_.end() && exact_.size() == static_cast<std::size_t>(kUnknownCode - kFirstExact)) return code;
  const auto index = static_cast<std::size_t>(it - exact_.begin());
  if (it == exact_.end()) exact_.push_back(threshold);
  return static_cast<std::uint16_t>(kFirstExact + index);
}

std::uint64_t ThresholdTable::value_of(std::uint16_t code) const {
  if (code == kCertainCode) return kCertain;
  if (code == kUnknownCode) return kUnknownChance;
  if (code < kFirstExact) return kNever - from_float_code(code);
  const MutexLock lock(mutex_);
  return exact_[code - kFirstExact];
}

}  // namespace tailgate
