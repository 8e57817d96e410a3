// SPDX-License-Identifier: Apache-2.0
// Converters of texts. Offsets and lengths are in bytes, as in Go.
#include <algorithm>

#include "decide/condition/convert/converters.h"

#include "codec/utf8.h"

namespace tailgate::condition {
namespace {

bool concat(Evaluation& e, const Arguments& a, Value& out) {
  std::string text;
  bool first = true;
  Value item;
  for (ListReader reader(a[0]); reader.next(item);) {
    if (!first) text += a[1].text;
    first = false;
    if (item.is(ValueKind::kNil)) {
      text += "<nil>";
    } else if (!append_text(item, text)) {
      return e.fail("expected values that can be texts to join");
    }
    if (text.size() > Arena::kBytesMax) break;
  }
  return e.own(text, out);
}

bool substring(Evaluation& e, const Arguments& a, Value& out) {
  const std::string_view text = a[0].text;
  const std::int64_t start = a[1].integer, length = a[2].integer;
  if (start < 0) return e.fail("expected a start of 0 or more");
  if (length <= 0) return e.fail("expected a length of 1 or more");
  const auto size = static_cast<std::int64_t>(text.size());
  if (start > size || length > size - start) return e.fail("the part reaches past the end of the string");
  std::size_t from = static_cast<std::size_t>(start), to = from + static_cast<std::size_t>(length);
  if (a.has(3) && a[3].boolean()) {
    const auto inside = [&](std::size_t i) {
      return i < text.size() && (static_cast<std::uint8_t>(text[i]) & 0xc0) == 0x80;
    };
    while (from < to && inside(from)) ++from;
    while (to > from && inside(to)) --to;
  }
  out = Value::of_text(text.substr(from, to - from));
  return true;
}

bool split(Evaluation& e, const Arguments& a, Value& out) {
  const std::string_view text = a[0].text, by = a[1].text;
  // An empty delimiter splits between characters.
  const auto next = [&](std::size_t from) {
    if (!by.empty()) return text.find(by, from);
    std::size_t i = from + 1;
    while (i < text.size() && (static_cast<std::uint8_t>(text[i]) & 0xc0) == 0x80) ++i;
    return i < text.size() ? i : std::string_view::npos;
  };
  std::size_t n = by.empty() && text.empty() ? 0 : 1;
  for (std::size_t at = 0; n > 0 && (at = next(at)) != std::string_view::npos; at += by.size()) ++n;
  Value* const items = e.arena.values(n);
  if (items == nullptr) return e.fail("the list takes more than 16 MiB");
  std::size_t from = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t to = next(from);
    items[i] = Value::of_text(text.substr(from, to == std::string_view::npos ? to : to - from));
    from = to == std::string_view::npos ? text.size() : to + by.size();
  }
  out = Value::of_list(items, n);
  return true;
}

// Case of ASCII, Latin-1, Greek and Cyrillic letters: what routes, hosts and names are written in.
char32_t to_lower(char32_t c) {
  if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) ||
      (c >= 0x410 && c <= 0x42F)) {
    return c + 0x20;
  }
  if (c >= 0x400 && c <= 0x40F) return c + 0x50;
  const bool even_is_upper = (c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177);
  const bool odd_is_upper = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E);
  if (even_is_upper && c % 2 == 0) return c + 1;
  if (odd_is_upper && c % 2 == 1) return c + 1;
  return c == 0x178 ? 0xFF : c;
}

char32_t to_upper(char32_t c) {
  if ((c >= 'a' && c <= 'z') || (c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2) ||
      (c >= 0x430 && c <= 0x44F)) {
    return c - 0x20;
  }
  if (c >= 0x450 && c <= 0x45F) return c - 0x50;
  const bool odd_is_lower = (c >= 0x101 && c <= 0x12F) || (c >= 0x133 && c <= 0x137) || (c >= 0x14B && c <= 0x177);
  const bool even_is_lower = (c >= 0x13A && c <= 0x148) || (c >= 0x17A && c <= 0x17E);
  if (odd_is_lower && c % 2 == 1) return c - 1;
  if (even_is_lower && c % 2 == 0) return c - 1;
  return c == 0xFF ? 0x178 : c == 0x3C2 ? 0x3A3 : c == 0xB5 ? 0x39C : c;
}

