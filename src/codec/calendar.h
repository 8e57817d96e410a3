// SPDX-License-Identifier: Apache-2.0
// The Gregorian calendar in UTC, without leap seconds. Pure functions.
#pragma once

#include <cstdint>

namespace tailgate {

struct UtcTime {
  int year = 1970, month = 1, day = 1;  // months and days begin with 1
  int hour = 0, minute = 0, second = 0;
  int weekday = 4;  // 0 is Sunday; unix_seconds() does not read it
};

// Good for the years -32767 to 32767; every number of nanoseconds since 1970 that fits into 64 bits lies inside.
UtcTime utc_time(std::int64_t unix_seconds);

// Seconds since 1970. A day beyond the end of its month runs over into the next month.
std::int64_t unix_seconds(const UtcTime& time);

}  // namespace tailgate
