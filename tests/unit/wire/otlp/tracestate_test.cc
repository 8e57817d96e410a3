// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/tracestate.h"

#include <catch2/catch.hpp>

#include "model/threshold.h"

using namespace tailgate;

TEST_CASE("thresholds are those of OTEP 235", "[model]") {
  const std::pair<double, const char*> vectors[] = {{50, "8"},
                                                    {25, "c"},
                                                    {10, "e6666666666666"},
                                                    {5, "f3333333333333"},
                                                    {1, "fd70a3d70a3d71"},
                                                    {0.1, "ffbe76c8b43958"},
                                                    {100, "0"}};
  for (const auto& [percentage, digits] : vectors)
    CHECK(threshold_digits(threshold_of_percentage(percentage)) == digits);
  CHECK(threshold_of_percentage(0) == kNever);
  CHECK(threshold_of_percentage(-1) == kNever);
  CHECK(threshold_of_percentage(1e-30) == kNever - 1);
  TraceId id;
  for (std::size_t i = 0; i < 16; ++i) id.bytes[i] = static_cast<char>(i + 1);
  CHECK(randomness_of(id) == 0x0a0b0c0d0e0f10);
}

TEST_CASE("a threshold's code gives it back, or the next stricter one", "[model]") {
  ThresholdTable table;
  CHECK(table.value_of(table.code_of(kCertain)) == kCertain);
  CHECK(table.value_of(table.code_of(kUnknownChance)) == kUnknownChance);
  for (const double percentage : {99.9, 50.0, 33.3, 10.0, 1.0, 0.001, 1e-12}) {
    const std::uint64_t exact = threshold_of_percentage(percentage);
    CHECK(table.value_of(table.code_of(exact)) == exact);
    const std::uint64_t near = ThresholdTable::round_up(exact);
    CHECK(near >= exact);
    CHECK(near - exact <= (kNever - exact) / 1000);
    CHECK(ThresholdTable().value_of(ThresholdTable().code_of(near)) == near);  // needs no table
  }
  for (std::uint64_t t = 1; t < 8190; ++t) table.code_of(kNever - (1ULL << 40) - t);
  const std::uint64_t late = kNever - (1ULL << 41) - 12345;
  CHECK(table.value_of(table.code_of(late)) == ThresholdTable::round_up(late));  // the table is full
}

TEST_CASE("ot is found among other vendors' entries", "[wire]") {
  CHECK(read_ot("").random == std::nullopt);
  CHECK(read_ot("a=b,ot=th:c;rv:00000000000001,z=y").threshold == 0xc0000000000000);
  CHECK(read_ot("a=b, ot=rv:0123456789abcd;th:0 ").random == 0x0123456789abcd);
  CHECK(read_ot("ot=th:0").threshold == 0);
  CHECK(read_ot("ot=th:").threshold == std::nullopt);
  CHECK(read_ot("ot=th:C").threshold == std::nullopt);                // lower case only
  CHECK(read_ot("ot=rv:0123456789abc").random == std::nullopt);       // 14 digits only
  CHECK(read_ot("ot=th:123456789abcdef").threshold == std::nullopt);  // at most 14
  CHECK(read_ot("xot=th:8").threshold == std::nullopt);
}

TEST_CASE("a tracestate is read as OpenTelemetry's Go API does", "[wire]") {
  for (const char* good : {"v=g", "v=g,", " v=g", "v=g ", "v=g\t", ",,v=g", "a=b,v=g", "1a@sys=x,v=g"}) {
    INFO(good);
    CHECK(tracestate_value(good, "v") == "g");
  }
  std::string many = "v=g";
  for (int i = 0; i < 31; ++i) many += ",k" + std::to_string(i) + "=x";
  CHECK(tracestate_value(many, "v") == "g");
  for (const std::string& bad :
       {std::string("v=g,v=h"), many + ",one=more", std::string("v=g,bad"), std::string("v=g,1a=b"),
        std::string("v=g,A=b"), std::string("v=g,a="), std::string("v=g,a=\x01")}) {
    INFO(bad);
    CHECK(tracestate_value(bad, "v") == std::nullopt);
  }
}

TEST_CASE("th is raised, never lowered, and other entries stay", "[wire]") {
  const std::uint64_t half = threshold_of_percentage(50);
  const auto raised = [&](const char* in, std::uint64_t random = kNever - 1) {
    return raise_threshold(in, half, random);
  };
  CHECK(raised("").value == "ot=th:8");
  CHECK(raised("a=b,c=d").value == "ot=th:8,a=b,c=d");
  CHECK(raised("a=b,ot=rv:ffffffffffffff;th:4;x:1,c=d").value == "ot=th:8;rv:ffffffffffffff;x:1,a=b,c=d");
  CHECK(raised("ot=th:8").what == Amended::What::kUnchanged);
  CHECK(raised("ot=th:c").what == Amended::What::kUnchanged);
  CHECK(raised("ot=th:c,a=b", half).value == "a=b");  // R below th: it cannot have been kept by that
  CHECK(raised("bad").what == Amended::What::kUnparsable);
  const std::string full = "ot=" + std::string("x:") + std::string(250, 'y');
  CHECK(raised(full.c_str()).what == Amended::What::kNoRoom);
  CHECK(raised(full.c_str()).value == full);
  std::string members = "a0=x";
  for (int i = 1; i < 32; ++i) members += ",a" + std::to_string(i) + "=x";
  CHECK(raised(members.c_str()).what == Amended::What::kNoRoom);
}

TEST_CASE("th is taken out, and rv is not", "[wire]") {
  CHECK(erase_threshold("").what == Amended::What::kUnchanged);
  CHECK(erase_threshold("a=b").what == Amended::What::kUnchanged);
  CHECK(erase_threshold("ot=rv:ffffffffffffff").what == Amended::What::kUnchanged);
  CHECK(erase_threshold("a=b,ot=th:8;rv:ffffffffffffff").value == "ot=rv:ffffffffffffff,a=b");
  CHECK(erase_threshold("ot=th:8").what == Amended::What::kChanged);
  CHECK(erase_threshold("ot=th:8").value.empty());
}
