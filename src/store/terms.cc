// SPDX-License-Identifier: Apache-2.0
#include "store/terms.h"

#include <array>

namespace tailgate {

std::string_view status_text(std::uint32_t status_code) {
  static constexpr std::array<std::string_view, 3> kNames = {"unset", "ok", "error"};
  return status_code < kNames.size() ? kNames[status_code] : kNames[0];
}

std::string_view kind_text(std::uint32_t kind) {
  static constexpr std::array<std::string_view, 6> kNames = {"unspecified", "internal", "server",
                                                             "client",      "producer", "consumer"};
  return kind < kNames.size() ? kNames[kind] : kNames[0];
}

std::optional<TermHash> term_of(const TraceTerm& term) {
  if (term.field == TraceTerm::Field::kAttribute) {
    return term.value ? value_term(key_term(term.key), *term.value) : key_term(term.key);
  }
  if (!term.value) return std::nullopt;
  if (term.field == TraceTerm::Field::kSpanName) return span_name_term(*term.value);
  return term.field == TraceTerm::Field::kStatus ? status_term(*term.value) : kind_term(*term.value);
}

}  // namespace tailgate
