// SPDX-License-Identifier: Apache-2.0
// probabilistic: keeps a share of all traces, chosen by a hash of the trace id, so that collectors with the same salt
// agree.
//     - {name: baseline, type: probabilistic, probabilistic: {sampling_percentage: 1, hash_salt: ""}}
// Bit for bit contrib's tail_sampling: h = FNV-1a 64 over salt ("default-hash-seed" when empty) and the 16 id bytes;
// kept when h <= trunc((2^64-1) * percentage/100), the product rounded to 64 bits of mantissa, nearest even (Go's
// big.Float). With `use_tracestate` the trace's own randomness decides instead (model/threshold.h), so that `th` can be
// written.
#include "decide/policies/probabilistic.h"

#include <bit>
#include <cmath>

#include "base/hash.h"
#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {

std::uint64_t probabilistic_threshold(double percentage) {
  const double ratio = percentage / 100;
  if (!(ratio > 0)) return 0;
  if (ratio >= 1) return UINT64_MAX;
  // ratio = m * 2^-shift with a 53-bit m. The exact product m * (2^64-1) has at most 117 bits: round it to its upper 64
  // in integers, since `long double` has 64 bits of mantissa only on x86.
  int exponent = 0;
  const double fraction = std::frexp(ratio, &exponent);  // in [0.5, 1)
  const auto m = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
  int shift = 53 - exponent;
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(m) * UINT64_MAX;
  const int bits = 128 - (static_cast<std::uint64_t>(product >> 64) != 0
                              ? std::countl_zero(static_cast<std::uint64_t>(product >> 64))
                              : 64 + std::countl_zero(static_cast<std::uint64_t>(product)));
  if (bits > 64) {
    const int cut = bits - 64;
    const Wide rest = product & ((static_cast<Wide>(1) << cut) - 1);
    const Wide half = static_cast<Wide>(1) << (cut - 1);
    product >>= cut;
    if (rest > half || (rest == half && (product & 1) != 0)) product += 1;
    shift -= cut;
  }
  if (shift <= 0) return static_cast<std::uint64_t>(product << -shift);
  return shift >= 128 ? 0 : static_cast<std::uint64_t>(product >> shift);
}

Chance::Chance(double percentage, std::string_view salt, bool use_tracestate)
    : share_(percentage / 100),
      by_random_(use_tracestate),
      threshold_(use_tracestate ? threshold_of_percentage(percentage) : probabilistic_threshold(percentage)),
      salted_(fnv1a(salt.empty() ? "default-hash-seed" : salt)) {}

Ballot Chance::ask(const JudgedTrace& trace) const {
  if (by_random_) return ballot_by_random(trace.random, threshold_);
  const bool keep = fnv1a(trace.id.view(), salted_) <= threshold_;
  return {keep ? Vote::kSampled : Vote::kNotSampled, threshold_ != UINT64_MAX ? kUnknownChance : kCertain};
}

std::string Chance::why(const JudgedTrace& trace) const {
  if (share_ >= 1) return "";
  if (share_ <= 0) return "its share is 0";
  const double seen = by_random_ ? static_cast<double>(kNever - 1 - trace.random) / static_cast<double>(kNever)
                                 : std::ldexp(static_cast<double>(fnv1a(trace.id.view(), salted_)), -64);
  return "chance " + chance_words(seen, share_);
}

namespace {

class Probabilistic final : public Policy {
 public:
  explicit Probabilistic(Chance chance) : chance_(chance) {}
  Ballot evaluate(const JudgedTrace& trace) const override { return chance_.ask(trace); }
  std::string why(const AskedVote& asked) const override {
    const std::string words = chance_.why(asked.trace);
    return words.empty() ? "keeps every trace" : words;
  }

 private:
  Chance chance_;
};

}  // namespace

PolicyPtr make_probabilistic(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("probabilistic");
  const double percentage = node.number("sampling_percentage", 0);
  if (!(percentage >= 0 && percentage <= 100)) node.error("sampling_percentage", "expected 0 to 100");
  const std::string salt = node.text("hash_salt");
  node.finish();
  if (build.use_tracestate && !salt.empty()) {
    node.notice("hash_salt has no effect with use_tracestate: the trace's own randomness decides");
  }
  return std::make_unique<Probabilistic>(Chance(percentage, salt, build.use_tracestate));
}

}  // namespace tailgate
