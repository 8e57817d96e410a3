// SPDX-License-Identifier: Apache-2.0
#include "decide/condition/convert/layout.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "codec/calendar.h"

namespace tailgate::condition {
namespace {

struct Directive {
  char letter;
  std::string_view layout;
};
constexpr std::array kDirectives = {
    Directive{'Y', "2006"},        Directive{'y', "06"},
    Directive{'m', "01"},          Directive{'o', "_1"},
    Directive{'q', "1"},           Directive{'b', "Jan"},
    Directive{'h', "Jan"},         Directive{'B', "January"},
    Directive{'d', "02"},          Directive{'e', "_2"},
    Directive{'g', "2"},           Directive{'a', "Mon"},
    Directive{'A', "Monday"},      Directive{'H', "15"},
    Directive{'l', "3"},           Directive{'I', "03"},
    Directive{'p', "PM"},          Directive{'P', "pm"},
    Directive{'M', "04"},          Directive{'S', "05"},
    Directive{'L', "999"},         Directive{'f', "999999"},
    Directive{'s', "999999999"},   Directive{'Z', "MST"},
    Directive{'z', "Z0700"},       Directive{'w', "-070000"},
    Directive{'i', "-07"},         Directive{'j', "-07:00"},
    Directive{'k', "-07:00:00"},   Directive{'D', "01/02/2006"},
    Directive{'x', "01/02/2006"},  Directive{'F', "2006-01-02"},
    Directive{'T', "15:04:05"},    Directive{'X', "15:04:05"},
    Directive{'r', "03:04:05 pm"}, Directive{'R', "15:04"},
    Directive{'n', "\n"},          Directive{'t', "\t"},
    Directive{'%', "%"},           Directive{'c', "Mon Jan 02 15:04:05 2006"},
};

enum class Piece : std::uint8_t {
  kLiteral,
  kLongMonth,
  kMonthName,
  kMonth,
  kMonth2,
  kLongDay,
  kDayName,
  kDay,
  kDaySpace,
  kDay2,
  kHour24,
  kHour12,
  kHour12of2,
  kMinute,
  kMinute2,
  kSecond,
  kSecond2,
  kFraction0,  // exactly as many digits
  kFraction9,  // any digits, or none at all
  kYear,
  kYear2,
  kUpperPm,
  kLowerPm,
  kZoneName,
  kZone,  // text: its form, -0700, -07:00, Z07:00:00 ...
};

struct LayoutPiece {
  Piece piece;
  std::string_view text;
};

// Longest first where one begins like another.
constexpr LayoutPiece kPieces[] = {
    {Piece::kLongMonth, "January"}, {Piece::kMonthName, "Jan"},  {Piece::kLongDay, "Monday"}, {Piece::kDayName, "Mon"},
    {Piece::kZoneName, "MST"},      {Piece::kMonth2, "01"},      {Piece::kDay2, "02"},        {Piece::kHour12of2, "03"},
    {Piece::kMinute2, "04"},        {Piece::kSecond2, "05"},     {Piece::kYear2, "06"},       {Piece::kHour24, "15"},
    {Piece::kMonth, "1"},           {Piece::kYear, "2006"},      {Piece::kDay, "2"},          {Piece::kDaySpace, "_2"},
    {Piece::kHour12, "3"},          {Piece::kMinute, "4"},       {Piece::kSecond, "5"},       {Piece::kUpperPm, "PM"},
    {Piece::kLowerPm, "pm"},        {Piece::kZone, "-07:00:00"}, {Piece::kZone, "-070000"},   {Piece::kZone, "-07:00"},
    {Piece::kZone, "-0700"},        {Piece::kZone, "-07"},       {Piece::kZone, "Z07:00:00"}, {Piece::kZone, "Z070000"},
    {Piece::kZone, "Z07:00"},       {Piece::kZone, "Z0700"},     {Piece::kZone, "Z07"},
};

bool has_digit(std::string_view s, std::size_t i = 0) { return i < s.size() && s[i] >= '0' && s[i] <= '9'; }
bool is_point(std::string_view s) { return !s.empty() && (s[0] == '.' || s[0] == ','); }

// The piece at the begin of `layout`; a literal is one byte.
LayoutPiece next_piece(std::string_view layout) {
  if (is_point(layout) && layout.size() > 1 && (layout[1] == '0' || layout[1] == '9')) {
    const std::size_t end = std::min(layout.find_first_not_of(layout[1], 1), layout.size());
    if (!has_digit(layout, end))
      return {layout[1] == '0' ? Piece::kFraction0 : Piece::kFraction9, layout.substr(0, end)};
  }
  if (layout.starts_with("_2006")) return {Piece::kLiteral, layout.substr(0, 1)};
  for (const LayoutPiece& p : kPieces) {
    if (!layout.starts_with(p.text)) continue;
    const bool name = p.piece == Piece::kMonthName || p.piece == Piece::kDayName;
    if (name && layout.size() > 3 && layout[3] >= 'a' && layout[3] <= 'z') continue;  // part of a longer word
    return {p.piece, layout.substr(0, p.text.size())};
  }
  return {Piece::kLiteral, layout.substr(0, 1)};
}

constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

// Zones whose short name says their offset, in the system's database too.
struct FixedZone {
  std::string_view name;
  std::int32_t seconds;
};
constexpr FixedZone kFixedZones[] = {
    {"UTC", 0}, {"GMT", 0}, {"EST", -5 * 3600}, {"MST", -7 * 3600}, {"HST", -10 * 3600}};

bool starts_with_any_case(std::string_view text, std::string_view word) {
  return text.size() >= word.size() &&
         std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) { return (a | 0x20) == (b | 0x20); });
}

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool read(std::string_view layout) {
    while (!layout.empty()) {
      const LayoutPiece piece = next_piece(layout);
      layout.remove_prefix(piece.text.size());
      if (!take(piece, layout)) return false;
    }
    return rest_.empty() && in_range();
  }

  std::int64_t year = 0;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0, nanosecond = 0;
  bool has_year = false, has_zone = false;
  std::int32_t zone = 0;

 private:
  bool digits(std::size_t least, std::size_t most, int& out) {
    std::size_t n = 0;
    out = 0;
    while (n < most && has_digit(rest_, n)) out = out * 10 + (rest_[n++] - '0');
    if (n < least) return false;
    rest_.remove_prefix(n);
    return true;
  }

  template <class Names>
  bool name(const Names& names, std::size_t length, int& index) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string_view word = names[i].substr(0, length);
      if (!starts_with_any_case(rest_, word)) continue;
      rest_.remove_prefix(word.size());
      index = static_cast<int>(i);
      return true;
    }
    return false;
  }

  bool fraction(std::size_t count) {
    if (!is_point(rest_) || count == 0) return false;
    std::int64_t n = 0;
    for (std::size_t i = 0; i < 9; ++i) n = n * 10 + (i < count ? rest_[1 + i] - '0' : 0);
    nanosecond = static_cast<int>(n);
    rest_.remove_prefix(1 + count);
    return true;
  }

  std::size_t digits_after_point() const {
    std::size_t n = 0;
    while (has_digit(rest_, 1 + n)) ++n;
    return n;
  }

  bool offset(std::string_view form) {
    if (form[0] == 'Z' && rest_.starts_with('Z')) {
      rest_.remove_prefix(1);
      has_zone = true;
      return true;
    }
    if (rest_.empty() || (rest_[0] != '+' && rest_[0] != '-')) return false;
    const int sign = rest_[0] == '-' ? -1 : 1;
    rest_.remove_prefix(1);
    int parts[3] = {};
    int count = 0;
    for (std::size_t i = 1; i < form.size(); i += 2) {
      if (form[i] == ':') {
        if (!rest_.starts_with(':')) return false;
        rest_.remove_prefix(1);
        ++i;
      }
      if (!digits(2, 2, parts[count++])) return false;
    }
    if (parts[0] > 24 || parts[1] >= 60 || parts[2] >= 60) return false;
    zone = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    has_zone = true;
    return true;
  }

  bool zone_name() {
    std::size_t n = 0;
    while (n < rest_.size() && rest_[n] >= 'A' && rest_[n] <= 'Z') ++n;
    const std::string_view word = rest_.substr(0, n);
    for (const FixedZone& z : kFixedZones) {
      if (z.name != word) continue;
      rest_.remove_prefix(n);
      if (!has_zone) zone = z.seconds;  // an offset that was written says more than a name
      has_zone = true;
      return true;
    }
    return false;
  }

  bool take(const LayoutPiece& piece, std::string_view layout_after) {
    int n = 0;
    switch (piece.piece) {
      case Piece::kLiteral:
        return literal(piece.text[0]);
      case Piece::kLongMonth:
      case Piece::kMonthName:
        if (!name(kMonths, piece.piece == Piece::kMonthName ? 3 : std::string_view::npos, n)) return false;
        month = n + 1;
        return true;
      case Piece::kMonth:
        return digits(1, 2, month);
      case Piece::kMonth2:
        return digits(2, 2, month);
      case Piece::kLongDay:
        return name(kDays, std::string_view::npos, n);
      case Piece::kDayName:
        return name(kDays, 3, n);
      case Piece::kDaySpace:
        if (rest_.starts_with(' ')) rest_.remove_prefix(1);
        return digits(1, 2, day);
      case Piece::kDay:
        return digits(1, 2, day);
      case Piece::kDay2:
        return digits(2, 2, day);
      case Piece::kHour24:
        return digits(1, 2, hour) && hour < 24;
      case Piece::kHour12:
        return digits(1, 2, hour) && hour <= 12;
      case Piece::kHour12of2:
        return digits(2, 2, hour) && hour <= 12;
      case Piece::kMinute:
        return digits(1, 2, minute);
      case Piece::kMinute2:
        return digits(2, 2, minute);
      case Piece::kSecond:
      case Piece::kSecond2: {
        if (!digits(piece.piece == Piece::kSecond ? 1 : 2, 2, second)) return false;
        // A fraction is read after seconds even where the layout has none.
        const Piece next = layout_after.empty() ? Piece::kLiteral : next_piece(layout_after).piece;
        if (next == Piece::kFraction0 || next == Piece::kFraction9 || !is_point(rest_)) return true;
        const std::size_t count = digits_after_point();
        return count == 0 || fraction(count);
      }
      case Piece::kFraction0:
        return digits_after_point() >= piece.text.size() - 1 && fraction(piece.text.size() - 1);
      case Piece::kFraction9:
        return !is_point(rest_) || digits_after_point() == 0 || fraction(digits_after_point());
      case Piece::kYear:
        if (!digits(4, 4, n)) return false;
        year = n;
        has_year = true;
        return true;
      case Piece::kYear2:
        if (!digits(2, 2, n)) return false;
        year = n + (n >= 69 ? 1900 : 2000);
        has_year = true;
        return true;
      case Piece::kUpperPm:
      case Piece::kLowerPm: {
        const bool upper = piece.piece == Piece::kUpperPm;
        const bool pm = rest_.starts_with(upper ? "PM" : "pm");
        if (!pm && !rest_.starts_with(upper ? "AM" : "am")) return false;
        rest_.remove_prefix(2);
        (pm ? is_pm_ : is_am_) = true;
        return true;
      }
      case Piece::kZoneName:
        return zone_name();
      case Piece::kZone:
        return offset(piece.text);
    }
    return false;
  }

  // A blank of the layout stands for any number of them, also for none at the end.
  bool literal(char c) {
    if (c == ' ') {
      if (!rest_.empty() && rest_[0] != ' ' && !blank_) return false;
      rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
      blank_ = true;
      return true;
    }
    blank_ = false;
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool in_range() {
    if (is_pm_ && hour < 12) hour += 12;
    if (is_am_ && hour == 12) hour = 0;
    if (month < 1 || month > 12 || minute > 59 || second > 59) return false;
    const absl::CivilDay date(has_year ? year : 2000, month, day);  // 2000 was a leap year
    return day >= 1 && date.month() == month && date.day() == day;
  }

  std::string_view rest_;
  bool is_pm_ = false, is_am_ = false, blank_ = false;
};

