// SPDX-License-Identifier: Apache-2.0
#include "codec/base64.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <vector>

using namespace tailgate;

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string encoded(std::string_view bytes, Base64Padding padding = Base64Padding::kWith) {
  std::string out;
  append_base64(out, bytes, padding);
  return out;
}

std::optional<std::string> decoded(std::string_view text, const Base64Rules& rules) {
  std::string out;
  if (!read_base64(text, rules, out)) return std::nullopt;
  return out;
}

// The slow twins work on bits, one character each.
std::string slow_encoded(std::string_view bytes) {
  std::string bits, out;
  for (const char c : bytes) {
    for (int i = 7; i >= 0; --i) bits += (static_cast<unsigned char>(c) >> i & 1) != 0 ? '1' : '0';
  }
  while (bits.size() % 6 != 0) bits += '0';
  for (std::size_t i = 0; i < bits.size(); i += 6) out += kAlphabet[std::stoul(bits.substr(i, 6), nullptr, 2)];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

std::optional<std::string> slow_decoded(std::string text, const Base64Rules& rules) {
  if (rules.line_breaks) std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
  if (!rules.any_padding && text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (!text.empty() && text.back() == '=') text.pop_back(), ++padding;
  if (!rules.any_padding && padding > 2) return std::nullopt;
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bits, out;
  for (char c : text) {
    if (rules.url_alphabet) c = c == '-' ? '+' : c == '_' ? '/' : c;
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    for (int i = 5; i >= 0; --i) bits += (value >> i & 1) != 0 ? '1' : '0';
  }
  for (; bits.size() >= 8; bits.erase(0, 8)) out += static_cast<char>(std::stoul(bits.substr(0, 8), nullptr, 2));
  if (!rules.nonzero_spare && bits.find('1') != std::string::npos) return std::nullopt;
  return out;
}

}  // namespace

TEST_CASE("base64 is written as RFC 4648, section 10 shows it", "[codec]") {
  const std::map<std::string, std::string> kExamples = {{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : kExamples) {
    CHECK(encoded(bytes) == text);
    CHECK(encoded(bytes, Base64Padding::kWithout) == text.substr(0, text.find('=')));
    CHECK(decoded(text, kBase64Strict) == bytes);
  }
  CHECK(encoded("foobar\xff", Base64Padding::kWithout) == "Zm9vYmFy/w");
}

TEST_CASE("every sequence of up to two bytes is written as by the slow twin, and read back by all rules", "[codec]") {
  std::size_t wrong = 0;
  for (std::uint32_t n = 0; n < 1u << 16; ++n) {
    const char bytes[] = {static_cast<char>(n >> 8), static_cast<char>(n)};
    for (const std::size_t size : {1u, 2u}) {
      const std::string_view want(bytes, size);
      const std::string text = encoded(want);
      wrong += text != slow_encoded(want);
      for (const Base64Rules& rules : {kBase64Strict, kBase64Protobuf, kBase64Go})
        wrong += decoded(text, rules) != want;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("texts of up to eight bytes are read as by the slow twin, under all rules", "[codec]") {
  // One of each kind: digits with and without spare bits, both alphabets' last two, padding, breaks, and none of these.
  constexpr std::string_view kKinds = "AB/_=\n";
  std::size_t wrong = 0;
  std::vector<std::string> texts = {""};
  for (int length = 0; length < 6; ++length) {
    std::vector<std::string> longer;
    for (const std::string& text : texts) {
      for (const char c : kKinds) longer.push_back(text + c);
    }
    texts = std::move(longer);
    for (const std::string& tail : texts) {
      for (const std::string& text : {tail, "Zm" + tail, tail + "*"}) {
        for (const Base64Rules& rules : {kBase64Strict, kBase64Protobuf, kBase64Go})
          wrong += decoded(text, rules) != slow_decoded(text, rules);
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("what the rules differ in", "[codec]") {
  struct Row {
    std::string_view text;
    bool strict, protobuf, go;
  };
  constexpr Row kRows[] = {
      {"Zg==", true, true, true},    {"Zg", false, true, false},        {"Zg=", false, true, false},
      {"Zg===", false, true, false}, {"Zh==", false, true, true},       {"Z\ng==", false, false, true},
      {"-_8=", false, true, false},  {"====", false, true, false},      {"Z", false, false, false},
      {"Z===", false, false, false}, {"Zg==Zg==", false, false, false}, {"Z g=", false, false, false},
  };
  for (const Row& row : kRows) {
    INFO(row.text);
    CHECK(decoded(row.text, kBase64Strict).has_value() == row.strict);
    CHECK(decoded(row.text, kBase64Protobuf).has_value() == row.protobuf);
    CHECK(decoded(row.text, kBase64Go).has_value() == row.go);
  }
}
