// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace tailgate {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// Longer names first: "ms" must not be read as "m".
constexpr std::array kTimeUnits = {Unit{"ns", 1},   Unit{"us", 1e3}, Unit{"µs", 1e3}, Unit{"μs", 1e3},
                                   Unit{"ms", 1e6}, Unit{"s", 1e9},  Unit{"m", 60e9}, Unit{"h", 3600e9}};

constexpr std::array kByteUnits = {Unit{"", 1},
                                   Unit{"b", 1},
                                   Unit{"kb", 1e3},
                                   Unit{"mb", 1e6},
                                   Unit{"gb", 1e9},
                                   Unit{"kib", 1024.},
                                   Unit{"mib", 1024. * 1024},
                                   Unit{"gib", 1024. * 1024 * 1024},
                                   Unit{"k", 1e3},
                                   Unit{"m", 1e6},
                                   Unit{"g", 1e9},
                                   Unit{"ki", 1024.},
                                   Unit{"mi", 1048576.},
                                   Unit{"gi", 1073741824.}};

// Reads digits with an optional fraction from the front of `text`; no sign, no exponent.
std::optional<double> take_number(std::string_view& text) {
  std::size_t n = 0;
  bool digit = false;
  while (n < text.size() && ((text[n] >= '0' && text[n] <= '9') || text[n] == '.')) digit |= text[n++] != '.';
  if (!digit) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + n, value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + n) return std::nullopt;
  text.remove_prefix(n);
  return value;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  double sign = 1;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    sign = text[0] == '-' ? -1 : 1;
    text.remove_prefix(1);
  }
  if (text == "0") return Duration::zero();
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const std::optional<double> number = take_number(text);
    if (!number) return std::nullopt;
    const Unit* unit = nullptr;
    for (const Unit& u : kTimeUnits) {
      if (text.starts_with(u.name)) {
        unit = &u;
        break;
      }
    }
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += *number * unit->factor;
  }
  if (!(total < 9.2e18)) return std::nullopt;
  return Duration(static_cast<std::int64_t>(std::llround(sign * total)));
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const std::optional<double> number = take_number(text);
  if (!number) return std::nullopt;
  if (!text.empty() && text[0] == ' ') text.remove_prefix(1);
  std::string unit(text);
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Unit& u : kByteUnits) {
    if (unit != u.name) continue;
    const double bytes = *number * u.factor;
    if (!(bytes < 9e18)) return std::nullopt;
    return static_cast<std::uint64_t>(std::llround(bytes));
  }
  return std::nullopt;
}

std::string format_duration(Duration d) {
  const double ns = static_cast<double>(d.count());
  if (d.count() == 0) return "0s";
  if (std::fabs(ns) >= 1e9) return fmt::format("{}s", ns / 1e9);
  if (std::fabs(ns) >= 1e6) return fmt::format("{}ms", ns / 1e6);
  if (std::fabs(ns) >= 1e3) return fmt::format("{}us", ns / 1e3);
  return fmt::format("{}ns", d.count());
}

std::string format_bytes(std::uint64_t bytes) {
  const double b = static_cast<double>(bytes);
  if (bytes >= 1ULL << 30) return fmt::format("{:.4g}GiB", b / (1ULL << 30));
  if (bytes >= 1ULL << 20) return fmt::format("{:.4g}MiB", b / (1ULL << 20));
  if (bytes >= 1ULL << 10) return fmt::format("{:.4g}KiB", b / (1ULL << 10));
  return fmt::format("{}B", bytes);
}

}  // namespace tailgate
