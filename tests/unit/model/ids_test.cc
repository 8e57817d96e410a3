// SPDX-License-Identifier: Apache-2.0
#include "model/ids.h"

#include <catch2/catch.hpp>

using namespace tailgate;

TEST_CASE("a trace id is 32 hex digits of any case and is written in lower case", "[model]") {
  const auto id = TraceId::from_hex("4BF92F3577B34DA6A3CE929D0E0E4736");
  REQUIRE(id);
  CHECK(id->view() == std::string_view("\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36", 16));
  CHECK(id->hex() == "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST_CASE("an id of another length or with another character is not read", "[model]") {
  for (const char* bad :
       {"", "4bf92f3577b34da6", "4bf92f3577b34da6a3ce929d0e0e473", "4bf92f3577b34da6a3ce929d0e0e47360",
        "4bf92f3577b34da6a3ce929d0e0e473g", "0x4bf92f3577b34da6a3ce929d0e0e47", " bf92f3577b34da6a3ce929d0e0e4736"})
    CHECK(!TraceId::from_hex(bad));
  CHECK(SpanId::from_hex("00f067aa0ba902b7"));
  CHECK(!SpanId::from_hex("00f067aa0ba902b"));
}

TEST_CASE("people give ids without their leading zeros, with blanks, in any case", "[model]") {
  for (const char* one : {"ab", "0AB", " \tab\n", "000000000000000000000000000000ab"})
    CHECK(TraceId::from_short_hex(one).value_or(TraceId()).hex() == "000000000000000000000000000000ab");
  CHECK(SpanId::from_short_hex("1")->hex() == "0000000000000001");
  for (const char* bad : {"", " ", "0", "a b", "0x1", "xyz", "0000000000000000000000000000000ab"})
    CHECK_FALSE(TraceId::from_short_hex(bad));
}

TEST_CASE("only an id of 16 zero bytes is zero", "[model]") {
  CHECK(TraceId{}.is_zero());
  CHECK(TraceId{}.hex() == "00000000000000000000000000000000");
  CHECK(TraceId::from_hex("00000000000000000000000000000000")->is_zero());
  CHECK_FALSE(TraceId::from_hex("00000000000000000000000000000001")->is_zero());
  CHECK_FALSE(TraceId::from_hex("80000000000000000000000000000000")->is_zero());
}

TEST_CASE("an id is taken from the bytes on the wire, zero bytes included", "[model]") {
  const std::string wire("\0\xf0g\xaa\0\xa9\x02\0more", 12);
  CHECK(SpanId::from(wire.data()).hex() == "00f067aa00a90200");
  CHECK(SpanId::from(wire.data()) == *SpanId::from_hex("00f067aa00a90200"));
  CHECK(SpanId::from(wire.data()) != *SpanId::from_hex("00f067aa00a90201"));
}
