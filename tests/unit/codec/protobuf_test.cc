// SPDX-License-Identifier: Apache-2.0
#include "codec/protobuf.h"

#include <catch2/catch.hpp>

#include "codec/field_reader.h"

using namespace tailgate;

namespace {

bool walks(const std::string& bytes) {
  FieldReader r(bytes);
  while (r.next()) {
  }
  return r.ok();
}

bool skips(const std::string& bytes) {
  return pb::each_field(bytes,
                        [](const char*& p, const char* end, std::uint32_t tag) { return pb::skip_value(p, end, tag); });
}

std::string groups(std::size_t depth) {
  std::string out;
  for (std::size_t i = 0; i < depth; ++i) pb::append_varint(out, pb::tag_of(1, pb::kGroup));
  for (std::size_t i = 0; i < depth; ++i) pb::append_varint(out, pb::tag_of(1, pb::kEndGroup));
  return out;
}

}  // namespace

TEST_CASE("varints come back, and take as many bytes as varint_size says", "[codec]") {
  for (int shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t value : {(1ULL << shift) - 1, 1ULL << shift, ~0ULL >> shift}) {
      std::string bytes;
      pb::append_varint(bytes, value);
      CHECK(bytes.size() == pb::varint_size(value));
      for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const char* p = bytes.data();
        std::uint64_t back = 0;
        CHECK(pb::read_varint(p, bytes.data() + size, back) == (size == bytes.size()));
        if (size == bytes.size()) CHECK(back == value);
      }
    }
  }
}

TEST_CASE("both ways to walk a message accept the same messages of up to three bytes", "[codec]") {
  std::size_t wrong = 0;
  for (std::uint32_t n = 0; n < 1u << 24; ++n) {
    const std::string bytes = {static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
    wrong += walks(bytes) != skips(bytes);
  }
  CHECK(wrong == 0);
}

TEST_CASE("what every reader refuses", "[codec]") {
  const std::string long_tag("\x88\x80\x80\x80\x80\x00\x01", 7);  // field 1 in six bytes
  const std::string long_varint = '\x08' + std::string(10, '\x80') + '\x01';
  const std::string field_0("\x00\x01", 2), type_6 = "\x0E", type_7 = "\x0F";
  const std::string unmatched = "\x0B\x14";  // group 1, end of group 2
  const std::string open = "\x0B", closed = "\x0C";
  for (const std::string& bad :
       {long_tag, long_varint, field_0, type_6, type_7, unmatched, open, closed, groups(101)}) {
    CHECK_FALSE(walks(bad));
    CHECK_FALSE(skips(bad));
  }
  CHECK(walks(groups(100)));
  CHECK(skips(groups(100)));
}

TEST_CASE("a reader passes over groups and gives the fields around them", "[codec]") {
  std::string bytes = "\x08\x01";
  bytes += groups(3);
  bytes += "\x12\x02hi";
  bytes += std::string("\x1D\x04\x03\x02\x01\x21\x01\x00\x00\x00\x00\x00\x00\x80", 14);
  FieldReader r(bytes);
  REQUIRE(r.next());
  CHECK((r.is_varint(1) && r.value == 1));
  REQUIRE(r.next());
  CHECK((r.is_len(2) && r.bytes == "hi"));
  REQUIRE(r.next());
  CHECK((r.is_fixed32(3) && r.value == 0x01020304));
  REQUIRE(r.next());
  CHECK((r.is_fixed64(4) && r.value == 0x8000000000000001));
  CHECK_FALSE(r.next());
  CHECK(r.ok());
}
