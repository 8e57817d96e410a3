#include "decide/condition_trace_state.h"

#include <algorithm>
#include <array>

namespace tailgate {
namespace {

constexpr std::size_t kMembersMax = 32;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_key_char(char c) { return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '*' || c == '/'; }

bool is_key_part(std::string_view part, std::size_t size_max, bool digit_first) {
  return !part.empty() && part.size() <= size_max && (is_lower(part[0]) || (digit_first && is_digit(part[0]))) &&
         std::all_of(part.begin(), part.end(), is_key_char);
}

bool is_key(std::string_view key) {
  const std::size_t at = key.find('@');
  if (at == std::string_view::npos) return is_key_part(key, 256, false);
  return is_key_part(key.substr(0, at), 241, true) && is_key_part(key.substr(at + 1), 14, false);
}

bool is_value(std::string_view value) {
  const auto printable = [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; };
  return !value.empty() && value.size() <= 256 && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(), printable);
}

}  // namespace

std::optional<std::string_view> trace_state_value(std::string_view rest, std::string_view wanted) {
  constexpr std::string_view kBlanks = " \t";
  std::array<std::string_view, kMembersMax> keys;
  std::size_t members = 0;
  std::string_view found = "";
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view member = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (member.empty()) continue;
    const std::size_t equals = member.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    std::string_view key = member.substr(0, equals), value = member.substr(equals + 1);
    key.remove_prefix(std::min(key.find_first_not_of(kBlanks), key.size()));
    value = value.substr(0, value.find_last_not_of(kBlanks) + 1);
    const auto end = keys.begin() + static_cast<std::ptrdiff_t>(members);
    if (!is_key(key) || !is_value(value) || members == kMembersMax || std::find(keys.begin(), end, key) != end)
      return std::nullopt;
    keys[members++] = key;
    if (key == wanted) found = value;
  }
  return found;
}

}  // namespace tailgate
