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
// Of a status and a kind the texts are those of TraceTerm.
inline TermHash status_term(std::string_view status) { return named_term(hash_bytes(status, 4)); }
inline TermHash kind_term(std::string_view kind) { return named_term(hash_bytes(kind, 5)); }

// A number that OTLP does not have counts as the first.
std::string_view status_text(std::uint32_t status_code);
std::string_view kind_text(std::uint32_t kind);

// Nothing: every trace has it.
std::optional<TermHash> term_of(const TraceTerm& term);

}  // namespace tailgate
