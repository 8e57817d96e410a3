// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/tracestate.h"

#include <array>

#include "codec/hex.h"
#include "model/threshold.h"

namespace tailgate {
namespace {

constexpr std::size_t kMembersMax = 32;
constexpr std::size_t kEntryMax = 256;  // of `ot`'s value
constexpr std::size_t kStateMax = 512;  // what every hop must carry on

ByteView trim(ByteView text) {
  const auto from = text.find_first_not_of(" \t");
  if (from == ByteView::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

// Cuts the part up to `separator` off `rest`.
ByteView cut(ByteView& rest, char separator) {
  const auto at = rest.find(separator);
  const ByteView part = rest.substr(0, at);
  rest = at == ByteView::npos ? ByteView() : rest.substr(at + 1);
  return part;
}

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

bool key_part(ByteView part, std::size_t max, bool digit_first) {
  if (part.empty() || part.size() > max || !(lower(part[0]) || (digit_first && digit(part[0])))) return false;
  for (const char c : part) {
    if (!lower(c) && !digit(c) && c != '_' && c != '-' && c != '*' && c != '/') return false;
  }
  return true;
}

bool key_is_good(ByteView key) {
  const auto at = key.find('@');
  if (at == ByteView::npos) return key_part(key, 256, false);
  return key_part(key.substr(0, at), 241, true) && key_part(key.substr(at + 1), 14, false);
}

bool value_is_good(ByteView value) {
  if (value.empty() || value.size() > 256 || value.back() == ' ') return false;
  for (const char c : value) {
    if (c < 0x20 || c > 0x7e || c == ',' || c == '=') return false;
  }
  return true;
}

struct Members {
  std::array<std::pair<ByteView, ByteView>, kMembersMax> all;  // key, value
  std::size_t size = 0;
  bool good = true;
};

Members read_members(ByteView state) {
  Members members;
  while (!state.empty()) {
    const ByteView member = cut(state, ',');
    if (member.empty()) continue;
    ByteView value = member;
    ByteView key = cut(value, '=');
    members.good = member.size() != key.size();
    const auto from = key.find_first_not_of(" \t");
    key = from == ByteView::npos ? ByteView() : key.substr(from);
    value = value.substr(0, value.find_last_not_of(" \t") + 1);
    members.good = members.good && key_is_good(key) && value_is_good(value) && members.size < kMembersMax;
    for (std::size_t i = 0; i < members.size; ++i) members.good = members.good && members.all[i].first != key;
    if (!members.good) return members;
    members.all[members.size++] = {key, value};
  }
  return members;
}

// 1 to 14 hex digits as the upper digits of 56 bits.
std::optional<std::uint64_t> read_digits(ByteView text, std::size_t digits_min) {
  if (text.size() < digits_min || text.size() > 14) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 14; ++i) {
    value <<= 4;
    if (i >= text.size()) continue;
    if (!is_lower_hex_digit(text[i])) return std::nullopt;
    value |= static_cast<std::uint64_t>(hex_digit(text[i]));
  }
  return value;
}

OtEntry read_entry(ByteView entry) {
  OtEntry out;
  while (!entry.empty()) {
    ByteView value = cut(entry, ';');
    const ByteView key = cut(value, ':');
    if (key == "th" && !out.threshold) out.threshold = read_digits(value, 1);
    if (key == "rv" && !out.random) out.random = read_digits(value, 14);
  }
  return out;
}

// The entry's parts but `th`, with a new one (or none) in front.
std::string entry_with(ByteView entry, std::optional<std::uint64_t> threshold) {
  std::string out;
  if (threshold) out = "th:" + threshold_digits(*threshold);
  while (!entry.empty()) {
    const ByteView part = cut(entry, ';');
    if (part.empty() || part.starts_with("th:")) continue;
    if (!out.empty()) out += ';';
    out += part;
  }
  return out;
}

// A changed entry stands at the left, the others keep their order.
std::string state_with(const Members& members, std::string_view entry) {
  std::string out;
  if (!entry.empty()) out.append("ot=").append(entry);
  for (std::size_t i = 0; i < members.size; ++i) {
    const auto& [key, value] = members.all[i];
    if (key == "ot") continue;
    if (!out.empty()) out += ',';
    out.append(key).append("=").append(value);
  }
  return out;
}

ByteView ot_of(const Members& members) {
  for (std::size_t i = 0; i < members.size; ++i) {
    if (members.all[i].first == "ot") return members.all[i].second;
  }
  return {};
}

Amended without_threshold(const Members& members, ByteView entry, Amended::What what) {
  return {what, state_with(members, entry_with(entry, std::nullopt))};
}

}  // namespace

OtEntry read_ot(ByteView tracestate) {
  // Found without looking at the other vendors' members closely: theirs are not ours to judge.
  while (!tracestate.empty()) {
    ByteView value = cut(tracestate, ',');
    const ByteView key = cut(value, '=');
    if (trim(key) == "ot") return read_entry(trim(value));
  }
  return {};
}

std::optional<ByteView> tracestate_value(ByteView tracestate, ByteView key) {
  const Members members = read_members(tracestate);
  if (!members.good) return std::nullopt;
  for (std::size_t i = 0; i < members.size; ++i) {
    if (members.all[i].first == key) return members.all[i].second;
  }
  return ByteView("");
}

Amended raise_threshold(ByteView tracestate, std::uint64_t threshold, std::uint64_t random) {
  const Members members = read_members(tracestate);
  if (!members.good) return {Amended::What::kUnparsable, {}};
  const ByteView entry = ot_of(members);
  const OtEntry in = read_entry(entry);
  if (in.threshold && *in.threshold > random) return without_threshold(members, entry, Amended::What::kChanged);
  if (in.threshold && *in.threshold >= threshold) return {};
  const std::string new_entry = entry_with(entry, threshold);
  std::string state = state_with(members, new_entry);
  const bool fits = new_entry.size() <= kEntryMax && members.size + entry.empty() <= kMembersMax &&
                    (state.size() <= kStateMax || state.size() <= tracestate.size());
  if (!fits) return without_threshold(members, entry, Amended::What::kNoRoom);
  return {Amended::What::kChanged, std::move(state)};
}

Amended erase_threshold(ByteView tracestate) {
  if (tracestate.empty()) return {};
  const Members members = read_members(tracestate);
  if (!members.good) return {Amended::What::kUnparsable, {}};
  const ByteView entry = ot_of(members);
  if (!read_entry(entry).threshold && entry.find("th:") == ByteView::npos) return {};
  return without_threshold(members, entry, Amended::What::kChanged);
}

}  // namespace tailgate
