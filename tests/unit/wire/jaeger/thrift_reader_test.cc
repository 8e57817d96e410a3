// SPDX-License-Identifier: Apache-2.0
// Thrift of strangers: headers, bounds, and memory that is asked for before it is taken.
#include "wire/jaeger/thrift_reader.h"

#include <catch2/catch.hpp>

#include "support/foreign_cases.h"
#include "support/foreign_twin.h"
#include "support/limited_room.h"
#include "support/thrift_writer.h"
#include "wire/jaeger/thrift.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr auto kBinary = ThriftProtocol::kBinary;
constexpr auto kCompact = ThriftProtocol::kCompact;

ForeignCases::Jaeger some_case() {
  ForeignCases cases(3);
  ForeignCases::Jaeger c;
  while (c.batch.spans_size() < 2) c = cases.jaeger(true);
  return c;
}

std::string problem(ByteView bytes, ThriftProtocol protocol, bool message) {
  ByteSink out;
  const auto r = message ? jaeger_message_to_otlp(bytes, protocol, out) : jaeger_batch_to_otlp(bytes, protocol, out);
  return r ? "" : r.error().text;
}

}  // namespace

TEST_CASE("Thrift: calls and oneways, strict headers and old ones", "[wire]") {
  const auto c = some_case();
  for (const int type : {1, 4}) {
    CHECK(problem(thrift_message<BinaryWriter>(c.batch, {}, {}, type), kBinary, true).empty());
    CHECK(problem(thrift_message<BinaryWriter>(c.batch, {}, {}, type, false), kBinary, true).empty());
    CHECK(problem(thrift_message<CompactWriter>(c.batch, {}, {}, type), kCompact, true).empty());
  }
  CHECK(problem(thrift_message<BinaryWriter>(c.batch, {}, {}, 2), kBinary, true) ==
        "expected the message emitBatch, got 'emitBatch' of type 2");
  CHECK(problem(thrift_message<CompactWriter>(c.batch), kBinary, true) ==
        "no Thrift message of this protocol; it looks like the compact one, for thrift_compact");
  CHECK(problem(thrift_message<BinaryWriter>(c.batch), kCompact, true) ==
        "no Thrift message of this protocol; it looks like the binary one, for thrift_binary");
  CHECK(problem("{}", kCompact, true) == "no Thrift message of this protocol");
  CompactWriter zipkin;
  zipkin.message("emitZipkinBatch", 4);
  CHECK(problem(zipkin.out + '\0', kCompact, true) ==
        "expected the message emitBatch, got 'emitZipkinBatch' of type 4");
  CompactWriter empty;
  empty.message("emitBatch", 4);
  CHECK(problem(empty.out + '\0', kCompact, true).find("no batch") != std::string::npos);
}

TEST_CASE("Thrift: cut off at every byte it is refused", "[wire]") {
  const auto c = some_case();
  const std::string binary = thrift_message<BinaryWriter>(c.batch), compact = thrift_message<CompactWriter>(c.batch);
  for (std::size_t n = 0; n < binary.size(); ++n)
    REQUIRE_FALSE(problem(ByteView(binary).substr(0, n), kBinary, true).empty());
  for (std::size_t n = 0; n < compact.size(); ++n)
    REQUIRE_FALSE(problem(ByteView(compact).substr(0, n), kCompact, true).empty());
}

TEST_CASE("Thrift: counts and lengths past the end are refused before anything is made of them", "[wire]") {
  CHECK(problem({"\x0C\0\1\0\x0F\0\2\x0C\x7F\xFF\xFF\xFF", 12}, kBinary, false) ==
        "spans[0]: a list longer than its bytes, near byte 12 of 12");
  CHECK(problem({"\x0C\0\1\0\x0F\0\2\x0C\xFF\xFF\xFF\xFF", 12}, kBinary, false).find("longer") != std::string::npos);
  CHECK(problem({"\x1C\0\x19\xFC\xFF\xFF\xFF\xFF\x0F\0", 10}, kCompact, false).find("longer") != std::string::npos);
  CHECK_FALSE(problem({"\x0C\0\1\x0B\0\1\x7F\xFF\xFF\xFF", 10}, kBinary, false).empty());   // a string's length
  CHECK_FALSE(problem({"\x0F\0\2\x0B\0\0\0\1\0\0\0\0\0", 13}, kBinary, false).empty());     // a list of strings
  CHECK_FALSE(problem({"\x0D\0\x63\x0A\x0A\x7F\xFF\xFF\xFF", 9}, kBinary, false).empty());  // a map nobody knows
  CHECK_FALSE(problem({"\x0C\0\1\0\x0C\0\1\0\0", 9}, kBinary, false).empty());              // two processes
}

