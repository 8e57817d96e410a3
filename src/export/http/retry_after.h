// SPDX-License-Identifier: Apache-2.0
// The Retry-After header of HTTP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace tailgate {

inline constexpr std::int64_t kRetrySecondsMax = 86'400;  // a wait that is longer is taken as a day

// RFC 9110 10.2.3: seconds, or an HTTP-date (IMF-fixdate) against `wall_now_ns`; at least zero. Empty on anything else.
std::optional<Duration> parse_retry_after(const std::string& text, std::uint64_t wall_ns);

}  // namespace tailgate
