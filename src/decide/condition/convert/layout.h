// SPDX-License-Identifier: Apache-2.0
// Reads times from text for the converter Time. A layout has contrib's ctime directives (%Y-%m-%d ...), each of which
// stands for a piece of a layout of Go's time package; such pieces may also be written out (2006-01-02). Pure, except
// that it reads the zone database.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tailgate::condition {

struct ParsedTime {
  std::int64_t unix_ns = 0;
  std::int32_t zone = 0;  // seconds east of UTC
};

// The Go layout that `format` stands for. Fails on an unknown directive, and on %L, %f, %s without a '.' or ',' before
// them.
Result<std::string> layout_of_time_format(std::string_view format);

// Reads `text` by `layout`. `location` names a zone of the system's database for texts without one; "" is the daemon's
// own. A text without a year is in the year of `now_unix_ns`, or the one before if it would lie more than a week ahead.
// Nothing when the text is not of the layout, names an unknown zone, or lies outside 1678 to 2262.
std::optional<ParsedTime> parse_time(std::string_view layout, std::string_view text, std::string_view location,
                                     std::uint64_t now_unix_ns);

// Is there such a zone?
bool is_time_zone(std::string_view location);
// The daemon's own offset from UTC at a time, in seconds east.
std::int32_t local_zone(std::int64_t unix_ns);

struct CivilTime {
  std::int64_t year;
  int month, day, hour, minute, second, nanosecond, weekday;  // Sunday is 0
};
CivilTime civil_time(std::int64_t unix_ns, std::int32_t zone);

}  // namespace tailgate::condition
