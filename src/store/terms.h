// SPDX-License-Identifier: Apache-2.0
// Terms: what the inverted index knows of a trace, as 64-bit hashes. The hash is the same in every process, since it is
// written to files; whoever makes two terms collide gets a candidate that the condition then refuses. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/hash.h"
#include "model/trace_needs.h"

namespace tailgate {

using TermHash = std::uint64_t;

// Stands for every term: of parts that have more than the index takes.
inline constexpr TermHash kAnyTerm = 0;
inline constexpr std::size_t kTermsMax = 20'000;  // of one part

inline TermHash named_term(TermHash h) { return h == kAnyTerm ? 1 : h; }
inline TermHash key_term(std::string_view key) { return named_term(hash_bytes(key, 1)); }
inline TermHash value_term(TermHash key, std::string_view value) { return named_term(hash_bytes(value, key ^ 2)); }
inline TermHash span_name_term(std::string_view name) { return named_term(hash_bytes(name, 3)); }
// Of a status and a kind: status_text, kind_text.
inline TermHash status_term(std::string_view status) { return named_term(hash_bytes(status, 4)); }
inline TermHash kind_term(std::string_view kind) { return named_term(hash_bytes(kind, 5)); }

// Nothing: every trace has it.
inline std::optional<TermHash> term_of(const TraceTerm& term) {
  if (term.field == TraceTerm::Field::kAttribute) {
    return term.value ? value_term(key_term(term.key), *term.value) : key_term(term.key);
  }
  if (!term.value) return std::nullopt;
  if (term.field == TraceTerm::Field::kSpanName) return span_name_term(*term.value);
  return term.field == TraceTerm::Field::kStatus ? status_term(*term.value) : kind_term(*term.value);
}

}  // namespace tailgate
