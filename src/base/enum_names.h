// SPDX-License-Identifier: Apache-2.0
// Tables of names by enumerator. A table is written by hand beside its enum; a static_assert with this function fails
// when one of the two grew alone, because every later name would be given to the wrong enumerator.
//
//   enum class Decision { kSampled, kDropped };
//   inline constexpr std::array<std::string_view, 2> kDecisionNames = {"sampled", "dropped"};
//   static_assert(names_end_with(kDecisionNames, Decision::kDropped, "dropped"));
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace tailgate {

// True if `last` has the table's last place and that place holds `name`. All enumerators must count up from 0.
template <std::size_t kSize, class Enum>
constexpr bool names_end_with(const std::array<std::string_view, kSize>& names, Enum last, std::string_view name) {
  return static_cast<std::size_t>(last) + 1 == kSize && names[kSize - 1] == name;
}

}  // namespace tailgate
