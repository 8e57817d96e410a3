// SPDX-License-Identifier: Apache-2.0
#include "cluster/split.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "otlp_twin.pb.h"
#include "receive/forward.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

// Where a span goes, and all that is known of it: destination, its resource and scope as the library writes them,
// itself.
struct Placed {
  std::string to, resource, scope, span;
  auto operator<=>(const Placed&) const = default;
};
using AllPlaced = std::multiset<Placed>;

std::string name_of(const Routing::Way& way) {
  if (way.to == Routing::kUnsure) return "unsure";
  return way.to == Routing::kHere ? "here" : std::to_string(way.to) + "/" + std::to_string(static_cast<int>(way.hop));
}

// By id: here, or one of three members with one of the hops.
Routing::Way way_of(const TraceId& id) {
  const auto mixed = static_cast<std::uint8_t>(id.bytes[15] * 7 + id.bytes[3]);
  if (mixed % 4 == 0) return {Routing::kHere, Hop::kStart};
  if (mixed % 16 == 1) return {Routing::kUnsure, Hop::kStart};
  return {static_cast<std::uint16_t>(mixed % 3), static_cast<Hop>(1 + mixed % 5 % 3)};
}

bool good_ids(const twin::Span& span) {
  const auto zero = [](const std::string& id) { return id.find_first_not_of('\0') == std::string::npos; };
  return span.trace_id().size() == 16 && !zero(span.trace_id()) && span.span_id().size() == 8 &&
         !zero(span.span_id()) && (span.parent_span_id().empty() || span.parent_span_id().size() == 8);
}

// The slow way: everything is decoded. `to`: where all of it went; empty: by the ids.
void place(const std::string& otlp, const std::string& to, AllPlaced& out) {
  twin::TracesData data;
  REQUIRE(data.ParseFromString(otlp));
  for (const auto& resource_spans : data.resource_spans()) {
    auto resource = resource_spans;
    resource.clear_scope_spans();
    for (const auto& scope_spans : resource_spans.scope_spans()) {
      auto scope = scope_spans;
      scope.clear_spans();
      for (const auto& span : scope_spans.spans()) {
        if (!good_ids(span)) continue;
        const std::string where = to.empty() ? name_of(way_of(TraceId::from(span.trace_id().data()))) : to;
        out.insert({where, resource.SerializeAsString(), scope.SerializeAsString(), span.SerializeAsString()});
      }
    }
  }
}

std::size_t spans_in(const std::string& otlp) {
  AllPlaced all;
  place(otlp, "x", all);
  return all.size();
}

}  // namespace

TEST_CASE("what is split and what is kept are what came, whole and unchanged", "[cluster]") {
  SplitScratch scratch;
  const ScanPlan plan;
  std::size_t split = 0, kept = 0;
  for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
    const Scanned request(RandomOtlp(seed).request(), plan);
    if (!request.result.ok) continue;
    AllPlaced wanted, got;
    place(request.bytes, "", wanted);
    SpanBatch batch = request.batch;
    std::vector<SplitPart> parts;
    REQUIRE(split_request(batch, 3, way_of, scratch, parts));
    for (const SplitPart& part : parts) {
      place(part.otlp, name_of({part.to, part.hop}), got);
      REQUIRE(spans_in(part.otlp) == part.spans);
      split += part.spans;
    }
    std::string rest;
    append_framed(batch, rest);
    place(rest, "here", got);
    kept += spans_in(rest);
    INFO("seed " << seed);
    REQUIRE(wanted.size() == request.result.spans - request.result.bad_ids);
    REQUIRE((got == wanted));
  }
  CHECK(split > 1'000);
  CHECK(kept > 300);
}

TEST_CASE("a request of which nothing goes stays as it is", "[cluster]") {
  const ScanPlan plan;
  Scanned request(test::request({{.trace = 1}, {.trace = 2}}), plan);
  SplitScratch scratch;
  std::vector<SplitPart> parts;
  const auto here = [](const TraceId&) { return Routing::Way{Routing::kHere, Hop::kStart}; };
  CHECK(split_request(request.batch, 3, here, scratch, parts));
  CHECK(parts.empty());
  CHECK(request.batch.traces.size() == 2);
  const auto nowhere = [](const TraceId&) { return Routing::Way{}; };
  CHECK_FALSE(split_request(request.batch, 3, nowhere, scratch, parts));
  CHECK(request.batch.traces.size() == 2);
}

TEST_CASE("much for one member goes in pieces of a megabyte", "[cluster]") {
  std::vector<SpanSpec> spans;
  for (std::uint64_t i = 1; i <= 30; ++i)
    spans.push_back({.trace = i, .id = i, .attributes = {{"text", std::string(100'000, 'x')}}});
  spans.push_back({.trace = 99, .id = 99, .attributes = {{"text", std::string(3'000'000, 'x')}}});
  const ScanPlan plan;
  Scanned request(test::request(spans), plan);
  SplitScratch scratch;
  std::vector<SplitPart> parts;
  const auto there = [](const TraceId&) { return Routing::Way{1, Hop::kFirst}; };
  CHECK(split_request(request.batch, 2, there, scratch, parts));
  CHECK(request.batch.traces.empty());
  REQUIRE(parts.size() == 4);
  std::size_t all = 0;
  for (const SplitPart& part : parts) {
    CHECK((part.otlp.size() < (1 << 20) + 1'000 || part.spans == 1));
    all += part.spans;
  }
  CHECK(all == 31);
}
