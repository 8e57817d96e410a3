// SPDX-License-Identifier: Apache-2.0
#include "export/http/retry_after.h"

#include <time.h>

#include <algorithm>

#include "codec/calendar.h"

namespace tailgate {
std::optional<Duration> parse_retry_after(const std::string& text, std::uint64_t wall_ns) {
  if (text.empty()) return std::nullopt;
  if (text.find_first_not_of("0123456789") == std::string::npos) {
    const std::int64_t seconds = text.size() > 6 ? kRetrySecondsMax : std::stoll(text);
    return std::chrono::seconds(std::min(seconds, kRetrySecondsMax));
  }
  std::tm t{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &t);  // the process stays in the C locale
  if (end == nullptr || *end != '\0') return std::nullopt;
  const std::int64_t at =
      unix_seconds({t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, t.tm_wday});
  const std::int64_t left = at - static_cast<std::int64_t>(wall_ns / 1'000'000'000);
  return std::chrono::seconds(std::clamp<std::int64_t>(left, 0, kRetrySecondsMax));
}

}  // namespace tailgate
