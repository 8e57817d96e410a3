// SPDX-License-Identifier: Apache-2.0
#include "decide/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "codec/json_text.h"
#include "wire/otlp/attribute_text.h"

namespace tailgate {
namespace {

constexpr std::size_t kListed = 5;      // items of a list
constexpr std::size_t kTextBytes = 60;  // of a text

}  // namespace

std::string plain_decimal(double value, int digits) {
  if (value == 0) return "0";
  if (!std::isfinite(value)) return std::isnan(value) ? "not a number" : value < 0 ? "-infinity" : "infinity";
  const int before = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  std::string out = fmt::format("{:.{}f}", value, std::clamp(digits - before, 0, 30));
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  return out;
}

std::string chance_words(double seen, double below) {
  const std::string right = plain_decimal(below, 8);
  const double said = std::strtod(right.c_str(), nullptr);
  std::string left;
  for (int digits = 3; digits <= 17; digits += 2) {  // the rounded number must not lie on the other side
    left = plain_decimal(seen, digits);
    if ((std::strtod(left.c_str(), nullptr) < said) == (seen < below))
      return fmt::format("{}, wanted < {}", left, right);
  }
  return plain_decimal(seen, 17) + ", wanted < " + plain_decimal(below, 17);
}

std::string duration_words(std::int64_t ns) {
  if (ns > -1'000 && ns < 1'000) return fmt::format("{} ns", ns);
  if (ns > -1'000'000 && ns < 1'000'000) return fmt::format("{} us", ns / 1'000);
  return fmt::format("{} ms", ns / 1'000'000);
}

std::string value_words(ByteView key_value) {
  const AttributeValue value = attribute_value(key_value);
  std::string out;
  switch (value.kind) {
    case AttributeValue::Kind::kString:
      return quoted_words(value.bytes);
    case AttributeValue::Kind::kDouble:
      return plain_decimal(std::bit_cast<double>(value.bits), 15);
    case AttributeValue::Kind::kUnset:
      return "without a value";
    default:
      append_attribute_text(out, value);
      return cut_words(out, kTextBytes);
  }
}

std::string any_of_words(const std::vector<std::string>& texts) {
  std::string out;
  const std::size_t listed = texts.size() > kListed + 1 ? kListed : texts.size();
  for (std::size_t i = 0; i < listed; ++i) {
    if (i != 0) out += i + 1 == texts.size() ? " or " : ", ";
    out += quoted_words(texts[i]);
  }
  if (listed < texts.size()) out += fmt::format(" or {} more", texts.size() - listed);
  return out;
}

std::string quoted_words(std::string_view text) { return json_quoted(cut_words(text, kTextBytes)); }

std::string range_words(std::int64_t min, std::int64_t max) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kGreatest = std::numeric_limits<std::int64_t>::max();
  if (max == kGreatest) return min == kLeast ? "any" : fmt::format(">= {}", min);
  return min == kLeast ? fmt::format("<= {}", max) : fmt::format("{} to {}", min, max);
}

std::string named_words(std::string_view name, const std::string& words) {
  return name.empty() ? words : fmt::format("{}: {}", name, words);
}

std::string count_words(std::uint64_t count, std::string_view unit) {
  return fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s");
}

std::string limit_words(std::uint64_t cost, std::string_view unit, double rate, double burst, bool had_room) {
  if (static_cast<double>(cost) > burst)
    return fmt::format("{}, wanted at most {} at once", count_words(cost, unit), plain_decimal(burst, 6));
  return fmt::format("{}, {} in {} a second", count_words(cost, unit), had_room ? "room" : "no room left",
                     plain_decimal(rate, 6));
}

std::string part_words(std::string_view kind, std::string_view name, std::size_t i) {
  return name.empty() ? fmt::format("{} {}", kind, i + 1) : fmt::format("{} {}", kind, name);
}

std::string decided_words(std::string_view part, const std::string& saw, const std::string& chance) {
  if (saw.empty() && chance.empty()) return fmt::format("{}: every trace that comes so far", part);
  return fmt::format("{}: {}{}{}", part, saw, saw.empty() || chance.empty() ? "" : "; ", chance);
}

std::string cut_words(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0) == 0x80) --bytes_max;
  return std::string(text.substr(0, bytes_max)) + "...";
}

}  // namespace tailgate