// Applied to characters of one and two bytes; all letters above keep their length or stay within two bytes.
template <char32_t (*map)(char32_t)>
bool change_case(Evaluation& e, const Arguments& a, Value& out) {
  std::string text;
  text.reserve(a[0].text.size());
  for (std::size_t i = 0; i < a[0].text.size(); ++i) {
    const std::uint32_t c = static_cast<std::uint8_t>(a[0].text[i]);
    const std::uint32_t d = i + 1 < a[0].text.size() ? static_cast<std::uint8_t>(a[0].text[i + 1]) : 0u;
    if (c < 0x80) {
      text += static_cast<char>(map(c));
    } else if (utf8_length(a[0].text.data() + i, a[0].text.data() + a[0].text.size()) == 2) {
      const char32_t mapped = map((c & 0x1F) << 6 | (d & 0x3F));
      text += static_cast<char>(0xC0 | mapped >> 6);
      text += static_cast<char>(0x80 | (mapped & 0x3F));
      ++i;
    } else {
      text += a[0].text[i];
    }
  }
  return e.own(text, out);
}

bool has_prefix(Evaluation&, const Arguments& a, Value& out) {
  out = Value::of_bool(a[0].text.starts_with(a[1].text));
  return true;
}

bool has_suffix(Evaluation&, const Arguments& a, Value& out) {
  out = Value::of_bool(a[0].text.ends_with(a[1].text));
  return true;
}

bool trim(Evaluation&, const Arguments& a, Value& out) {
  const std::string_view set = a.has(1) ? a[1].text : " ";
  const std::size_t from = a[0].text.find_first_not_of(set);
  const std::size_t to = a[0].text.find_last_not_of(set);
  out = Value::of_text(from == std::string_view::npos ? "" : a[0].text.substr(from, to - from + 1));
  return true;
}

bool trim_prefix(Evaluation&, const Arguments& a, Value& out) {
  out = Value::of_text(a[0].text.starts_with(a[1].text) ? a[0].text.substr(a[1].text.size()) : a[0].text);
  return true;
}

bool trim_suffix(Evaluation&, const Arguments& a, Value& out) {
  out = Value::of_text(a[0].text.ends_with(a[1].text) ? a[0].text.substr(0, a[0].text.size() - a[1].text.size())
                                                      : a[0].text);
  return true;
}

bool parse_integer(Evaluation& e, const Arguments& a, Value& out) {
  std::string_view text = a[0].text;
  std::int64_t base = a[1].integer;
  if (base != 0 && (base < 2 || base > 36)) return e.fail("expected a base of 0 or 2 to 36");
  std::string digits;
  if (base == 0) {
    const bool sign = text.starts_with('-') || text.starts_with('+');
    if (sign) digits = text[0] == '-' ? "-" : "";
    std::string_view rest = text.substr(sign ? 1 : 0);
    const char mark = rest.size() > 1 && rest[0] == '0' ? static_cast<char>(rest[1] | 0x20) : ' ';
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : rest.size() > 1 && rest[0] == '0' ? 8 : 10;
    if (mark == 'x' || mark == 'b' || mark == 'o') rest.remove_prefix(2);
    if (rest.starts_with('-') || rest.starts_with('+') || rest.ends_with('_')) return e.fail("expected an integer");
    for (const char c : rest) {
      if (c != '_') digits += c;
    }
    text = digits;
  }
  const std::optional<std::int64_t> n = parse_int(text, static_cast<int>(base));
  if (!n) return e.fail("expected an integer in that base");
  out = Value::of_int(*n);
  return true;
}

constexpr std::array kTextConverters = {
    Converter{"Concat", {{{"vals", Want::kList}, {"delimiter", Want::kString}}}, concat},
    Converter{
        "Substring",
        {{{"target", Want::kString}, {"start", Want::kInt}, {"length", Want::kInt}, {"utf8_safe", Want::kBool, true}}},
        substring},
    Converter{"Split", {{{"target", Want::kString}, {"delimiter", Want::kString}}}, split},
    Converter{"ToLowerCase", {{{"target", Want::kString}}}, change_case<to_lower>},
    Converter{"ToUpperCase", {{{"target", Want::kString}}}, change_case<to_upper>},
    Converter{"HasPrefix", {{{"target", Want::kString}, {"prefix", Want::kString}}}, has_prefix},
    Converter{"HasSuffix", {{{"target", Want::kString}, {"suffix", Want::kString}}}, has_suffix},
    Converter{"Trim", {{{"target", Want::kString}, {"replacement", Want::kString, true}}}, trim},
    Converter{"TrimPrefix", {{{"target", Want::kString}, {"prefix", Want::kString}}}, trim_prefix},
    Converter{"TrimSuffix", {{{"target", Want::kString}, {"suffix", Want::kString}}}, trim_suffix},
    Converter{"ParseInt", {{{"target", Want::kString}, {"base", Want::kInt}}}, parse_integer},
};

}  // namespace

std::span<const Converter> text_converters() { return kTextConverters; }

}  // namespace tailgate::condition
