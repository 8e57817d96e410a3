// SPDX-License-Identifier: Apache-2.0
#include "decide/verdict_words.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tailgate {
namespace {

std::string_view take_word(std::string_view& words) {
  const std::size_t end = std::min(words.find('\0'), words.size());
  const std::string_view out = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return out;
}

}  // namespace

// Policy, threshold, then the names of the exporters, with zeros between.
std::string verdict_words(const Verdict& verdict, const PolicyTables& tables,
                          const std::vector<std::string>& exporters) {
  std::string out = tables.names.name_of(verdict.policy);
  std::array<char, 16> digits;
  char* const end = std::to_chars(digits.begin(), digits.end(), tables.thresholds.value_of(verdict.threshold), 16).ptr;
  out.push_back('\0');
  out.append(digits.begin(), end);
  for (std::uint64_t bits = tables.routes.exporters_of(verdict.route); bits != 0; bits &= bits - 1) {
    out.push_back('\0');
    out += exporters[static_cast<std::size_t>(__builtin_ctzll(bits))];
  }
  return out;
}

std::string_view policy_in_words(std::string_view words) { return take_word(words); }

Verdict verdict_from_words(const Verdict& verdict, std::string_view words, PolicyTables& tables,
                           const std::vector<std::string>& exporters) {
  Verdict out = verdict;
  if (out.decision != Decision::kSampled) return out;
  const std::string_view policy = take_word(words);
  const std::vector<std::uint16_t> known = tables.names.find(policy);
  out.policy = known.empty() ? tables.names.number_of(policy) : known.front();
  const std::string_view threshold = take_word(words);
  std::uint64_t value = 0;
  std::from_chars(threshold.data(), threshold.data() + threshold.size(), value, 16);
  out.threshold = tables.thresholds.code_of(value);
  std::uint64_t bits = 0;
  while (!words.empty()) {
    const auto at = std::find(exporters.begin(), exporters.end(), take_word(words));
    if (at != exporters.end()) bits |= std::uint64_t{1} << (at - exporters.begin());
  }
  // Its exporters have other names now, or are gone: all of those that there are get it.
  if (bits == 0) bits = exporters.size() >= 64 ? UINT64_MAX : (std::uint64_t{1} << exporters.size()) - 1;
  out.route = tables.routes.number_of(bits);
  return out;
}

}  // namespace tailgate