TEST_CASE("Thrift: unknown fields are passed over, down to a depth, without recursion", "[wire]") {
  const auto nested = [](std::size_t depth) {
    std::string bytes;
    for (std::size_t i = 0; i < depth; ++i) bytes += std::string("\x0C\0\x63", 3);  // struct in field 99
    return bytes + std::string(depth + 1, '\0');
  };
  CHECK(problem(nested(64), kBinary, false).empty());
  CHECK(problem(nested(65), kBinary, false).find("too deep") != std::string::npos);
  CHECK_FALSE(problem(std::string(3 << 20, '\x1C'), kCompact, false).empty());
  std::string lists(1 << 20, '\x19');  // lists of one list each
  CHECK_FALSE(problem(lists, kCompact, false).empty());
  // Of every type, in both protocols, before the end of the batch.
  CompactWriter w;
  const auto saved = w.begin();
  w.boolean(20, true);
  w.real(21, 1.5);
  w.i64(40, -5);
  w.field(CompactWriter::kStruct, 41);
  const auto inner = w.begin();
  w.boolean(1, false);
  w.bytes(2, "x");
  w.end(inner);
  w.out += std::string("\x1B\x02\x51\x02\x01\x04\x02", 7);  // map<i32, bool> of two
  w.out += std::string("\x1A\x21\x01\x02", 4);              // set<bool> of two
  w.out += std::string("\x13\x07", 2);                      // a byte
  w.end(saved);
  CHECK(problem(w.out, kCompact, false).empty());
  CHECK(problem({"\2\0\x14\1\3\0\x15\7\6\0\x16\0\1\4\0\x17"
                 "12345678"
                 "\x0D\0\x18\x08\x0B\0\0\0\1\0\0\0\5\0\0\0\1x"
                 "\x0E\0\x19\2\0\0\0\2\1\0\0",
                 55},
                kBinary, false)
            .empty());
}

TEST_CASE("Thrift: fields of another type than theirs are passed over", "[wire]") {
  BinaryWriter w;
  w.i64(1, 5);      // process
  w.bytes(2, "x");  // spans
  w.bytes(3, "y");  // seqNo
  w.i32(4, 9);      // stats
  w.out.push_back('\0');
  CHECK(problem(w.out, kBinary, false).empty());
}

TEST_CASE("Thrift: a few bytes cannot become many without being asked for", "[wire]") {
  twin::jaeger::Batch batch;
  auto* span = batch.add_spans();
  span->set_trace_id(std::string(16, '\1'));
  span->set_span_id(std::string(8, '\1'));
  for (int i = 0; i < 200'000; ++i) {
    auto* ref = span->add_references();
    ref->set_ref_type(1);
    ref->set_trace_id(std::string(15, '\0') + '\1');
    ref->set_span_id(std::string(7, '\0') + '\1');
  }
  const std::string bytes = thrift_batch<CompactWriter>(batch);
  REQUIRE(bytes.size() < 2'500'000);
  for (const std::size_t room_bytes : {std::size_t{0}, std::size_t{1} << 20, std::size_t{8} << 20}) {
    LimitedRoom room(room_bytes);
    ByteSink out(&room);
    const auto r = jaeger_batch_to_otlp(bytes, kCompact, out);
    REQUIRE_FALSE(r);
    CHECK(r.error().kind == ErrorKind::kRefused);
    CHECK(out.size() <= room_bytes + ByteSink::kFree);
  }
  LimitedRoom enough(64 << 20);
  ByteSink out(&enough);
  CHECK(jaeger_batch_to_otlp(bytes, kCompact, out));
}
