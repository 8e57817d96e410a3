// SPDX-License-Identifier: Apache-2.0
// TraceNeeds: what a stored trace must have to be in the answer of a search. It is coarse, so that an index can answer
// it: a trace that does not meet the needs is not in the answer, and one that meets them is read and looked at in
// full. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"

namespace tailgate {

// The words for OTLP's numbers of a status and of a kind.
inline constexpr std::array<std::string_view, 3> kStatusWords = {"unset", "ok", "error"};
inline constexpr std::array<std::string_view, 6> kKindWords = {"unspecified", "internal", "server",
                                                               "client",      "producer", "consumer"};
// A number that OTLP does not have counts as the first.
inline std::string_view status_text(std::uint32_t code) { return kStatusWords[code < kStatusWords.size() ? code : 0]; }
inline std::string_view kind_text(std::uint32_t kind) { return kKindWords[kind < kKindWords.size() ? kind : 0]; }

// Something that a trace has in one of its spans.
struct TraceTerm {
  enum class Field : std::uint8_t {
    kAttribute,  // of the span, its resource or scope, or one of its events or links; `key` is its name
    kSpanName,   // the other fields have no key
    kStatus,     // a status_text
    kKind,       // a kind_text
  };
  Field field = Field::kAttribute;
  std::string key = {};
  // As append_attribute_text (wire/otlp/attribute_text.h) writes it; of an array, one of its elements. Nothing:
  // whatever the value is.
  std::optional<std::string> value = {};

  friend bool operator==(const TraceTerm&, const TraceTerm&) = default;
};

struct TraceNeeds {
  std::optional<TraceId> id = {};                // it is this one
  std::vector<std::vector<TraceTerm>> all = {};  // of each list, at least one is in the trace
  std::uint64_t span_duration_min_ns = 0;        // of the longest span
  std::uint64_t trace_duration_min_ns = 0;       // from the first start to the last end
  std::uint64_t trace_duration_max_ns = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace tailgate
