// SPDX-License-Identifier: Apache-2.0
#include "decide/words.h"

#include <catch2/catch.hpp>
#include <limits>

using namespace tailgate;

TEST_CASE("a chance that is rounded stays on its side of what was wanted", "[decide]") {
  CHECK(chance_words(0.43, 0.01) == "0.43, wanted < 0.01");
  // Cut to three digits it would have been 0.123, which is less than what was wanted: the trace was not kept.
  CHECK(chance_words(0.12346, 0.12345) == "0.12346, wanted < 0.12345");
  CHECK(chance_words(0.12344, 0.12345) == "0.123, wanted < 0.12345");
  CHECK(chance_words(0.00999999, 0.01) == "0.00999999, wanted < 0.01");
  CHECK(chance_words(0.01, 0.01) == "0.01, wanted < 0.01");
  CHECK(chance_words(0.5000000000000001, 0.5) == "0.5, wanted < 0.5");  // equal in all digits that are told apart
}

TEST_CASE("numbers of every size have words", "[decide]") {
  CHECK(plain_decimal(std::numeric_limits<double>::infinity()) == "infinity");
  CHECK(plain_decimal(-std::numeric_limits<double>::infinity()) == "-infinity");
  CHECK(plain_decimal(std::numeric_limits<double>::quiet_NaN()) == "not a number");
  CHECK(plain_decimal(-0.05) == "-0.05");
  CHECK(plain_decimal(1e-320) == "0");
  CHECK(duration_words(48'000) == "48 us");
  CHECK(duration_words(-999) == "-999 ns");
  CHECK(duration_words(-48'000) == "-48 us");
  CHECK(duration_words(std::numeric_limits<std::int64_t>::min()) == "-9223372036854 ms");
}
