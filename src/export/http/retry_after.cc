#include "export/http/retry_after.h"

#include <time.h>

#include <algorithm>

namespace tailgate {
namespace {

constexpr std::int64_t kMost = 86'400;  // seconds; more is taken as a day

// Days since 1970-01-01 of a date of the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date
// Algorithms").
std::int64_t days_from_civil(std::int64_t y, int m, int d) {
  y -= m <= 2;
  const std::int64_t era = y / 400;
  const std::int64_t yoe = y - era * 400;
  const std::int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146'097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719'468;
}

}  // namespace

std::optional<Duration> parse_retry_after(const std::string& text, std::uint64_t wall_ns) {
  if (text.empty()) return std::nullopt;
  if (text.find_first_not_of("0123456789") == std::string::npos) {
    const std::int64_t seconds = text.size() > 6 ? kMost : std::stoll(text);
    return std::chrono::seconds(std::min(seconds, kMost));
  }
  std::tm t{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &t);  // the process stays in the C locale
  if (end == nullptr || *end != '\0') return std::nullopt;
  const std::int64_t at =
      days_from_civil(t.tm_year + 1900, t.tm_mon + 1, t.tm_mday) * 86'400 + t.tm_hour * 3600 + t.tm_min * 60 + t.tm_sec;
  const std::int64_t left = at - static_cast<std::int64_t>(wall_ns / 1'000'000'000);
  return std::chrono::seconds(std::clamp<std::int64_t>(left, 0, kMost));
}

}  // namespace tailgate