std::optional<ParsedTime> at(absl::Time time, int nanosecond, std::int32_t zone) {
  const std::int64_t seconds = absl::ToUnixSeconds(time);
  constexpr std::int64_t kLimit = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
  if (seconds <= -kLimit || seconds >= kLimit) return std::nullopt;
  return ParsedTime{seconds * 1'000'000'000 + nanosecond, zone};
}

}  // namespace

Result<std::string> layout_of_time_format(std::string_view format) {
  std::string layout;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      layout += format[i];
      continue;
    }
    const char letter = ++i < format.size() ? format[i] : '\0';
    const auto it =
        std::find_if(kDirectives.begin(), kDirectives.end(), [&](const Directive& d) { return d.letter == letter; });
    if (it == kDirectives.end()) {
      return fail(ErrorKind::kConfig, fmt::format("expected a known time directive, got '%{}'",
                                                  letter >= ' ' && letter <= '~' ? std::string(1, letter) : ""));
    }
    if (it->layout[0] == '9' && !layout.ends_with('.') && !layout.ends_with(',')) {
      return fail(ErrorKind::kConfig, fmt::format("expected a '.' or ',' before '%{}'", letter));
    }
    layout += it->layout;
  }
  return layout;
}

std::optional<ParsedTime> parse_time(std::string_view layout, std::string_view text, std::string_view location,
                                     std::uint64_t now_unix_ns) {
  Reader r(text);
  if (!r.read(layout)) return std::nullopt;
  absl::TimeZone zone = absl::LocalTimeZone();
  if (r.has_zone) {
    zone = absl::FixedTimeZone(r.zone);
  } else if (!location.empty() && !absl::LoadTimeZone(std::string(location), &zone)) {
    return std::nullopt;
  }
  const auto resolve = [&](std::int64_t year) {
    return zone.At(absl::CivilSecond(year, r.month, r.day, r.hour, r.minute, r.second)).pre;
  };
  absl::Time time = resolve(r.year);
  if (!r.has_year || r.year == 0) {
    const absl::Time now = absl::FromUnixNanos(static_cast<std::int64_t>(now_unix_ns));
    const std::int64_t year = zone.At(now).cs.year();
    time = resolve(year);
    if (time > now + absl::Hours(7 * 24)) time = resolve(year - 1);
  }
  return at(time, r.nanosecond, r.has_zone ? r.zone : zone.At(time).offset);
}

bool is_time_zone(std::string_view location) {
  absl::TimeZone zone;
  return location.empty() || absl::LoadTimeZone(std::string(location), &zone);
}

std::int32_t local_zone(std::int64_t unix_ns) { return absl::LocalTimeZone().At(absl::FromUnixNanos(unix_ns)).offset; }

CivilTime civil_time(std::int64_t unix_ns, std::int32_t zone) {
  const std::int64_t nanos = (unix_ns % 1'000'000'000 + 1'000'000'000) % 1'000'000'000;
  const UtcTime t = utc_time((unix_ns - nanos) / 1'000'000'000 + zone);
  return {t.year, t.month, t.day, t.hour, t.minute, t.second, static_cast<int>(nanos), t.weekday};
}

}  // namespace tailgate::condition
