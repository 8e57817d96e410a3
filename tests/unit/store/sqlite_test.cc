// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite.h"

#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

namespace tailgate {
namespace {

std::unique_ptr<Database> memory() {
  auto db = Database::open(":memory:");
  REQUIRE(db);
  REQUIRE((*db)->run("CREATE TABLE t(n INTEGER, s TEXT); INSERT INTO t VALUES(1, 'one'), (2, 'two')"));
  return std::move(*db);
}

Statement prepared(Database& db, const std::string& sql) {
  auto made = db.prepare(sql);
  REQUIRE(made);
  return std::move(*made);
}

bool stepped(Statement& statement) {
  const Result<bool> row = statement.step();
  REQUIRE(row);
  return *row;
}

// The memory of all statements that the connection has compiled, which no other test sees.
std::int64_t compiled_bytes() { return sqlite3_memory_used(); }

TEST_CASE("a statement that comes back is as new: at its first row, and without values", "[store]") {
  const auto db = memory();
  const std::string sql = "SELECT n, ?1, ?2 FROM t ORDER BY n";
  {
    Statement first = prepared(*db, sql);
    const std::string gone = "a text that is freed before the statement is used again";
    first.bind(1, gone).bind(2, std::int64_t{7});
    REQUIRE(stepped(first));  // and is left in the middle
    CHECK(first.text(1) == gone);
  }
  Statement again = prepared(*db, sql);
  REQUIRE(stepped(again));
  CHECK(again.number(0) == 1);
  CHECK(again.text(1).empty());
  CHECK(again.number(2) == 0);
}

TEST_CASE("a statement that nobody uses holds no transaction open", "[store]") {
  const auto db = memory();
  {
    Statement half = prepared(*db, "SELECT n FROM t ORDER BY n");
    REQUIRE(stepped(half));
    CHECK_FALSE(db->run("DROP TABLE t"));  // SQLite: the table is locked
  }
  CHECK(db->run("DROP TABLE t"));
}

TEST_CASE("two statements of one text are two, though one was there already", "[store]") {
  const auto db = memory();
  const std::string sql = "SELECT n FROM t ORDER BY n";
  { Statement one = prepared(*db, sql); }
  Statement a = prepared(*db, sql), b = prepared(*db, sql);
  REQUIRE(stepped(a));
  REQUIRE(stepped(a));
  REQUIRE(stepped(b));
  CHECK(a.number(0) == 2);
  CHECK(b.number(0) == 1);
}

TEST_CASE("a statement that failed is given out again without its failure", "[store]") {
  const auto db = memory();
  REQUIRE(db->run("CREATE UNIQUE INDEX one ON t(n)"));
  const std::string sql = "INSERT INTO t VALUES(?, 'x')";
  CHECK_FALSE(prepared(*db, sql).bind(1, std::int64_t{1}).step());
  CHECK(prepared(*db, sql).bind(1, std::int64_t{3}).step());
}

TEST_CASE("a statement follows a change of the tables, and says when they are gone", "[store]") {
  const auto db = memory();
  const std::string sql = "SELECT * FROM t ORDER BY n";
  { Statement before = prepared(*db, sql); }
  REQUIRE(db->run("DROP TABLE t"));
  {
    auto missing = db->prepare(sql);
    const bool failed = !missing || !missing->step();
    CHECK(failed);
  }
  REQUIRE(db->run("CREATE TABLE t(s TEXT, n INTEGER); INSERT INTO t VALUES('other', 5)"));
  Statement after = prepared(*db, sql);
  REQUIRE(stepped(after));
  CHECK(after.text(0) == "other");
}

TEST_CASE("what a database remembers of many different questions is bounded", "[store]") {
  const auto db = memory();
  const auto ask = [&](int from, int to) {
    for (int i = from; i != to; ++i) prepared(*db, "SELECT n FROM t WHERE n=?1+" + std::to_string(i));
  };
  ask(0, 100);
  const std::int64_t full = compiled_bytes();
  ask(100, 2000);
  CHECK(compiled_bytes() < full + 4096);
}

TEST_CASE("a statement may outlive its database", "[store]") {
  auto db = memory();
  const std::int64_t before = compiled_bytes();
  auto other = memory();
  { Statement idle = prepared(*other, "SELECT s FROM t"); }
  Statement used = prepared(*other, "SELECT n FROM t ORDER BY n");
  REQUIRE(stepped(used));
  other.reset();
  CHECK(used.number(0) == 1);
  used = Statement();
  CHECK(compiled_bytes() <= before);  // and neither is left behind
}

}  // namespace
}  // namespace tailgate
