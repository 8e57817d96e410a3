// SPDX-License-Identifier: Apache-2.0
#include "codec/utf8.h"

#include <catch2/catch.hpp>
#include <optional>

using namespace tailgate;

namespace {

// The slow twin: reads the number of the character as RFC 3629, section 3 has it in prose, then checks the number.
std::size_t slow_length(std::string_view text) {
  const auto first = static_cast<std::uint8_t>(text[0]);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  std::uint32_t number = 0;
  if (first >> 5 == 6) length = 2, number = first & 0x1Fu;
  if (first >> 4 == 14) length = 3, number = first & 0x0Fu;
  if (first >> 3 == 30) length = 4, number = first & 0x07u;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    if (byte >> 6 != 2) return 0;
    number = number << 6 | (byte & 0x3Fu);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = number >= 0xD800 && number <= 0xDFFF;
  return number < kSmallest[length] || number > 0x10FFFF || surrogate ? 0 : length;
}

bool slow_is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = slow_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::size_t length_of(std::string_view text) { return utf8_length(text.data(), text.data() + text.size()); }

}  // namespace

TEST_CASE("every text of up to three bytes is judged as the slow twin judges it", "[codec]") {
  std::size_t wrong = 0;
  for (std::uint32_t n = 0; n < 1u << 24; ++n) {
    const char bytes[] = {static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
    const std::string_view text(bytes, 3);
    wrong += length_of(text) != slow_length(text);
    if ((n & 0xFF) == 0) wrong += length_of(text.substr(0, 2)) != slow_length(text.substr(0, 2));
    if ((n & 0xFFFF) == 0) wrong += length_of(text.substr(0, 1)) != slow_length(text.substr(0, 1));
  }
  CHECK(wrong == 0);
}

TEST_CASE("four bytes with every first and second one are judged as the slow twin judges them", "[codec]") {
  std::size_t wrong = 0;
  constexpr char kEdges[] = {'\x00', '\x7F', '\x80', '\xBF', '\xC0', '\xFF'};
  for (std::uint32_t n = 0; n < 1u << 16; ++n) {
    for (const char third : kEdges) {
      for (const char fourth : kEdges) {
        const char bytes[] = {static_cast<char>(n >> 8), static_cast<char>(n), third, fourth};
        const std::string_view text(bytes, 4);
        wrong += length_of(text) != slow_length(text) || is_utf8(text) != slow_is_utf8(text);
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("every character that append_utf8 writes is one, and of the length it should have", "[codec]") {
  std::size_t wrong = 0;
  for (std::uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c == 0xD800) c = 0xE000;
    std::string text;
    append_utf8(text, c);
    wrong += length_of(text) != text.size() || slow_length(text) != text.size();
  }
  CHECK(wrong == 0);
}

TEST_CASE("a bad byte is found at every place in and around the steps of eight bytes", "[codec]") {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '\xFF';
      CHECK_FALSE(is_utf8(text));
      CHECK(to_utf8(text) == std::string(at, 'a') + "?" + std::string(size - at - 1, 'a'));
    }
    CHECK(is_utf8(std::string(size, 'a')));
  }
  CHECK(is_utf8(""));
}

TEST_CASE("a text is cut between characters", "[codec]") {
  const std::string text = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80.";  // of 1, 2, 3, 4 and 1 bytes
  const std::size_t fronts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (std::size_t max = 0; max != std::size(fronts); ++max)
    CHECK(start_of_text(text, max) == text.substr(0, fronts[max]));
  CHECK(start_of_text("a\xA4\xA4\xA4\xA4", 3) == "a\xA4\xA4");  // no characters: so many bytes
}

TEST_CASE("each byte outside a character is replaced", "[codec]") {
  CHECK(to_utf8("a\xC3\xA9z") == "a\xC3\xA9z");
  CHECK(to_utf8("\xE2\x82") == "??");  // cut in the middle
  CHECK(to_utf8("\xED\xA0\x80") == "???");
  CHECK(to_utf8("a\xFFz", kReplacementCharacter) == "a\uFFFDz");
}
