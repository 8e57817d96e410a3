// SPDX-License-Identifier: Apache-2.0
#include <simdjson.h>

#include <catch2/catch.hpp>

#include "codec/calendar.h"
#include "codec/decimal.h"
#include "codec/hex.h"
#include "codec/json_repair.h"
#include "codec/json_text.h"
#include "codec/percent.h"
#include "codec/utf8.h"

using namespace tailgate;

TEST_CASE("all bytes come back from hex, of either case", "[codec]") {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  std::string text = to_hex(bytes);
  CHECK(text.starts_with("000102"));
  CHECK(text.ends_with("fdfeff"));
  for (const bool capitals : {false, true}) {
    if (capitals) {
      for (char& c : text) c = static_cast<char>(c >= 'a' ? c - 0x20 : c);
    }
    std::string back(256, '\0');
    REQUIRE(read_hex(text, back.data()));
    CHECK(back == bytes);
  }
  char out[2];
  CHECK_FALSE(read_hex("abc", out));
  CHECK_FALSE(read_hex("0g", out));
  CHECK_FALSE(read_hex("g0", out));
  CHECK(read_hex("", out));
}

TEST_CASE("a character is a hex digit exactly when C says so", "[codec]") {
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    CHECK((hex_digit(c) >= 0) == (std::isxdigit(i) != 0));
    CHECK(is_lower_hex_digit(c) == (std::isxdigit(i) != 0 && std::isupper(i) == 0));
  }
}

