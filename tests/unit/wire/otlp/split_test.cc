// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/split.h"

#include <catch2/catch.hpp>
#include <set>

#include "otlp_twin.pb.h"
#include "support/random_otlp.h"

using namespace tailgate;

namespace {

// Each span with its resource and scope, as text.
std::multiset<std::string> spans_of(const twin::TracesData& data) {
  std::multiset<std::string> out;
  for (const auto& r : data.resource_spans()) {
    for (const auto& s : r.scope_spans()) {
      for (const auto& span : s.spans()) {
        out.insert(r.resource().DebugString() + r.schema_url() + s.scope().DebugString() + s.schema_url() +
                   span.DebugString());
      }
    }
  }
  return out;
}

std::multiset<std::string> spans_of(const std::string& otlp) {
  twin::TracesData data;
  REQUIRE(data.ParseFromString(otlp));
  return spans_of(data);
}

std::size_t errors_of(const std::string& otlp) {
  twin::TracesData data;
  REQUIRE(data.ParseFromString(otlp));
  std::size_t out = 0;
  for (const auto& r : data.resource_spans()) {
    for (const auto& s : r.scope_spans()) {
      for (const auto& span : s.spans()) out += span.status().code() == 2 ? 1 : 0;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("a trace over the limit goes out in pieces that hold each span once, under its own resource", "[wire]") {
  std::size_t cut = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    test::RandomOtlp random(seed);
    const std::string otlp = random.request();
    for (const std::size_t limit : std::initializer_list<std::size_t>{0, 200, 2000}) {
      std::vector<OtlpPiece> pieces;
      split_otlp(otlp, limit, pieces);
      std::multiset<std::string> got;
      for (const OtlpPiece& piece : pieces) {
        const auto some = spans_of(piece.otlp);
        CHECK(some.size() == piece.spans);
        CHECK((piece.otlp.size() <= limit || piece.spans == 1));
        got.insert(some.begin(), some.end());
      }
      CHECK(got == spans_of(otlp));
      cut += pieces.size() > 1;
    }
  }
  CHECK(cut > 1000);
}

TEST_CASE("of spans that are there twice one stays, and all others do", "[wire]") {
  std::size_t failed = 0;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    test::RandomOtlp random(seed);
    const std::string one = random.request(), other = random.request();
    std::string alone = one;
    drop_same_spans(alone);  // its own
    std::string both = one + other + one;
    const auto all = spans_of(both);
    const std::size_t errors = errors_of(both);
    const DroppedSpans dropped = drop_same_spans(both);
    const std::size_t gone = dropped.spans;
    CHECK(dropped.errors == errors - errors_of(both));
    failed += dropped.errors;
    const auto left = spans_of(both);
    CHECK(gone >= spans_of(one).size());
    CHECK(left.size() == all.size() - gone);
    CHECK(std::set(left.begin(), left.end()) == std::set(all.begin(), all.end()));
    CHECK(drop_same_spans(both).spans == 0);
    CHECK(left.size() >= spans_of(alone).size());
  }
  CHECK(failed > 10);
  std::string malformed = "\x0a\x7f";
  CHECK(drop_same_spans(malformed).spans == 0);
  CHECK(malformed == "\x0a\x7f");
}

TEST_CASE("spans are not cut apart more than the limit asks for", "[wire]") {
  twin::TracesData data;
  auto* spans = data.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < 100; ++i) spans->add_spans()->set_name(std::string(98, 'x'));  // 102 bytes each
  std::vector<OtlpPiece> pieces;
  split_otlp(data.SerializeAsString(), 1100, pieces);
  CHECK(pieces.size() == 10);
  pieces.clear();
  split_otlp(data.SerializeAsString(), 1 << 20, pieces);
  CHECK(pieces.size() == 1);
}

TEST_CASE("bytes that are no trace stay one piece", "[wire]") {
  std::vector<OtlpPiece> pieces;
  split_otlp("\x0a\xff", 1, pieces);
  REQUIRE(pieces.size() == 1);
  CHECK(pieces[0].otlp == "\x0a\xff");
  CHECK(pieces[0].spans == 0);
}
