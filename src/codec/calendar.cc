// SPDX-License-Identifier: Apache-2.0
#include "codec/calendar.h"

#include <chrono>

namespace tailgate {

namespace ch = std::chrono;

UtcTime utc_time(std::int64_t unix_seconds) {
  const ch::sys_seconds time{ch::seconds(unix_seconds)};
  const ch::sys_days day = ch::floor<ch::days>(time);
  const ch::year_month_day date(day);
  const auto of_day = static_cast<int>((time - day).count());
  return {static_cast<int>(date.year()),
          static_cast<int>(static_cast<unsigned>(date.month())),
          static_cast<int>(static_cast<unsigned>(date.day())),
          of_day / 3600,
          of_day / 60 % 60,
          of_day % 60,
          static_cast<int>(ch::weekday(day).c_encoding())};
}

std::int64_t unix_seconds(const UtcTime& t) {
  const ch::year_month_day first(ch::year(t.year), ch::month(static_cast<unsigned>(t.month)), ch::day(1));
  const ch::sys_days day = ch::sys_days(first) + ch::days(t.day - 1);
  return ch::sys_seconds(day).time_since_epoch().count() + t.hour * 3600 + t.minute * 60 + t.second;
}

}  // namespace tailgate
