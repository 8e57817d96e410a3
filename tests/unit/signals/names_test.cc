// SPDX-License-Identifier: Apache-2.0
#include "signals/names.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

std::string label(const std::string& value) {
  std::string out;
  append_label(out, "l", value);
  return out;
}

}  // namespace

TEST_CASE("names with ids in them are told from others", "[signals]") {
  for (const char* name : {"GET /order/12345", "user 7f3a9c01", "job 123e4567-e89b-12d3-a456-426614174000", "A1B2C3D4"})
    CHECK(looks_like_id(name));
  for (const char* name : {"GET /v1/orders", "HTTP 404", "year 2026", "deadbeef", "facade", "", "SELECT 1234"})
    CHECK_FALSE(looks_like_id(name));
}

TEST_CASE("a label's value is escaped, repaired and cut", "[signals]") {
  CHECK(label("a\"b\\c\nd") == R"(l="a\"b\\c\nd")");
  CHECK(label("a\xFF") == "l=\"a?\"");
  CHECK(label(std::string("a\0b", 3)) == "l=\"a?b\"");
  CHECK(label(std::string(2000, 'x')).size() == 1024 + 4);
  CHECK(label(std::string(1023, 'x') + "\xC3\xA4") == "l=\"" + std::string(1023, 'x') + "\"");
  std::string two = label("x");
  append_label(two, "m", "");
  CHECK(two == R"(l="x",m="")");
}
