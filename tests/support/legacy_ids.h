// SPDX-License-Identifier: Apache-2.0
// Trace ids as the samplers by ratio of today's SDKs let them through.
#pragma once

#include <random>

#include "model/ids.h"
#include "model/threshold.h"

namespace tailgate::test {

enum class Head {
  kNone,       // every id
  kLowWord,    // Go, Python: the low word is below the ratio of its range
  kJava,       // the amount of the low word as a signed number is
  kThreshold,  // OpenTelemetry's ProbabilitySampler: R >= T
};

class HeadIds {
 public:
  HeadIds(Head head, double ratio, std::uint64_t seed = 17) : head_(head), ratio_(ratio), random_(seed) {}

  TraceId next() {
    const std::uint64_t high = random_(), low = low_word();
    TraceId out;
    for (std::size_t i = 0; i < 8; ++i) {
      out.bytes[i] = static_cast<char>(high >> (56 - 8 * i) & 255);
      out.bytes[8 + i] = static_cast<char>(low >> (56 - 8 * i) & 255);
    }
    return out;
  }

 private:
  std::uint64_t below(double bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, static_cast<std::uint64_t>(bound))(random_);
  }
  std::uint64_t low_word() {
    switch (head_) {
      case Head::kNone:
        return random_();
      case Head::kLowWord:
        return below(ratio_ * 0x1p64);
      case Head::kJava: {
        const std::uint64_t amount = below(ratio_ * 0x1p63);
        return random_() % 2 ? amount : ~amount;
      }
      case Head::kThreshold:
        break;
    }
    const std::uint64_t threshold = threshold_of_percentage(ratio_ * 100);
    return random_() << kRandomBits | (threshold + below(static_cast<double>(kNever - threshold) - 64));
  }

  const Head head_;
  const double ratio_;
  std::mt19937_64 random_;
};

}  // namespace tailgate::test
