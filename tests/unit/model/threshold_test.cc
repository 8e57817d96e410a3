// SPDX-License-Identifier: Apache-2.0
#include "model/threshold.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

constexpr std::uint64_t kHalf = kNever / 2;

// The probability that a threshold stands for, of 2^56.
std::uint64_t chance(std::uint64_t threshold) { return kNever - threshold; }

}  // namespace

TEST_CASE("a percentage becomes the threshold that this share of all randomness reaches", "[model]") {
  CHECK(threshold_of_percentage(100) == kCertain);
  CHECK(threshold_of_percentage(250) == kCertain);
  CHECK(threshold_of_percentage(50) == kHalf);
  CHECK(threshold_of_percentage(25) == kHalf + kHalf / 2);
  CHECK(threshold_of_percentage(0) == kNever);
  CHECK(threshold_of_percentage(-1) == kNever);
  CHECK(threshold_of_percentage(std::numeric_limits<double>::quiet_NaN()) == kNever);
  CHECK(threshold_of_percentage(1e-300) == kNever - 1);  // more than nothing: one value of 2^56 reaches it
}

TEST_CASE("the randomness of a trace is the last 7 bytes of its id", "[model]") {
  CHECK(randomness_of(*TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736")) == 0xce929d0e0e4736);
  CHECK(randomness_of(*TraceId::from_hex("ffffffffffffffffff00000000000000")) == 0);
  CHECK(randomness_of(*TraceId::from_hex("000000000000000000ffffffffffffff")) == kNever - 1);
}

TEST_CASE("a threshold is written as 1 to 14 hex digits without trailing zeros", "[model]") {
  CHECK(threshold_digits(kCertain) == "0");
  CHECK(threshold_digits(kHalf) == "8");
  CHECK(threshold_digits(kHalf + kHalf / 2) == "c");
  CHECK(threshold_digits(threshold_of_percentage(1)) == "fd70a3d70a3d71");
  CHECK(threshold_digits(0x00000000000010) == "0000000000001");
  CHECK(threshold_digits(1) == "00000000000001");
}

TEST_CASE("certainty and unknown chance have codes of their own", "[model]") {
  ThresholdTable table;
  CHECK(table.code_of(kCertain) == ThresholdTable::kCertainCode);
  CHECK(table.value_of(ThresholdTable::kCertainCode) == kCertain);
  CHECK(table.code_of(kUnknownChance) == ThresholdTable::kUnknownCode);
  CHECK(table.value_of(ThresholdTable::kUnknownCode) == kUnknownChance);
}

TEST_CASE("a probability of up to 11 bits has a code without the table", "[model]") {
  ThresholdTable table;
  const ThresholdTable other;
  for (const std::uint64_t p : {1ULL, 2ULL, 3ULL, 2047ULL, 2047ULL << 45, 1ULL << 55, 1025ULL << 30}) {
    INFO(p);
    const std::uint64_t threshold = kNever - p;
    CHECK(ThresholdTable::round_up(threshold) == threshold);
    CHECK(other.value_of(table.code_of(threshold)) == threshold);
  }
}

TEST_CASE("a probability of more bits is rounded down, by less than a thousandth", "[model]") {
  CHECK(chance(ThresholdTable::round_up(kNever - 2049)) == 2048);
  CHECK(chance(ThresholdTable::round_up(kNever - 4095)) == 4094);
  for (const double percentage : {0.001, 1.0, 3.7, 10.0, 33.3, 99.9}) {
    INFO(percentage);
    const std::uint64_t exact = threshold_of_percentage(percentage);
    const std::uint64_t rounded = ThresholdTable::round_up(exact);
    CHECK(rounded >= exact);
    CHECK(chance(exact) - chance(rounded) < chance(exact) / 1000);
    CHECK(ThresholdTable::round_up(rounded) == rounded);
  }
  CHECK(ThresholdTable::round_up(kCertain) == kCertain);
  CHECK(ThresholdTable::round_up(kNever) == kNever);
}

TEST_CASE("the table keeps 8,190 exact thresholds, each once, and rounds those that come later", "[model]") {
  ThresholdTable table;
  // Probabilities with 13 bits: none has a code without the table.
  const auto threshold = [](std::uint64_t n) { return kNever - (1 + 2 * (n + 4096)); };
  for (std::uint64_t n = 0; n < 8190; ++n) {
    if (table.value_of(table.code_of(threshold(n))) != threshold(n)) FAIL(n);
  }
  CHECK(table.code_of(threshold(0)) == table.code_of(threshold(0)));
  CHECK(table.value_of(table.code_of(threshold(8189))) == threshold(8189));
  CHECK(table.value_of(table.code_of(threshold(8190))) == ThresholdTable::round_up(threshold(8190)));
  CHECK(ThresholdTable::round_up(threshold(8190)) > threshold(8190));
}
