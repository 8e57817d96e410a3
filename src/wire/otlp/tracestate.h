// SPDX-License-Identifier: Apache-2.0
// The W3C tracestate of a span (https://www.w3.org/TR/trace-context-2/#tracestate-header) and OpenTelemetry's entry in
// it, `ot=th:...;rv:...` (OTEP 235): the sampling threshold and the explicit randomness of its trace. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace tailgate {

// A value that is absent or malformed is empty.
struct OtEntry {
  std::optional<std::uint64_t> threshold;  // 56 bits
  std::optional<std::uint64_t> random;     // 56 bits
};
OtEntry read_ot(ByteView tracestate);

// The value of `key`, or "" when there is no such member. Empty when the tracestate is malformed by the rules of
// OpenTelemetry's Go API: at most 32 members, no key twice, keys and values by the grammar. Empty members and blanks
// around a member are skipped.
std::optional<ByteView> tracestate_value(ByteView tracestate, ByteView key);

// The tracestate a span of a kept trace goes out with.
struct Amended {
  enum class What : std::uint8_t {
    kUnchanged,
    kChanged,     // value is the new tracestate
    kUnparsable,  // left as it is
    kNoRoom,      // the threshold did not fit; value is the tracestate without a threshold
  };
  What what = What::kUnchanged;
  std::string value;
};
// Raises `th` to `threshold` (below 2^56) for a span of a trace with randomness `random`. A stricter threshold in the
// tracestate stays. A threshold that this randomness cannot have passed is wrong and is removed.
Amended raise_threshold(ByteView tracestate, std::uint64_t threshold, std::uint64_t random);
// Removes `th`.
Amended erase_threshold(ByteView tracestate);

}  // namespace tailgate
