// SPDX-License-Identifier: Apache-2.0
#include "web/cluster.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

MemberAnswer said(std::string member, std::string json) {
  return {std::move(member), PageAnswer{json.empty() ? 404 : 200, std::move(json)}, ""};
}
MemberAnswer silent(std::string member) { return {std::move(member), std::nullopt, "no answer in time"}; }

}  // namespace

TEST_CASE("of several answers the one of whoever decided stands, and who did not answer is named", "[web]") {
  const Response r = merge_trace(
      {said("a", R"({"state":"open","spans":9})"), said("b", ""), said("c", R"({"state":"decided","spans":2})"),
       silent("d"), said("e", R"({"state":"decided","spans":5})")},
      JsonForm::kCompact);
  CHECK(r.status == 200);
  CHECK(r.body == R"({"state":"decided","spans":5,"member":"e","unanswered":)"
                  R"([{"member":"d","error":"no answer in time"}]})"
                  "\n");
}

TEST_CASE("a trace that nobody knows is not found, unless somebody was silent", "[web]") {
  CHECK(merge_trace({said("a", ""), said("b", "")}, JsonForm::kCompact).status == 404);
  CHECK(merge_trace({}, JsonForm::kCompact).status == 404);
  const Response r = merge_trace({said("a", ""), silent("b")}, JsonForm::kCompact);
  CHECK(r.status == 503);
  CHECK(r.body.find("b (no answer in time)") != std::string::npos);
}

TEST_CASE("lists of all members are one, the last first, and a header names who did not answer", "[web]") {
  const Response r =
      merge_lists({said("a", R"([{"id":1,"decided":"2026-01-01T00:00:03.000Z"},{"id":2,"decided":null}])"),
                   said("b", R"([{"id":3,"decided":"2026-01-01T00:00:05.000Z"}])"),
                   silent("c"),
                   {"d", PageAnswer{400, R"({"error":"expected one of x"})"}, ""},
                   said("e", "no JSON")},
                  2, JsonForm::kCompact);
  CHECK(r.status == 200);
  CHECK(r.body == R"([{"id":3,"decided":"2026-01-01T00:00:05.000Z","member":"b"},)"
                  R"({"id":1,"decided":"2026-01-01T00:00:03.000Z","member":"a"}])"
                  "\n");
  const auto header =
      std::find_if(r.headers.begin(), r.headers.end(), [](const auto& h) { return h.first == "tailgate-unanswered"; });
  REQUIRE(header != r.headers.end());
  CHECK(header->second == "c (no answer in time), d (status 400: expected one of x), e (status 200)");
}

TEST_CASE("shadow policies of all members are added up", "[web]") {
  const std::string one =
      R"({"policies":[{"name":"p","traces":2,"kept_traces":1,"kept_spans":5,"kept_bytes":9,"would_add":1,)"
      R"("would_lose":0,"lost_errors":["aa"]}],"live":{"traces":2,"kept_traces":1,"kept_spans":4,"kept_bytes":8}})";
  const Response r = merge_shadow({said("a", one), said("b", one), silent("c")});
  CHECK(r.body ==
        R"({"policies":[{"name":"p","traces":4,"kept_traces":2,"kept_spans":10,"kept_bytes":18,"would_add":2,)"
        R"("would_lose":0,"lost_errors":["aa","aa"]}],)"
        R"("live":{"traces":4,"kept_traces":2,"kept_spans":8,"kept_bytes":16},"members":["a","b"],)"
        R"("unanswered":[{"member":"c","error":"no answer in time"}]})"
        "\n");
}
