// SPDX-License-Identifier: Apache-2.0
#include "signals/graph_names.h"

#include <catch2/catch.hpp>

using namespace tailgate;

TEST_CASE("a name has one number, and beyond the most there is none, until names that nothing uses go", "[signals]") {
  constexpr std::uint32_t kMax = 100;
  GraphNames names(kMax, 7);
  const auto number = [&](std::uint32_t i) { return names.number_of("service-" + std::to_string(i)); };
  CHECK(names.number_of("") == 0);
  for (std::uint32_t i = 0; i < kMax; ++i) CHECK(number(i) == i + 1);
  CHECK(names.is_full());
  for (std::uint32_t i = kMax; i < 10'000; ++i) REQUIRE(number(i) == 0);
  for (std::uint32_t i = 0; i < kMax; ++i) CHECK(number(i) == i + 1);
  CHECK(names.text_of(3) == "service-2");

  std::vector<bool> in_use(kMax + 1, true);
  in_use[3] = false;
  names.sweep(in_use);
  CHECK(number(kMax) == 0);
  names.sweep(in_use);
  CHECK(names.size() == kMax - 1);
  CHECK(number(kMax) == 3);
  CHECK(number(2) == 0);
  for (std::uint32_t i = 3; i < kMax; ++i) CHECK(number(i) == i + 1);
}

TEST_CASE("a long name is cut after a whole character", "[signals]") {
  GraphNames names(10, 7);
  const std::string start(GraphNames::kNameBytesMax - 1, 'x');
  CHECK(names.text_of(names.number_of(start + "\xC3\xA4" + "and more")) == start);
  CHECK(names.number_of(start) == 1);
}