TEST_CASE("every pair of bytes makes a JSON string that a parser reads back", "[codec]") {
  simdjson::dom::parser parser;
  std::size_t wrong = 0;
  for (std::uint32_t n = 0; n < 1u << 16; ++n) {
    const char bytes[] = {static_cast<char>(n >> 8), static_cast<char>(n)};
    const std::string_view text(bytes, 2);
    for (const JsonEscapes escapes : {JsonEscapes::kFew, JsonEscapes::kGo, JsonEscapes::kLine}) {
      std::string json;
      append_json_string(json, text, escapes);
      std::string_view back;
      wrong += parser.parse(json).get(back) != simdjson::SUCCESS || back != to_utf8(text, kReplacementCharacter);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("JSON's escapes, few and as Go writes them", "[codec]") {
  const auto go = [](std::string_view text) {
    std::string out;
    append_json_string(out, text, JsonEscapes::kGo);
    return out;
  };
  CHECK(json_quoted("a\"\\\n\r\t\b\f\x01\x7F") == R"("a\"\\\n\r\t\u0008\u000c\u0001)"
                                                  "\x7F\"");
  CHECK(go("a\"\\\n\r\t\b\f\x01\x7F") == R"("a\"\\\n\r\t\b\f\u0001)"
                                         "\x7F\"");
  CHECK(json_quoted("<\u2028\xff\xED\xA0\x80>") == "\"<\u2028\uFFFD\uFFFD\uFFFD\uFFFD>\"");
  CHECK(go("<&>\u2028\u2029\u202A\xff") == "\"\\u003c\\u0026\\u003e\\u2028\\u2029\u202A\\ufffd\"");
}

TEST_CASE("the front of a text is as long as its escapes have room", "[codec]") {
  const std::string text = "ab\n\x01\xFFz";  // 0, 0, 1, 5 and 2 bytes more, then 0
  for (std::size_t room = 0; room <= 10; ++room) {
    std::size_t left = room;
    const ByteView front = json_string_front(text, left);
    CHECK(json_quoted(front).size() == front.size() + 2 + (room - left));
    CHECK(front.size() == (room < 1 ? 2 : room < 6 ? 3 : room < 8 ? 4 : 6));
  }
}

TEST_CASE("percent-encoding keeps what it is told to keep", "[codec]") {
  CHECK(percent_encoded("a b%\n\xC3\xA9~/", PercentKeep::kPrintable) == "a b%25%0A%C3%A9~/");
  CHECK(percent_encoded("a/b c+~", PercentKeep::kPath) == "a/b%20c%2B~");
  CHECK(percent_encoded("a/b c+~", PercentKeep::kUnreserved) == "a%2Fb%20c%2B~");
  for (int i = 0; i < 256; ++i) {
    const std::string byte(1, static_cast<char>(i));
    for (const PercentKeep keep : {PercentKeep::kUnreserved, PercentKeep::kPath, PercentKeep::kPrintable})
      CHECK(percent_decoded(percent_encoded(byte, keep)) == byte);
  }
}

TEST_CASE("a bad escape is refused, or kept by the lenient reader", "[codec]") {
  CHECK(percent_decoded("a%2fb%2Fc+") == "a/b/c+");
  for (const char* bad : {"%", "%2", "a%2", "%2g", "%g2", "%%41"}) CHECK_FALSE(percent_decoded(bad));
  CHECK(percent_decoded_leniently("%2g%41%%42%") == "%2gA%B%");
}

TEST_CASE("days and their numbers, forth and back, over 800 years", "[codec]") {
  std::size_t wrong = 0;
  int year = 1600, month = 1, day = 1, weekday = 6;  // 1600-01-01 was a Saturday
  for (std::int64_t n = -135'140; year < 2400; ++n) {
    const UtcTime t = utc_time(n * 86'400 + 86'399);
    wrong += t.year != year || t.month != month || t.day != day || t.weekday != weekday;
    wrong += t.hour != 23 || t.minute != 59 || t.second != 59 || unix_seconds(t) != n * 86'400 + 86'399;
    weekday = (weekday + 1) % 7;
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    const int days = month == 2 ? (leap ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    if (++day <= days) continue;
    day = 1;
    if (++month <= 12) continue;
    month = 1;
    ++year;
  }
  CHECK(wrong == 0);
  CHECK(utc_time(0).year == 1970);
  CHECK(utc_time(-1).second == 59);
  CHECK(unix_seconds({2026, 2, 31, 0, 0, 0, 0}) == unix_seconds({2026, 3, 3, 0, 0, 0, 0}));
}

TEST_CASE("JSON is repaired so that every parser takes it, and only where it must be", "[codec]") {
  const std::string good = R"({"a":"\ud83d\ude00 \\ \" \u00e9 \ufffd","b":[1,-2.5e3,true,null,"\u0000"]})"
                           "\n\t ";
  CHECK(json_repair_of(good).texts == 0);
  CHECK(json_repair_of(good).size == good.size());
  CHECK(repaired_json(good, good.size()) == good);

  const std::string parts[] = {"a",     R"(\ud83d)",    R"(\ude00)", R"(\ud83d\ude00)",
                               "\xE9",  "\xED\xA0\x80", "\xC3\xA9",  R"(\\)",
                               R"(\")", "\n",           "\x01",      std::string(1, '\0')};
  simdjson::dom::parser parser;
  for (const std::string& a : parts) {
    for (const std::string& b : parts) {
      for (const std::string& c : parts) {
        const std::string text = a + b + c;
        const std::string json = "{\"" + text + "\":[\"x\",\"" + text + "\"]}";
        const JsonRepair repair = json_repair_of(json);
        const std::string repaired = repaired_json(json, repair.size);
        CAPTURE(json, repaired);
        CHECK(repaired.size() == repair.size);
        CHECK((repair.texts == 0 || repair.texts == 2));
        CHECK((repair.texts == 0) == (repaired == json));
        CHECK(json_repair_of(repaired).texts == 0);
        CHECK(parser.parse(repaired).error() == simdjson::SUCCESS);
      }
    }
  }
}

TEST_CASE("what JSON cannot be repaired in is left as it is", "[codec]") {
  for (const std::string json : {"\xFF{}", "{\"a\":\"\xFF", "\"\\", "\"\\u12", "\"\\ud83d\\u", "", "\""}) {
    CHECK(json_repair_of(json).texts == 0);
  }
}

TEST_CASE("integers are read exactly in every form of JSON, or not at all", "[codec]") {
  CHECK(read_integer<std::uint64_t>("18446744073709551615") == UINT64_MAX);
  CHECK(read_integer<std::uint64_t>("1844674407370955161.5e1") == UINT64_MAX);
  CHECK(read_integer<std::uint64_t>("18446744073709551616") == std::nullopt);
  CHECK(read_integer<std::uint64_t>("1.8446744073709551616e19") == std::nullopt);
  CHECK(read_integer<std::int64_t>("-9223372036854775808.0") == INT64_MIN);
  CHECK(read_integer<std::int64_t>("-9.223372036854775809e18") == std::nullopt);
  CHECK(read_integer<std::int64_t>("9223372036854775808") == std::nullopt);
  CHECK(read_integer<std::int32_t>("-2e0") == -2);
  CHECK(read_integer<std::int32_t>("2147483648.0") == std::nullopt);
  CHECK(read_integer<std::uint32_t>("-1") == std::nullopt);
  CHECK(read_integer<std::uint32_t>("-0.0") == 0);
  CHECK(read_integer<std::uint32_t>("0e999999999999999999999") == 0);
  CHECK(read_integer<std::uint32_t>("10e-1") == 1);
  CHECK(read_integer<std::uint32_t>("1e-1") == std::nullopt);
  for (const char* text :
       {"", "-", ".5", "5.", "5e", "5e+", "5.e1", "0x5", " 5", "5 ", "+5", "1e99999999999", "1-", "NaN", "1e1.0"}) {
    CHECK(read_integer<std::uint64_t>(text) == std::nullopt);
  }
  CHECK(read_decimal("1" + std::string(1'000'000, '0') + "e-1000000")->magnitude == 1);
}
