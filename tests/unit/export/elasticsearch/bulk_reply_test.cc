// SPDX-License-Identifier: Apache-2.0
#include "export/elasticsearch/bulk_reply.h"

#include <catch2/catch.hpp>

using namespace tailgate;

TEST_CASE("the answer to _bulk says of each item what became of it", "[wire]") {
  const auto items = read_bulk_reply(R"({"took":3,"errors":true,"items":[
    {"create":{"_index":"a","_id":"1","status":201,"_shards":{"total":2,"status":7}}},
    {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: document already exists"}}},
    {"index":{"error":{"caused_by":{"type":"x","reason":"inner"},"type":"mapper_parsing_exception","reason":"no \"long\""},"status":400}},
    {"create":{"status":429,"error":"busy"}},
    {"create":{}}]})",
                                     10);
  REQUIRE(items);
  REQUIRE(items->size() == 5);
  CHECK((*items)[0].status == 201);
  CHECK((*items)[0].why.empty());
  CHECK((*items)[1].status == 409);
  CHECK((*items)[1].why == "version_conflict_engine_exception: [1]: document already exists");
  CHECK((*items)[2].status == 400);
  CHECK((*items)[2].why == "mapper_parsing_exception: no \"long\"");
  CHECK((*items)[3].status == 429);
  CHECK((*items)[3].why == "busy");
  CHECK((*items)[4].status == 0);
}

TEST_CASE("what is no answer to _bulk, or too much of one, is an error", "[wire]") {
  for (const char* bad : {"", "null", "[]", "{}", "<html>", R"({"items":{}})", R"({"items":[)", R"({"items":[]} x)",
                          R"([{"items":[{"create":{"status":201}}]}])"}) {
    CAPTURE(bad);
    CHECK_FALSE(read_bulk_reply(bad, 10));
  }
  CHECK(read_bulk_reply(R"({"items":[]})", 0)->empty());
  CHECK_FALSE(read_bulk_reply(R"({"items":[{},{}]})", 1));
  std::string deep = R"({"items":[{"create":{"x":)";
  for (int i = 0; i < 1000; ++i) deep += '[';
  CHECK_FALSE(read_bulk_reply(deep, 10));
  const std::string chatty =
      R"({"items":[{"create":{"status":400,"error":{"reason":")" + std::string(1 << 20, 'x') + R"("}}}]})";
  CHECK(read_bulk_reply(chatty, 1)->at(0).why.size() == 300);
}

TEST_CASE("an answer that quotes a text cut inside a character is read all the same", "[wire]") {
  for (const std::string quoted : {"caf\xc3", "caf\\ud83d", "caf\x01"}) {
    const auto items = read_bulk_reply(
        R"({"items":[{"create":{"status":400,"error":{"type":"t","reason":")" + quoted + R"("}}}]})", 1);
    REQUIRE(items);
    CHECK(items->at(0).status == 400);
    CHECK(items->at(0).why.starts_with("t: caf"));
  }
}

TEST_CASE("a list inside the list of items is no item", "[wire]") {  // found by the fuzzer
  const auto items =
      read_bulk_reply(R"({"items":[[{"status":214,"error":"x"}],{"create":{"status":201}},[{"status":9}]]})", 9);
  REQUIRE(items);
  REQUIRE(items->size() == 1);
  CHECK((*items)[0].status == 201);
  CHECK((*items)[0].why.empty());
}

TEST_CASE("items and statuses elsewhere in the answer count for nothing", "[wire]") {
  const auto items = read_bulk_reply(
      R"({"status":500,"error":{"type":"t"},"x":{"items":[{"create":{"status":400}}]},"items":[{"create":{"status":200},"y":{"z":{"status":400}}}]})",
      10);
  REQUIRE(items);
  REQUIRE(items->size() == 1);
  CHECK((*items)[0].status == 200);
  CHECK((*items)[0].why.empty());
}
