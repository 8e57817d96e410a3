// SPDX-License-Identifier: Apache-2.0
#include "web/cluster.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

MemberAnswer said(std::string member, std::string json) { return {std::move(member), true, std::move(json), ""}; }
MemberAnswer silent(std::string member) { return {std::move(member), false, "", "no answer in time"}; }

}  // namespace

TEST_CASE("of several answers the one of whoever decided stands, and who did not answer is named", "[web]") {
  const Response r = member_answers(
      {said("a", R"({"state":"open","spans":9})"), said("b", ""), said("c", R"({"state":"decided","spans":2})"),
       silent("d"), said("e", R"({"state":"decided","spans":5})"), said("f", "no JSON")},
      JsonForm::kCompact);
  CHECK(r.status == 200);
  CHECK(r.body == R"({"state":"decided","spans":5,"member":"e","unanswered":)"
                  R"([{"member":"d","error":"no answer in time"}]})"
                  "\n");
}

TEST_CASE("a trace that nobody knows is not found, unless somebody was silent", "[web]") {
  CHECK(member_answers({said("a", ""), said("b", "")}, JsonForm::kCompact).status == 404);
  CHECK(member_answers({}, JsonForm::kCompact).status == 404);
  const Response r = member_answers({said("a", ""), silent("b")}, JsonForm::kCompact);
  CHECK(r.status == 503);
  CHECK(r.body.find("b (no answer in time)") != std::string::npos);
}
