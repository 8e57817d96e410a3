// SPDX-License-Identifier: Apache-2.0
// Database and Statement: SQLite's calls as values and Results. One thread at a time; several databases of one file may
// be used at once. Failures are kIo with the path; kBadInput when SQLite says that the file is damaged or no database.
// A database remembers its last statements, since to compile one takes longer than most of them run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tailgate {

// Those of a database that nobody uses.
struct IdleStatements {
  static constexpr std::size_t kMax = 16;
  std::vector<sqlite3_stmt*> all;  // the one that was used last is last
  bool open = true;                // the database is
};

class Statement {
 public:
  Statement() = default;
  Statement(sqlite3_stmt* raw, std::shared_ptr<IdleStatements> home) : raw_(raw, {std::move(home)}) {}

  // Parameters and columns count from 1 and from 0, as in SQLite. Texts are not copied: they stay until the next reset.
  Statement& bind(int i, std::int64_t value);
  Statement& bind(int i, std::string_view text);
  Statement& bind_blob(int i, std::string_view bytes);

  // True: there is a row.
  Result<bool> step();
  // Steps once, and makes the statement ready for the next values.
  Result<bool> run();
  void reset();

  std::int64_t number(int column) const;
  std::string_view text(int column) const;  // of blobs as well; good until the next step

 private:
  struct GiveBack {
    std::shared_ptr<IdleStatements> to;
    void operator()(sqlite3_stmt* s) const;
  };
  std::unique_ptr<sqlite3_stmt, GiveBack> raw_;
};

class Database {
 public:
  // Makes the file when it is not there.
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  static Result<std::unique_ptr<Database>> open_to_read(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Statement> prepare(std::string_view sql);
  Result<void> run(const std::string& sql);

 private:
  Database(std::string path, sqlite3* raw) : path_(std::move(path)), raw_(raw) {}
  static Result<std::unique_ptr<Database>> open(const std::string& path, const std::string& name, int flags);
  std::string path_;
  sqlite3* raw_;
  std::shared_ptr<IdleStatements> idle_ = std::make_shared<IdleStatements>();
};

}  // namespace tailgate
